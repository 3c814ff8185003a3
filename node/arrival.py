"""New, the same again, or another object of a known UID: what an instance that arrived is.

In: valid data sets, and a transaction on the rows. Out: the kind of each. What is the same is
decided by the bytes; size and digest only say with which to compare.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any, BinaryIO
from zlib import crc32

from sqlalchemy import Connection, Integer, bindparam, func, literal_column, select, update

from node.header import Header
from node.routes import PRIOR_ROUTE, Decision
from node.store.digest import agrees
from node.store.files import Files
from node.store.incoming import Incoming
from node.store.originals import PLACE, Place, is_there, open_original, same_bytes
from node.store.statements import Statement
from node.store.tables import Instance, Study

NEW, SAME, CONFLICT = "new", "same", "conflict"


@dataclass(slots=True)
class Arrival:
    """One valid data set, synced in the spool."""

    incoming: Incoming
    header: Header
    digest: str
    attributes: dict[str, Any]
    decision: Decision
    # Fetched by this node for comparison: kept, never analysed.
    prior: bool
    kind: str = NEW
    # Where its bytes stand, as in its row.
    path: str = ""
    pack_offset: int | None = None
    content: bytes | None = None
    # Until now the object was only here as a prior; its modality sends it, so it is analysed.
    takes_over: bool = False
    # It is the same again as one that is kept apart from another object of its UID.
    apart: bool = False
    # The row is there and its file is not: success would be a lie, so this one takes its place.
    heals: bool = False
    # Of the rows of its UID: study and time, and the studies that retention may be removing.
    known: frozenset[tuple[str, datetime]] = frozenset()
    aged_study_uids: frozenset[str] = frozenset()
    # When the first instance of its study came, as its row says.
    study_began_at: datetime | None = None

    @property
    def outcome(self) -> str:
        """What its sender is told: that it is kept apart also when it comes again."""
        return CONFLICT if self.apart else self.kind

    @property
    def belongs_in_pack(self) -> bool:
        """Whether it is of medium size, and stands nowhere yet."""
        return not self.path and self.incoming.pages() is not None

    @property
    def dataset_bytes(self) -> int:
        """Size of the data set, without preamble and File Meta Information."""
        return self.incoming.size_bytes - self.incoming.dataset_offset

    def open(self) -> BinaryIO:
        """Its data set. Raises OSError."""
        content = self.incoming.content()
        stream = self.incoming.path.open("rb") if content is None else BytesIO(content)
        stream.seek(self.incoming.dataset_offset)
        return stream


_ROW = Instance.__table__.c
# Without the objects themselves: a faulty device may have given one UID to thousands.
_KNOWN = Statement(
    select(
        *(_ROW.study_uid, _ROW.received_at, _ROW.digest, _ROW.dataset_offset, _ROW.route),
        *(_ROW.conflict, _ROW.size_bytes, _ROW.id),
    ).where(_ROW.sop_instance_uid == bindparam("uid"))
)
_PLACE = Statement(select(*PLACE).where(_ROW.id == bindparam("id")))
_RENEW = Statement(
    update(Study)
    .where(Study.__table__.c.study_uid == bindparam("uid"))
    .values(last_instance_at=bindparam("now", type_=Study.__table__.c.last_instance_at.type))
)
# The first number tells these locks from others that somebody may take in the same database.
_HAVE_UID = Statement(
    select(func.pg_advisory_xact_lock(literal_column("20050"), bindparam("uid", type_=Integer)))
)
# Retention keeps for a day at least (KEEP_DAYS); half of that for clocks that differ.
_AGED = timedelta(hours=12)


@dataclass(slots=True)
class _Known:
    """An object that was recorded before, or that stands earlier in the same transaction."""

    digest: str
    dataset_bytes: int
    prior: bool
    apart: bool
    # Its data set; None when its bytes are gone: then those of the same digest take their place.
    open: Callable[[], BinaryIO | None]
    # Whether they were there when they were compared.
    there: bool = True
    # Of a row: the study, and when it came.
    study_uid: str = ""
    received_at: datetime | None = None

    def is_same(self, arrival: Arrival) -> bool:
        """Whether these are the bytes that came again. Raises OSError."""
        if self.dataset_bytes != arrival.dataset_bytes:
            return False
        if _algorithm(self.digest) == _algorithm(arrival.digest) and self.digest != arrival.digest:
            return False
        with arrival.open() as arrived:
            stored = self.open()
            self.there = stored is not None
            if stored is None:
                with suppress(ValueError):  # a digest of a kind that this version does not know
                    return agrees(arrived, self.digest)
                return False
            with stored:
                return same_bytes(stored, arrived)


def have_to_itself(connection: Connection, arrivals: Sequence[Arrival]) -> None:
    """Let no other process record objects of these UIDs until the transaction ends.

    Two that get different bytes under one UID at the same moment would each see no row, and both
    take theirs for the only one. SQLite lets one transaction write at a time anyway.
    """
    if connection.dialect.name == "postgresql":
        uids = {crc32(arrival.header.sop_instance_uid.encode()) for arrival in arrivals}
        # In this order everywhere, so that two receivers never wait for each other. Signed.
        _HAVE_UID.run(connection, [{"uid": uid - (1 << 31)} for uid in sorted(uids)])


def classify(connection: Connection, files: Files, arrivals: Sequence[Arrival]) -> None:
    """Tell new instances from known ones, and from others of the same UID. Raises OSError."""
    by_uid: dict[str, list[_Known]] = {}
    for arrival in arrivals:
        uid = arrival.header.sop_instance_uid
        if uid not in by_uid:
            rows_of_uid = _KNOWN.rows(connection, uid=uid)
            by_uid[uid] = [_known(connection, files, row) for row in rows_of_uid]
        known = by_uid[uid]
        rows = [(e.study_uid, e.received_at) for e in known if e.received_at is not None]
        arrival.known, arrival.aged_study_uids = frozenset(rows), _aged(rows)
        same = next((each for each in known if each.is_same(arrival)), None) if known else None
        arrival.heals = arrival.apart = False
        # An archive may have encoded or completed its copy anew: no conflict with the original.
        arrival.takes_over = bool(known) and not arrival.prior and all(e.prior for e in known)
        if arrival.takes_over:
            for each in known:
                each.apart = each is not same
        if same is None:
            arrival.kind = NEW if arrival.takes_over or not known else CONFLICT
            known.append(_arrived(arrival))
            continue
        arrival.kind, arrival.apart = SAME, same.apart
        # Of rows of version 0.1 the digest is another one.
        arrival.digest = same.digest
        arrival.heals = not same.there
        if arrival.heals:
            same.open, same.there = arrival.open, True
        same.prior = same.prior and arrival.prior


def renew_known(connection: Connection, arrivals: Sequence[Arrival], now: datetime) -> bool:
    """Count known objects that come again as activity of their studies; whether some are others.

    Afterwards the studies are locked: what is known now stays so until the transaction ends. Only
    those that came long ago are looked at, for retention removes no others.
    """
    study_uids = sorted({uid for arrival in arrivals for uid in arrival.aged_study_uids})
    if not study_uids:
        return False
    _RENEW.run(connection, [{"uid": uid, "now": now} for uid in study_uids])
    return any(
        _now_known(connection, arrival.header.sop_instance_uid) != arrival.known
        for arrival in arrivals
        if arrival.aged_study_uids
    )


def _now_known(connection: Connection, sop_instance_uid: str) -> frozenset[tuple[str, datetime]]:
    # Not their number: in the place of one that is gone others may have been stored meanwhile.
    rows = _KNOWN.rows(connection, uid=sop_instance_uid)
    return frozenset((study_uid, received_at) for study_uid, received_at, *_ in rows)


def is_known(connection: Connection, sop_instance_uid: str) -> bool:
    """Whether there is a row of this UID now. Raises the driver's errors."""
    return bool(_KNOWN.rows(connection, uid=sop_instance_uid))


def _known(connection: Connection, files: Files, row: Sequence[Any]) -> _Known:
    study_uid, received_at, digest, dataset_offset, route, conflict, size_bytes, row_id = row

    def open_data_set() -> BinaryIO | None:
        found = _PLACE.rows(connection, id=row_id)
        # No row: retention has removed the study since. `renew_known` finds that out.
        if not found or not is_there(files, place := Place(*found[0])):
            return None
        stream = open_original(files, place)
        stream.seek(dataset_offset)
        return stream

    return _Known(
        digest=digest,
        dataset_bytes=size_bytes - dataset_offset,
        prior=route == PRIOR_ROUTE,
        apart=conflict,
        open=open_data_set,
        study_uid=study_uid,
        received_at=received_at,
    )


def _arrived(arrival: Arrival) -> _Known:
    return _Known(
        digest=arrival.digest,
        dataset_bytes=arrival.dataset_bytes,
        prior=arrival.prior,
        apart=arrival.kind == CONFLICT,
        open=arrival.open,
    )


def _aged(rows: Sequence[tuple[str, datetime]]) -> frozenset[str]:
    before = datetime.now(UTC) - _AGED
    return frozenset(study_uid for study_uid, received_at in rows if received_at < before)


def _algorithm(digest: str) -> str:
    return digest.partition(":")[0]
