"""The node's first stages without a network: objects go in, jobs come out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import select
from sqlalchemy.orm import Session

from node.completion import complete_due
from node.instance import Claim, Inbox, Reception
from node.job import ACTIVE, Bell, is_unrung, utc_now
from node.priors.rules import PriorRule
from node.routes import load_routes
from node.settings import Settings
from node.store.files import Files
from node.store.session import Store
from node.store.spool import Spool
from node.store.tables import Job
from tests.peers.wire import encoded


class Receiving:
    """A node and its store, without processes."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings, self.store = settings, store
        self.files = Files(settings.state_dir)
        self.files.prepare()
        self.routes = load_routes(None)
        reception = Reception(settings, store, self.files, self.routes)
        self.inbox = Inbox(reception, Spool(self.files.incoming))

    def receive(self, dataset: Dataset) -> str:
        """Hand one data set to stage 2, as the listener would; what became of it."""
        return self.settle([dataset])[0]

    def settle(
        self, datasets: Iterable[Dataset], caller: str = "MODALITY", originator: str = ""
    ) -> list[str]:
        """Hand data sets to stage 2 that are settled together; what became of each.

        `originator`: whose C-MOVE made the caller send them.
        """
        incoming = []
        for dataset in datasets:
            uids = dataset.SOPClassUID, dataset.SOPInstanceUID, ExplicitVRLittleEndian
            incoming.append(self.inbox.open(Claim(*uids, caller, "10.0.0.1", originator)))
            incoming[-1].write(encoded(dataset))
        return [outcome.kind for outcome in self.inbox.settle(incoming)]

    def sweep(self, after_seconds: float = 0.0, rules: Sequence[PriorRule] = ()) -> Sequence[Bell]:
        """Complete what is due `after_seconds` from now; `rules`: of priors to ask for."""
        later = utc_now() + timedelta(seconds=after_seconds)
        return complete_due(self.store, self.routes, later, rules)

    def unrung(self, session: Session) -> Sequence[int]:
        """The jobs that a sweeper would ring."""
        waits = is_unrung(ACTIVE, self.settings)
        return session.scalars(select(Job.id).where(waits)).all()
