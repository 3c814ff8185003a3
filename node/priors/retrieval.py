"""Prior retrieval at work: a thread for each source takes the requests that are due, one by one.

In: waiting `PriorRequest` rows. Out: instances kept as priors; a row that is done, waits for its
next try, or has failed with the reason. What must hold: a source that hangs holds up only its own
requests; a try that was killed at any moment is made again and stores nothing twice.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pynetdicom.association import Association
from sqlalchemy.exc import SQLAlchemyError

from node.calling import UNCOMPRESSED, Context, calling, patient
from node.errors import (
    DestinationUnavailableError,
    LeaseLostError,
    PermanentError,
    TransientError,
)
from node.instance import Inbox
from node.logs import log
from node.peers import Peer
from node.priors.archive import (
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    FoundSeries,
    find_series,
    find_studies,
    get_series,
    move_series,
)
from node.priors.getting import Arrivals, storage_roles
from node.priors.known import count_instances, is_complete, read_question
from node.priors.requests import Errand, claim, fail, finish, kept, note_found, postpone
from node.priors.rules import PriorRule
from node.priors.storage import storage_contexts
from node.settings import Settings
from node.store.session import Store


@dataclass(frozen=True, slots=True)
class Source:
    """One archive and the rules that ask it, by name. `inbox`: where C-GET puts what it gets."""

    peer: Peer
    rules: dict[str, PriorRule]
    settings: Settings
    store: Store
    inbox: Inbox | None

    def serve(self, stop: threading.Event) -> None:
        """Retrieve until `stop` is set."""
        while not stop.wait(self.settings.sweep_seconds):
            try:
                while not stop.is_set() and self.retrieve_next():
                    pass
            except SQLAlchemyError as error:
                reason = str(error).splitlines()[0]
                log.error("database error; priors are asked for soon", extra={"reason": reason})
            except Exception:  # noqa: BLE001  # as below: nobody would start this thread again
                log.exception("priors are asked for soon")

    def retrieve_next(self) -> bool:
        """Make one try at the request that is due longest; False when none is due."""
        errand = claim(self.store, self.rules, self.settings)
        if errand is None:
            return False
        try:
            with kept(self.store, errand, self.settings):
                self._try(errand)
        except LeaseLostError:
            log.warning("prior request lost to another sweeper", extra={"study": errand.study_uid})
        return True

    def _try(self, errand: Errand) -> None:
        """The shell: every outcome of a try becomes a state of its row."""
        try:
            studies, instances = self._retrieve(errand)
        except (LeaseLostError, SQLAlchemyError):
            raise
        except TransientError as error:
            postpone(self.store, errand, str(error), self.settings)
        except PermanentError as error:
            fail(self.store, errand, str(error))
        except Exception:  # noqa: BLE001  # the outer shell: never lose the thread or the row
            log.exception("prior retrieval", extra={"study": errand.study_uid})
            postpone(self.store, errand, "internal error, see the sweeper's log", self.settings)
        else:
            finish(self.store, errand, studies, instances)

    def _retrieve(self, errand: Errand) -> tuple[int, int]:
        """One try; returns how many studies there are and how many instances are new here."""
        rule = self.rules[errand.rule]
        question = read_question(self.store, errand.study_uid)
        refusals: set[str] = set()
        with self._asking(rule, refusals) as association:
            studies = find_studies(association, question, rule)
            note_found(self.store, errand, studies)
            wanted = [
                series
                for study_uid in studies
                for series in find_series(association, study_uid, rule)
            ]
            new = sum(self._fetch(association, rule, series) for series in wanted)
        if refusals:
            raise DestinationUnavailableError("; ".join(sorted(refusals)))
        return len(studies), new

    def _fetch(self, association: Association, rule: PriorRule, series: FoundSeries) -> int:
        """Retrieve one series unless it is here; returns how many instances are new."""
        before = count_instances(self.store, series)
        if is_complete(self.store, series, before):
            return 0
        if rule.retrieve == "c-get":
            with patient(association, self.peer):
                get_series(association, series)
        else:
            move_series(association, series, self.settings.ae_title)
        return count_instances(self.store, series) - before

    @contextmanager
    def _asking(self, rule: PriorRule, refusals: set[str]) -> Iterator[Association]:
        """An association for the rule; `refusals` gets why objects of a C-GET were not kept."""
        if self.inbox is None or rule.retrieve == "c-move":
            contexts: list[Context] = [
                (STUDY_ROOT_FIND, UNCOMPRESSED),
                (STUDY_ROOT_MOVE, UNCOMPRESSED),
            ]
            with calling(self.peer, contexts, self.settings) as association:
                yield association
            return
        contexts = [
            (STUDY_ROOT_FIND, UNCOMPRESSED),
            (STUDY_ROOT_GET, UNCOMPRESSED),
            *storage_contexts(rule.modalities),
        ]
        arrivals = Arrivals(self.inbox, self.peer, self.settings.ae_title, refusals)
        roles, handlers = storage_roles(rule), arrivals.handlers()
        with calling(self.peer, contexts, self.settings, roles, handlers) as association:
            yield association
