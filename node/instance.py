"""Stage 2: one received data set becomes one durable instance, and only then a success.

In: what a sender claims, then the bytes of its data set, from either door (C-STORE, STOW-RS). Out:
a file under `instances/`, its row, its study's deadline, all committed; then status 0x0000.

The order is: validate, temporary file, fsync, final name, fsync of the folder, row, commit, answer.
A crash before the commit leaves nothing that was acknowledged and nothing that stays. Nothing is
ever overwritten: the same bytes again are a success, other bytes under a known SOP Instance UID are
kept apart, answered with a warning, each time they come, and reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from logging import DEBUG

from sqlalchemy.exc import SQLAlchemyError

from node.admission import Admission
from node.arrival import CONFLICT, Arrival
from node.errors import (
    CannotUnderstandError,
    DataSetMismatchError,
    OutOfResourcesError,
    RefusedError,
)
from node.header import Header, parse_head, parse_header, read_header
from node.identifiers import is_uid
from node.logs import log
from node.peers import Peer
from node.recording import Depot, committed_end, pack_arrivals, record_arrivals
from node.rejection import KEY_OBJECT_SELECTION, read_note
from node.routes import PRIOR_ROUTE, Decision, Routes
from node.settings import Settings
from node.store.files import Files
from node.store.group_commit import GroupCommit
from node.store.incoming import Claim as Claim
from node.store.incoming import Incoming
from node.store.packs import Pack
from node.store.session import Store
from node.store.spool import Spool, abandoned, clean, loose_files
from node.study import PRIOR_REASON

SUCCESS = 0x0000
# PS3.4 table B.2-1. Kept, but not as the instance that was known by this UID before.
KEPT_APART = 0xB000
# The range for "cannot understand"; this one says that we failed, not the data.
PROCESSING_FAILURE = 0xC211
REFUSED, FAILED = "refused", "failed"

PRIOR = Decision(PRIOR_ROUTE, (), PRIOR_REASON)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one instance. `comment` is an Error Comment, "" for success."""

    status: int
    comment: str
    kind: str


@dataclass(frozen=True, slots=True)
class Reception:
    """What receiving needs; made once per process."""

    settings: Settings
    store: Store
    files: Files
    routes: Routes
    peers: dict[str, Peer] = field(default_factory=dict)


class Inbox:
    """What both doors put instances through; one for all associations of a process."""

    def __init__(self, reception: Reception, spool: Spool) -> None:
        self.reception = reception
        self._spool = spool
        files = reception.files
        self._depot = Depot(reception.store, files, Pack(files.root, spool.folder))
        self._admission = Admission(reception.settings, reception.store, reception.files)
        self._packing: GroupCommit[Arrival, None] = GroupCommit(self._pack)
        self._commits: GroupCommit[Arrival, str] = GroupCommit(self._commit, reception.store.turn())

    def open(self, claim: Claim) -> Incoming:
        """Begin one data set. Never raises: a refusal is the outcome of its `settle`."""
        try:
            self._check(claim)
        except RefusedError as error:
            return Incoming.refused(error, claim)
        return self._spool.new(claim)

    def settle(self, batch: Sequence[Incoming]) -> list[Outcome]:
        """Make complete data sets durable, in order; committed when this returns. Never raises."""
        prepared = [self._prepare(incoming) for incoming in batch]
        arrivals = [item for item in prepared if isinstance(item, Arrival)]
        kinds = iter(self._committed(arrivals))
        return [
            self._finish(item.incoming, next(kinds)) if isinstance(item, Arrival) else item
            for item in prepared
        ]

    def close(self) -> None:
        """Leave the folder of state as if no process had died; nothing may be settled any more."""
        self._depot.pack.close()
        self._spool.close()

    def _check(self, claim: Claim) -> None:
        self._admission.check(claim.calling_ae_title)
        if not is_uid(claim.AffectedSOPInstanceUID) or not is_uid(claim.AffectedSOPClassUID):
            raise CannotUnderstandError("Affected SOP Class or Instance UID is not a UID")

    def _prepare(self, incoming: Incoming) -> Arrival | Outcome:
        """Validate and sync; the shell where every failure becomes an outcome."""
        try:
            if incoming.failure is not None:
                raise incoming.failure
            header = _header_of(incoming)
            _check_claims(incoming.claim, header)
            incoming.sync(self.reception.files, header.study_uid, header.sop_instance_uid)
            return self._arrival(incoming, header)
        except RefusedError as error:
            return self._refuse(incoming, error)
        except OSError as error:
            return self._refuse(incoming, _no_room(error))
        except Exception:  # noqa: BLE001  # never acknowledge, never lose the association
            log.exception("instance not stored", extra=_facts(incoming.claim))
            incoming.discard()
            return Outcome(PROCESSING_FAILURE, "internal error, see the node's log", FAILED)

    def _arrival(self, incoming: Incoming, header: Header) -> Arrival:
        claim, reception = incoming.claim, self.reception
        attributes = header.attributes | {"CallingAETitle": claim.calling_ae_title}
        prior = claim.move_originator_ae_title == reception.settings.ae_title
        decision = PRIOR if prior else reception.routes.decide(attributes)
        arrival = Arrival(incoming, header, incoming.digest(), attributes, decision, prior)
        if header.sop_class_uid == KEY_OBJECT_SELECTION and not prior:
            with arrival.open() as stream:
                syntax = claim.transfer_syntax_uid
                arrival.attributes |= read_note(stream, arrival.dataset_bytes, syntax)
        return arrival

    def _committed(self, arrivals: Sequence[Arrival]) -> list[str | RefusedError]:
        if not arrivals:
            return []
        try:
            packed = [arrival for arrival in arrivals if arrival.belongs_in_pack]
            if packed:
                self._packing.settle(packed)
            return list(self._commits.settle(arrivals))
        except (OSError, SQLAlchemyError):
            # One instance that cannot be written must not take those beside it along.
            return [self._alone(arrival) for arrival in arrivals]

    def _alone(self, arrival: Arrival) -> str | RefusedError:
        try:
            if arrival.belongs_in_pack:
                self._pack([arrival])
            return self._commit([arrival])[0]
        except (OSError, SQLAlchemyError) as error:
            return _no_room(error)

    def _pack(self, arrivals: list[Arrival]) -> list[None]:
        return pack_arrivals(self._depot, arrivals)

    def _commit(self, arrivals: list[Arrival]) -> list[str]:
        return record_arrivals(self._depot, arrivals, self.reception.settings)

    def _finish(self, incoming: Incoming, kind: str | RefusedError) -> Outcome:
        if isinstance(kind, RefusedError):
            return self._refuse(incoming, kind)
        incoming.discard()
        claim = incoming.claim
        self._admission.count(claim.calling_ae_title, incoming.size_bytes)
        if log.isEnabledFor(DEBUG):
            log.debug("instance stored", extra=_facts(claim) | {"outcome": kind})
        if kind == CONFLICT:
            return Outcome(KEPT_APART, "other content under a known UID: kept apart", kind)
        return Outcome(SUCCESS, "", kind)

    def _refuse(self, incoming: Incoming, error: RefusedError) -> Outcome:
        incoming.discard()
        facts = {"status": f"{error.status:04X}", "reason": str(error)}
        log.warning("instance refused", extra=_facts(incoming.claim) | facts)
        return Outcome(error.status, str(error), REFUSED)


def recover(reception: Reception) -> int:
    """Remove what dead processes of this state folder left; returns how many files that was."""
    files, store = reception.files, reception.store
    return loose_files(files.incoming) + sum(
        clean(folder, lambda relative: committed_end(store, relative), files.root)
        for folder in abandoned(files.incoming)
    )


def _header_of(incoming: Incoming) -> Header:
    syntax = incoming.claim.transfer_syntax_uid
    header = parse_head(incoming.head(), incoming.size_bytes - incoming.dataset_offset, syntax)
    if header is not None:
        return header
    content = incoming.content()
    if content is not None:
        return parse_header(bytes(content[incoming.dataset_offset :]), syntax)
    incoming.flush()
    return read_header(incoming.path, incoming.dataset_offset, syntax)


def _check_claims(claim: Claim, header: Header) -> None:
    if header.sop_class_uid != claim.AffectedSOPClassUID:
        raise DataSetMismatchError("SOPClassUID differs from Affected SOP Class UID")
    if header.sop_instance_uid != claim.AffectedSOPInstanceUID:
        raise DataSetMismatchError("SOPInstanceUID differs from Affected SOP Instance UID")
    if header.transfer_syntax_uid not in ("", claim.transfer_syntax_uid):
        # Behind our own File Meta Information readers would take it for a part of that.
        raise CannotUnderstandError("group 0002 in the data set names another transfer syntax")
    if claim.study_instance_uid not in ("", header.study_uid):
        raise DataSetMismatchError("StudyInstanceUID is not that of the request")


def _no_room(error: Exception) -> OutOfResourcesError:
    what = "database" if isinstance(error, SQLAlchemyError) else "disk"
    return OutOfResourcesError(f"{what} cannot take it; send it again later")


def _facts(claim: Claim) -> dict[str, str]:
    return {
        # As long as a UID may be; what is longer is no UID and came from who knows whom.
        "sop_instance": claim.AffectedSOPInstanceUID[:64],
        "calling_ae_title": claim.calling_ae_title,
    }
