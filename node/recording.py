"""One transaction for the instances that arrived within a moment: files, rows, studies' deadlines.

In: data sets that are valid; files are durable under their final names. Out: objects of medium size
in the pack (`pack_arrivals`, before the transaction), rows of studies, series and instances, moved
deadlines; all of it committed when `record_arrivals` returns.

This runs for every instance, so nothing in it may grow with the size of the store or of the study.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from node.arrival import (
    CONFLICT,
    SAME,
    Arrival,
    classify,
    have_to_itself,
    is_known,
    renew_known,
)
from node.header import SERIES_KEYS
from node.job import utc_now
from node.routes import PRIOR_ROUTE
from node.settings import Settings
from node.store.files import Files
from node.store.packs import Pack, is_pack
from node.store.session import Store, left_nothing
from node.store.statements import Statement, insert_missing
from node.store.tables import Event, Instance, Series
from node.study import Arrived, joined_identity, register, view_of

_REMEMBERED_SERIES = 1000
_SeriesKey = tuple[str, str, datetime | None]


@dataclass(frozen=True, slots=True)
class Depot:
    """Where a process keeps what it records."""

    store: Store
    files: Files
    pack: Pack
    # Study and series UIDs of rows that are committed, the last thousand, so that they need not be
    # looked for with each image. Each with the time that its study began: retention removes rows,
    # and a study that comes again begins at another.
    series: OrderedDict[_SeriesKey, None] = field(default_factory=OrderedDict)

    def remember(self, arrivals: Sequence[Arrival]) -> None:
        """The series of these are committed."""
        for arrival in arrivals:
            self.series[_series_key(arrival)] = None
        while len(self.series) > _REMEMBERED_SERIES:
            self.series.popitem(last=False)


def pack_arrivals(depot: Depot, arrivals: Sequence[Arrival]) -> list[None]:
    """Make those durable that belong in a pack, before their transaction. Raises as the next.

    While one process, or one transaction, waits for the disk here, another commits. Known UIDs are
    left to the transaction: most are the same objects again, of which nothing more is kept.
    """
    with depot.store.looking() as connection:
        new = [a for a in arrivals if not is_known(connection, a.header.sop_instance_uid)]
    _pack(depot.pack, new)
    return [None] * len(arrivals)


def record_arrivals(depot: Depot, arrivals: Sequence[Arrival], settings: Settings) -> list[str]:
    """What to tell of each arrival: NEW, SAME or CONFLICT. Raises OSError, SQLAlchemyError.

    When it raises nothing is recorded, unless the connection was lost in the very commit; asking
    again tells, because then the instance is SAME. Until then its file has both names.
    """
    kept: list[Arrival] = []
    committing = False
    try:
        with depot.store.committing() as connection:
            have_to_itself(connection, arrivals)
            classify(connection, depot.files, arrivals)
            if renew_known(connection, arrivals, utc_now()):
                classify(connection, depot.files, arrivals)
            kept = [arrival for arrival in arrivals if arrival.kind != SAME or arrival.heals]
            _place(depot.pack, kept)
            _heal(connection, [arrival for arrival in arrivals if arrival.heals])
            inserted = [a for a in arrivals if a.kind != SAME or a.takes_over]
            _insert(connection, depot, inserted, settings)
            committing = True
    except BaseException as error:
        # Another server may answer next, which lacks what this one had committed last.
        depot.series.clear()
        if committing and not left_nothing(error):
            for arrival in kept:
                arrival.incoming.doubt()
        raise
    depot.remember(inserted)
    for arrival in kept:
        arrival.incoming.keep()
    return [arrival.outcome for arrival in arrivals]


def committed_end(store: Store, relative: str) -> int | None:
    """Where the last committed object of a file or pack ends; None when no row names it."""
    if is_pack(relative):
        end = func.max(Instance.pack_offset + Instance.size_bytes)
        packed = Instance.pack_offset.is_not(None)
        with store.reading() as session:
            return session.scalar(select(end).where(Instance.path == relative, packed))
    sop_instance_uid = relative.rsplit("/", 1)[1].rsplit(".", 2)[0]
    with store.reading() as session:
        rows = session.execute(
            select(Instance.path, Instance.size_bytes).where(
                Instance.sop_instance_uid == sop_instance_uid
            )
        )
        return next((size_bytes for path, size_bytes in rows if path == relative), None)


_ROW = Instance.__table__.c
_SERIES = Statement(
    select(Series.__table__.c.series_uid).where(
        Series.__table__.c.study_uid == bindparam("study_uid"),
        Series.__table__.c.series_uid == bindparam("series_uid"),
    )
)
_INSERT_SERIES = insert_missing(Series, ("study_uid", "series_uid", *SERIES_KEYS))
_INSERT_INSTANCE = Statement(
    insert(Instance).values(
        {column.name: bindparam(column.name) for column in _ROW if column.name != "id"}
    )
)


def _heal(connection: Connection, healing: Sequence[Arrival]) -> None:
    """Put a file that came again in the place of one that is gone or cut."""
    for arrival in healing:
        incoming = arrival.incoming
        connection.execute(
            update(Instance)
            .where(
                Instance.sop_instance_uid == arrival.header.sop_instance_uid,
                Instance.digest == arrival.digest,
            )
            .values(
                path=arrival.path,
                pack_offset=arrival.pack_offset,
                size_bytes=incoming.size_bytes,
                dataset_offset=incoming.dataset_offset,
                content=arrival.content,
            )
        )


def _place(pack: Pack, kept: Sequence[Arrival]) -> None:
    """Say where the bytes stand; what belongs in a pack is there afterwards. Raises OSError."""
    _pack(pack, [arrival for arrival in kept if arrival.belongs_in_pack])
    for arrival in kept:
        if arrival.path:
            continue
        content = arrival.incoming.content()
        if content is None:
            arrival.path = arrival.incoming.relative
        else:
            arrival.content = bytes(content)


def _pack(pack: Pack, arrivals: Sequence[Arrival]) -> None:
    pages = [arrival.incoming.pages() or b"" for arrival in arrivals]
    if not pages:
        return
    for arrival, place in zip(arrivals, pack.append(pages), strict=True):
        arrival.path, arrival.pack_offset = place


def _insert(
    connection: Connection, depot: Depot, kept: Sequence[Arrival], settings: Settings
) -> None:
    now = utc_now()
    # In this order everywhere, so that two receivers never wait for each other's studies.
    for study_uid in sorted({arrival.header.study_uid for arrival in kept}):
        members = [arrival for arrival in kept if arrival.header.study_uid == study_uid]
        _insert_into(connection, depot, study_uid, members, settings, now)


def _insert_into(
    connection: Connection,
    depot: Depot,
    study_uid: str,
    members: Sequence[Arrival],
    settings: Settings,
    now: datetime,
) -> None:
    arrived = [
        Arrived(
            route=arrival.decision.route,
            wanted=bool(arrival.decision.models) and arrival.kind != CONFLICT,
            prior=arrival.prior,
            view=view_of(arrival.attributes, arrival.decision.stands_in),
            apart=arrival.kind == CONFLICT,
            attributes=arrival.attributes,
        )
        for arrival in members
    ]
    identity = joined_identity([arrival.header.study for arrival in members])
    registered = register(connection, study_uid, identity, arrived, settings, now)
    for arrival in members:
        arrival.study_began_at = registered.first_instance_at
    _insert_series(connection, [a for a in members if _series_key(a) not in depot.series])
    paired = list(zip(members, registered.revisions, strict=True))
    rows = [_row(arrival, revision, now) for arrival, revision in paired if arrival.kind != SAME]
    if rows:
        _INSERT_INSTANCE.run(connection, rows)
    for arrival, revision in paired:
        if arrival.takes_over:
            _take_over(connection, arrival, revision, now)
        if arrival.kind == CONFLICT:
            _record_conflict(connection, arrival, revision or 0, now)


def _take_over(
    connection: Connection, arrival: Arrival, revision: int | None, now: datetime
) -> None:
    """Put the modality's object in the place of its copies that were fetched as priors."""
    copies = update(Instance).where(
        Instance.sop_instance_uid == arrival.header.sop_instance_uid,
        Instance.route == PRIOR_ROUTE,
    )
    connection.execute(copies.where(Instance.digest != arrival.digest).values(conflict=True))
    row = _row(arrival, revision, now)
    decided = ("calling_ae_title", "peer_host", "received_at", "conflict", "route", "models")
    values = {name: row[name] for name in (*decided, "skip_reason", "attributes", "revision")}
    # Where these very bytes were fetched their row and file stay; else the row is inserted.
    connection.execute(copies.where(Instance.digest == arrival.digest).values(values))


def _series_of(arrival: Arrival) -> tuple[str, str]:
    return arrival.header.study_uid, arrival.header.series_uid


def _series_key(arrival: Arrival) -> _SeriesKey:
    return *_series_of(arrival), arrival.study_began_at


def _insert_series(connection: Connection, members: Sequence[Arrival]) -> None:
    series = {_series_of(arrival): arrival.header.series for arrival in members}
    for study_uid, series_uid in sorted(series):
        if not _SERIES.rows(connection, study_uid=study_uid, series_uid=series_uid):
            row = {"study_uid": study_uid, "series_uid": series_uid}
            _INSERT_SERIES.run(connection, [row | series[study_uid, series_uid]])


def _record_conflict(
    connection: Connection, arrival: Arrival, revision: int, now: datetime
) -> None:
    text = f"{arrival.header.sop_instance_uid} came again with other content; kept apart"
    connection.execute(
        insert(Event).values(
            study_uid=arrival.header.study_uid, revision=revision, at=now, stage=CONFLICT, text=text
        )
    )


def _row(arrival: Arrival, revision: int | None, now: datetime) -> dict[str, Any]:
    header, claim = arrival.header, arrival.incoming.claim
    return {
        "study_uid": header.study_uid,
        "series_uid": header.series_uid,
        "sop_instance_uid": header.sop_instance_uid,
        "sop_class_uid": header.sop_class_uid,
        "transfer_syntax_uid": claim.transfer_syntax_uid,
        "path": arrival.path,
        "pack_offset": arrival.pack_offset,
        "size_bytes": arrival.incoming.size_bytes,
        "digest": arrival.digest,
        "dataset_offset": arrival.incoming.dataset_offset,
        "InstanceNumber": header.instance_number,
        "calling_ae_title": claim.calling_ae_title,
        "peer_host": claim.peer_host,
        "received_at": now,
        "conflict": arrival.kind == CONFLICT,
        "route": arrival.decision.route,
        "models": list(arrival.decision.models),
        "skip_reason": arrival.decision.skip_reason,
        "attributes": arrival.attributes,
        "revision": revision,
        "content": arrival.content,
    }
