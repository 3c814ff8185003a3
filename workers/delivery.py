"""Stage 8: every result to every destination that wants it; idempotent, confirmed, recorded.

In: the encoded objects of a job, on disk. Out: each delivery is `confirmed`, `sent` where the
destination confirms nothing, `refused`, or `dead` when it was given up. What must hold: results
have derived UIDs, so sending again stores nothing twice; a destination that is down keeps nothing
from the others, and is not called by every study that waits for it.

A round visits every destination that something is due for, and ends. What waits, for a pause to
end or for a Storage Commitment report, holds neither a worker nor a connection.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.uid import generate_uid

from node.destinations import Destination
from node.errors import (
    DestinationUnavailableError,
    LeaseLostError,
    ObjectPostponedError,
    PermanentError,
)
from node.job import Lease
from node.logs import log
from node.settings import Settings
from node.store.commitments import Reference
from node.store.deliveries import ASKED, PENDING
from node.store.files import Files
from node.store.session import Store
from workers.dicom.identity import Identity, read_identity
from workers.dispatch import availability
from workers.dispatch.ledger import Errand, Ledger
from workers.dispatch.route import Route


def deliver_results(
    store: Store,
    files: Files,
    lease: Lease,
    destinations: Sequence[Destination],
    settings: Settings,
) -> list[str] | None:
    """Make one round; None when the job waits for another, and its lease is given back.

    Else everything has ended: one sentence for each reason why something did not arrive.
    Raises LeaseLostError.
    """
    ledger = Ledger(store, lease, settings)
    by_name = {each.name: each for each in destinations}
    unconfirmed = {each.name for each in destinations if each.confirm == "none"}
    errands: dict[str, list[Errand]] = {}
    for errand in ledger.due(unconfirmed):
        errands.setdefault(errand.destination, []).append(errand)
    for name, due in errands.items():
        destination = by_name.get(name)
        if destination is None:
            # Else it would be told for ever as one that is not reached.
            availability.forget(store, name)
            for errand in due:
                reason = f"destination {name} is no longer configured; add it and retry"
                ledger.refused(errand, reason)
        elif availability.may_try(store, destination):
            _Visit(store, files, ledger, destination, settings).make(due)
    away = availability.known_failures(store, errands)
    for name, (_, reason) in away.items():
        ledger.waits(name, reason)
    return ledger.close(unconfirmed, away)


class _Visit:
    """One round at one destination."""

    def __init__(
        self,
        store: Store,
        files: Files,
        ledger: Ledger,
        destination: Destination,
        settings: Settings,
    ) -> None:
        self._store = store
        self._files = files
        self._ledger = ledger
        self._destination = destination
        self._settings = settings

    def make(self, errands: Sequence[Errand]) -> None:
        """Do what is due; every failure becomes a row."""
        name = self._destination.name
        known = self._identified(errands)
        try:
            with Route(self._destination, known.values(), self._settings, self._store) as route:
                for errand, identity in known.items():
                    self._run(route, errand, identity)
                self._ask(route, list(known))
        except DestinationUnavailableError as error:
            reason = self._told(error)
            log.warning("destination not reached", extra={"destination": name, "reason": reason})
            availability.fails(self._store, name, reason, self._settings)
            return
        if route.reached and availability.works(self._store, name):
            log.info("destination reached again", extra={"destination": name})

    def _identified(self, errands: Sequence[Errand]) -> dict[Errand, Identity]:
        known = {}
        for errand in errands:
            try:
                known[errand] = read_identity(self._files.absolute(errand.path))
            except PermanentError as error:
                self._ledger.refused(errand, self._told(error))
        return known

    def _run(self, route: Route, errand: Errand, identity: Identity) -> None:
        try:
            self._bring(route, errand, identity)
        except LeaseLostError:
            raise
        except ObjectPostponedError as error:
            self._ledger.postponed(errand, self._told(error))
        except DestinationUnavailableError as error:
            if route.reached:
                # Next time the others come first: it may be this object that breaks it off.
                self._ledger.postponed(errand, self._told(error))
            raise
        except PermanentError as error:
            self._ledger.refused(errand, self._told(error))

    def _bring(self, route: Route, errand: Errand, identity: Identity) -> None:
        if errand.state == PENDING:
            path = self._files.absolute(errand.path)
            self._ledger.sent(errand, route.store(path, identity))
        elif errand.state == ASKED:
            self._ledger.unreported(errand, self._told("no Storage Commitment report in time"))
        if self._destination.confirm == "none" or route.commits:
            return
        if not route.is_listed(identity):
            raise ObjectPostponedError(f"does not list {errand.sop_instance_uid} yet")
        self._ledger.confirmed(errand)

    def _ask(self, route: Route, errands: Sequence[Errand]) -> None:
        """Ask for commitment to everything that was sent, in this round or before."""
        try:
            if not errands or not route.commits:
                return
        except PermanentError:
            return  # each of them was told
        transaction_uid = generate_uid(prefix=None)
        about = self._ledger.asked(errands, transaction_uid, self._destination.commitment_seconds)
        items = [Reference(each.sop_class_uid, each.sop_instance_uid) for each in about]
        try:
            if items:
                route.ask(transaction_uid, items)
        except ObjectPostponedError as error:
            self._ledger.unasked(about, self._told(error))
        except DestinationUnavailableError as error:
            self._ledger.unasked(about, self._told(error))
            raise

    def _told(self, reason: object) -> str:
        return f"{self._destination.name}: {reason}"
