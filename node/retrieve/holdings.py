"""What Query/Retrieve gives out: received instances, and the results that the node made of them.

In: a `Selection`. Out: the objects behind it, page by page, each with its file. Instances that
conflict with an earlier one of the same UID are never given out. A result that an archive sent back
to the node is an instance too, and given out once.

Pages instead of one cursor: a slow peer must not hold a read transaction open, which would keep
SQLite's log and PostgreSQL's dead rows from being cleaned.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, select
from sqlalchemy.orm import aliased

from node.errors import CannotUnderstandError
from node.header import read_file
from node.job import REMOVED
from node.query.levels import Selection
from node.store.files import Files
from node.store.originals import as_path, place_of
from node.store.session import Store
from node.store.tables import Instance, Job, Result

PAGE_ROWS = 500

_twin = aliased(Instance)
# Of results; their jobs stay when retention removes their study.
KEPT = Job.state != REMOVED
GIVEN_OUT = Instance.conflict.is_(False)
NOT_RECEIVED = ~exists().where(
    _twin.sop_instance_uid == Result.sop_instance_uid, _twin.conflict.is_(False)
)


@dataclass(frozen=True, slots=True)
class Holding:
    """One object that can be given out, as its file holds it."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    # The row of a received instance, or the file of a result.
    instance_id: int | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class Holdings:
    """The objects of a selection at one moment; what arrives later is not in it."""

    store: Store
    files: Files
    selection: Selection
    instances: int
    last_instance_id: int
    results: tuple[Holding, ...]
    # (SOP class, transfer syntax) of all of them.
    encodings: tuple[tuple[str, str], ...]

    @property
    def count(self) -> int:
        """How many objects."""
        return self.instances + len(self.results)

    def __iter__(self) -> Iterator[Holding]:
        last = 0
        while last < self.last_instance_id:
            with self.store.reading() as session:
                rows = session.execute(
                    _instances(self.selection)
                    .where(Instance.id > last, Instance.id <= self.last_instance_id)
                    .order_by(Instance.id)
                    .limit(PAGE_ROWS)
                ).all()
            if not rows:
                break
            for last, sop_class_uid, sop_instance_uid, syntax in rows:
                yield Holding(sop_class_uid, sop_instance_uid, syntax, last)
        yield from self.results

    @contextmanager
    def file_of(self, holding: Holding) -> Iterator[Path]:
        """The Part 10 file of one of the objects. Raises OSError, SQLAlchemyError."""
        if holding.instance_id is None:
            yield self.files.absolute(holding.path)
            return
        with as_path(self.files, place_of(self.store, holding.instance_id)) as path:
            yield path


def hold(store: Store, files: Files, selection: Selection) -> Holdings:
    """Look up what there is."""
    chosen = _instances(selection).subquery()
    encoding = (chosen.c.sop_class_uid, chosen.c.transfer_syntax_uid)
    with store.reading() as session:
        counted, last = session.execute(
            select(func.count(), func.coalesce(func.max(chosen.c.id), 0))
        ).one()
        pairs = session.execute(select(*encoding).distinct()).all()
        rows = session.execute(_results(selection)).all()
    results = tuple(_result(files, *row) for row in rows)
    pairs_of_results = {(each.sop_class_uid, each.transfer_syntax_uid) for each in results}
    encodings = sorted({(sop_class, syntax) for sop_class, syntax in pairs} | pairs_of_results)
    return Holdings(store, files, selection, counted, last, results, tuple(encodings))


def _instances(selection: Selection) -> Select[*tuple[Any, ...]]:
    return select(
        Instance.id,
        Instance.sop_class_uid,
        Instance.sop_instance_uid,
        Instance.transfer_syntax_uid,
    ).where(GIVEN_OUT, Instance.study_uid.in_(selection.study_uids), *_deeper(selection, Instance))


def _results(selection: Selection) -> Select[*tuple[Any, ...]]:
    return (
        select(Result.sop_class_uid, Result.sop_instance_uid, Result.path)
        .join(Job)
        .where(KEPT, NOT_RECEIVED, Job.study_uid.in_(selection.study_uids))
        .where(*_deeper(selection, Result))
        .order_by(Result.id)
    )


def _deeper(
    selection: Selection, table: type[Instance] | type[Result]
) -> Iterator[ColumnElement[bool]]:
    if selection.series_uids:
        yield table.series_uid.in_(selection.series_uids)
    if selection.sop_instance_uids:
        yield table.sop_instance_uid.in_(selection.sop_instance_uids)


def _result(files: Files, sop_class_uid: str, sop_instance_uid: str, path: str) -> Holding:
    try:
        _, syntax = read_file(files.absolute(path))
    except CannotUnderstandError:
        # The file is gone or broken: no peer accepts "", so that it counts as failed.
        syntax = ""
    return Holding(sop_class_uid, sop_instance_uid, syntax, path=path)
