"""Stage 8: every result to every destination that wants it; idempotent, confirmed, recorded.

In: the encoded objects of a job, on disk. Out: each delivery is `confirmed`, `sent` where the
destination confirms nothing, or `refused`. What must hold: results have derived UIDs, so sending
again stores nothing twice; a destination that is down keeps nothing from the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from node.destinations import Destination
from node.errors import DestinationRefusedError, DestinationUnavailableError
from node.job import Lease, hold, utc_now
from node.store.files import Files
from node.store.session import Store
from node.store.tables import Delivery
from workers.dicom import dimse, stow
from workers.dicom.identity import read_identity

PENDING, SENT, CONFIRMED, REFUSED = "pending", "sent", "confirmed", "refused"


def deliver(result_path: Path, destination: Destination, ae_title: str) -> None:
    """Send one object, its bytes as they are; an object that is there already counts as sent.

    Raises DestinationUnavailableError (transient), DestinationRefusedError, NotFoundError.
    """
    identity = read_identity(result_path)
    if destination.protocol == "stow":
        stow.store(result_path, identity, destination)
    else:
        dimse.store(result_path, identity, destination, ae_title)


def confirm(result_path: Path, destination: Destination, ae_title: str) -> bool:
    """Whether the destination lists the object; True where it is told to confirm nothing.

    Raises DestinationUnavailableError, DestinationRefusedError, NotFoundError.
    """
    if destination.confirm == "none":
        return True
    identity = read_identity(result_path)
    if destination.confirm == "qido":
        return stow.find(identity, destination)
    return dimse.find(identity, destination, ae_title)


def echo(destination: Destination, ae_title: str) -> None:
    """Ask whether the destination answers, and to us.

    Raises DestinationUnavailableError, DestinationRefusedError.
    """
    if destination.protocol == "stow":
        stow.echo(destination)
    if destination.protocol == "c-store" or destination.confirm == "c-find":
        dimse.echo(destination, ae_title)


@dataclass(frozen=True, slots=True)
class _Errand:
    """One delivery that is not finished."""

    delivery_id: int
    destination: str
    path: str
    state: str
    sop_instance_uid: str


def deliver_results(
    store: Store,
    files: Files,
    lease: Lease,
    destinations: Sequence[Destination],
    ae_title: str,
) -> list[str]:
    """Finish every delivery of the job and return one sentence per refusal.

    Raises DestinationUnavailableError once all others are done, LeaseLostError.
    """
    by_name = {destination.name: destination for destination in destinations}
    refusals: list[str] = []
    unavailable: dict[str, str] = {}
    for errand in _errands(store, lease):
        if errand.destination in unavailable:
            continue
        try:
            _run(store, files, lease, errand, by_name, ae_title)
        except DestinationUnavailableError as error:
            unavailable[errand.destination] = str(error)
            _record(store, lease, errand, None, str(error))
        except DestinationRefusedError as error:
            refusals.append(str(error))
            _record(store, lease, errand, REFUSED, str(error))
    if unavailable:
        raise DestinationUnavailableError("; ".join(sorted(unavailable.values())))
    return sorted(set(refusals))


def _run(
    store: Store,
    files: Files,
    lease: Lease,
    errand: _Errand,
    destinations: dict[str, Destination],
    ae_title: str,
) -> None:
    destination = destinations.get(errand.destination)
    if destination is None:
        raise DestinationRefusedError(
            f"destination {errand.destination} is no longer configured; add it and retry"
        )
    path = files.absolute(errand.path)
    if errand.state == PENDING:
        deliver(path, destination, ae_title)
        _record(store, lease, errand, SENT)
    if destination.confirm == "none":
        return
    if not confirm(path, destination, ae_title):
        if errand.state == SENT:
            # Sent on an earlier try and still not listed: send it again, which costs nothing.
            _record(store, lease, errand, PENDING)
        raise DestinationUnavailableError(
            f"{destination.name} does not list {errand.sop_instance_uid} yet"
        )
    _record(store, lease, errand, CONFIRMED)


def _errands(store: Store, lease: Lease) -> list[_Errand]:
    with store.writing() as session:
        job = hold(session, lease)
        return [
            _Errand(
                delivery.id,
                delivery.destination,
                result.path,
                delivery.state,
                result.sop_instance_uid,
            )
            for result in job.results
            for delivery in result.deliveries
            if delivery.state in (PENDING, SENT)
        ]


def _record(
    store: Store, lease: Lease, errand: _Errand, state: str | None, error: str | None = None
) -> None:
    """Write a new state (None: the same) and the error, or clear it."""
    with store.writing() as session:
        hold(session, lease)
        delivery = session.get_one(Delivery, errand.delivery_id)
        delivery.error = error
        if state == SENT:
            delivery.attempts += 1
            delivery.sent_at = utc_now()
        elif state == CONFIRMED:
            delivery.confirmed_at = utc_now()
        delivery.state = state or delivery.state
