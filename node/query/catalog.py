"""What the store answers to C-FIND: studies, series and images as values by keyword.

In: a `Query`. Out: one mapping for each study, series or image that it matches, page by page
(`holdings` says why), so that memory does not grow with the number of matches. Text is spelled as
it came, in Unicode; an attribute that the store does not know is not in the mapping.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, exists, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from node.errors import CannotUnderstandError
from node.header import SERIES_KEYS, STUDY_KEYS, Header, read_file
from node.job import REMOVED
from node.query.contents import RESULT_MODALITIES, SeriesContent, StudyContent, contents
from node.query.levels import Query
from node.retrieve.holdings import GIVEN_OUT, KEPT, NOT_RECEIVED, PAGE_ROWS
from node.store.files import Files
from node.store.session import Store
from node.store.tables import Instance, Job, Result, Series, Study

Values = Mapping[str, Sequence[str]]

_STUDY_COLUMNS: dict[str, InstrumentedAttribute[str]] = {
    "StudyInstanceUID": Study.study_uid,
    **{keyword: getattr(Study, keyword) for keyword in STUDY_KEYS},
}
_STUDY_COUNTS = (
    "ModalitiesInStudy",
    "SOPClassesInStudy",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
)
_SERIES_COLUMNS: dict[str, InstrumentedAttribute[str]] = {
    keyword: getattr(Series, keyword) for keyword in SERIES_KEYS
}
_SERIES_COUNTS = ("SeriesInstanceUID", "NumberOfSeriesRelatedInstances")
_IMAGE_KEYS = ("SOPInstanceUID", "SOPClassUID", "InstanceNumber", "AvailableTransferSyntaxUID")


def known_keywords(level: str) -> frozenset[str]:
    """What can be matched at a level: its own attributes and those of the levels above."""
    known = {*_STUDY_COLUMNS, *_STUDY_COUNTS}
    if level != "STUDY":
        known |= {*_SERIES_COLUMNS, *_SERIES_COUNTS}
    if level == "IMAGE":
        known |= {*_IMAGE_KEYS}
    return frozenset(known)


def find(query: Query, store: Store, files: Files) -> Iterator[Values]:
    """Everything that the query matches."""
    found = {"STUDY": _studies, "SERIES": _series, "IMAGE": _images}[query.level]
    for values in found(query, store, files):
        if all(key.accepts(values.get(keyword, ("",))) for keyword, key in query.matched):
            yield values


def _studies(query: Query, store: Store, _files: Files) -> Iterator[Values]:
    last = ""
    while True:
        with store.reading() as session:
            rows = _study_rows(session, query, last)
            content = contents(session, [row[0] for row in rows])
        for row in rows:
            if row[0] in content:
                yield _study_values(row, content[row[0]])
        if len(rows) < PAGE_ROWS:
            return
        last = rows[-1][0]


def _series(query: Query, store: Store, files: Files) -> Iterator[Values]:
    with store.reading() as session:
        rows = _study_rows(session, query, "")
        content = contents(session, [row[0] for row in rows])
    chosen = query.uids("SeriesInstanceUID")
    for row in rows:
        study = content.get(row[0], {})
        above = _study_values(row, study)
        for series_uid in sorted(study):
            if not chosen or series_uid in chosen:
                yield {
                    **above,
                    **_series_values(row[0], series_uid, study[series_uid], store, files),
                }


def _images(query: Query, store: Store, files: Files) -> Iterator[Values]:
    for above in _series(query, store, files):
        yield from _received(query, above, store)
        yield from _written(query, above, store, files)


def _received(query: Query, above: Values, store: Store) -> Iterator[Values]:
    last = 0
    while True:
        with store.reading() as session:
            rows = session.execute(_instance_rows(query, last)).all()
        for _id, attributes, *own in rows:
            texts = {keyword: _texts(value) for keyword, value in attributes.items()}
            yield {**texts, **above, **_named(_IMAGE_KEYS, own)}
        if len(rows) < PAGE_ROWS:
            return
        last = rows[-1][0]


def _written(query: Query, above: Values, store: Store, files: Files) -> Iterator[Values]:
    with store.reading() as session:
        rows = session.execute(_result_rows(query)).all()
    for sop_instance_uid, sop_class_uid, path in rows:
        header, syntax = _header(files, path)
        number = header.instance_number if header else ""
        own = (sop_instance_uid, sop_class_uid, number, syntax)
        yield {**above, **_named(_IMAGE_KEYS, own)}


def _study_values(row: Row[*tuple[Any, ...]], content: StudyContent) -> Values:
    series = content.values()
    return {
        **_named(_STUDY_COLUMNS, row),
        "ModalitiesInStudy": sorted({each.modality for each in series if each.modality}),
        "SOPClassesInStudy": sorted({uid for each in series for uid in each.sop_classes}),
        "NumberOfStudyRelatedSeries": (str(len(content)),),
        "NumberOfStudyRelatedInstances": (str(sum(each.objects for each in series)),),
    }


def _series_values(
    study_uid: str, series_uid: str, content: SeriesContent, store: Store, files: Files
) -> Values:
    if content.result_path:
        header, _ = _header(files, content.result_path)
        own = _named(tuple(header.series), tuple(header.series.values())) if header else {}
    else:
        with store.reading() as session:
            row = session.execute(
                select(*_SERIES_COLUMNS.values()).where(
                    Series.study_uid == study_uid, Series.series_uid == series_uid
                )
            ).one_or_none()
        own = _named(_SERIES_COLUMNS, row or ())
    counts = _named(_SERIES_COUNTS, (series_uid, str(content.objects)))
    return {**own, **counts, "Modality": (content.modality,)}


def _study_rows(session: Session, query: Query, after: str) -> Sequence[Row[*tuple[Any, ...]]]:
    conditions = [query.condition(keyword, column) for keyword, column in _STUDY_COLUMNS.items()]
    return session.execute(
        select(*_STUDY_COLUMNS.values())
        .where(Study.study_uid > after, Study.state != REMOVED)
        .where(*conditions, _has_modality(query))
        .order_by(Study.study_uid)
        .limit(PAGE_ROWS)
    ).all()


def _has_modality(query: Query) -> ColumnElement[bool]:
    """Asked of each study in turn: a page is full long before the whole store is looked through."""
    key = query.keys.get("ModalitiesInStudy")
    if key is None:
        return true()
    kinds = [kind for kind, modality in RESULT_MODALITIES.items() if key.accepts((modality,))]
    # Not the bare column: by its index SQLite would look through all series of the modality.
    received = exists().where(
        Series.study_uid == Study.study_uid, key.condition(Series.Modality.concat(""))
    )
    made = exists().where(
        Job.study_uid == Study.study_uid, Job.id == Result.job_id, KEPT, Result.kind.in_(kinds)
    )
    return or_(received, made)


def _instance_rows(query: Query, after: int) -> Select[*tuple[Any, ...]]:
    own = (
        Instance.sop_instance_uid,
        Instance.sop_class_uid,
        Instance.InstanceNumber,
        Instance.transfer_syntax_uid,
    )
    return (
        select(Instance.id, Instance.attributes, *own)
        .where(
            Instance.id > after,
            GIVEN_OUT,
            query.condition("StudyInstanceUID", Instance.study_uid),
            query.condition("SeriesInstanceUID", Instance.series_uid),
            query.condition("SOPInstanceUID", Instance.sop_instance_uid),
        )
        .order_by(Instance.id)
        .limit(PAGE_ROWS)
    )


def _result_rows(query: Query) -> Select[*tuple[Any, ...]]:
    return (
        select(Result.sop_instance_uid, Result.sop_class_uid, Result.path)
        .join(Job)
        .where(
            KEPT,
            NOT_RECEIVED,
            query.condition("StudyInstanceUID", Job.study_uid),
            query.condition("SeriesInstanceUID", Result.series_uid),
            query.condition("SOPInstanceUID", Result.sop_instance_uid),
        )
        .order_by(Result.id)
    )


def _header(files: Files, path: str) -> tuple[Header | None, str]:
    try:
        return read_file(files.absolute(path))
    except CannotUnderstandError:  # the file is gone: its row still answers
        return None, ""


def _named(keywords: Sequence[str] | Mapping[str, Any], values: Sequence[str]) -> Values:
    return {keyword: (value,) for keyword, value in zip(keywords, values, strict=False)}


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)
