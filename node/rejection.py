"""Rejection notes: images that their modality or archive has taken back are not analysed.

In: Key Object Selection documents whose title is a reason to reject (IHE Radiology TF-2, RAD-66;
PS3.16 CID 7010), in the study that they are about. Out: the images that they name have no models,
with the reason; a note that another one names says nothing any more, and what it named is analysed
again. What must hold: whether note or image comes first makes no difference; a note that cannot be
read is kept like any object, and rejects nothing.

"Data Retention Policy Expired" (113039) is no word about the images, and is not heeded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection, Text, cast, select

from node.elements import Encoding, encoding_of, path_of, values_at
from node.header import PARSER_ERRORS, inflated, read_file_meta
from node.identifiers import is_uid
from node.logs import log
from node.routes import PRIOR_ROUTE, Routes, is_superfluous
from node.store.tables import Instance

KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"
REJECTED_FOR_QUALITY = "rejected for quality reasons"
# By Code Value of the document's title, DCM: why an image is not analysed.
REASONS = {
    "113001": REJECTED_FOR_QUALITY,
    "113037": "rejected for patient safety reasons",
    "113038": "rejected, made with an incorrect worklist entry",
}
# What is kept of a note with its row.
TITLE, NAMED = "RejectionTitleCodeValue", "ReferencedSOPInstanceUID"

_ROW = Instance.__table__.c
# SQLite takes so many values in one statement wherever it runs.
_ASKED_AT_ONCE = 500

# About 9,000 references. A larger one would hold up other senders while it is read.
_NOTE_BYTES = 1 << 20
_CODE = path_of("ConceptNameCodeSequence", "CodeValue")
_SCHEME = path_of("ConceptNameCodeSequence", "CodingSchemeDesignator")
_REFERENCE = path_of(
    *("CurrentRequestedProcedureEvidenceSequence", "ReferencedSeriesSequence"),
    *("ReferencedSOPSequence", "ReferencedSOPInstanceUID"),
)
_WANTED = (_CODE, _SCHEME, _REFERENCE)


def read_note(stream: BinaryIO, size_bytes: int, transfer_syntax_uid: str) -> dict[str, Any]:
    """What to keep of a Key Object Selection with its row; nothing of one that rejects nothing.

    stream, size_bytes: the encoded data set. Never raises for what stands in it.
    """
    try:
        if size_bytes > _NOTE_BYTES:
            raise ValueError(f"longer than {_NOTE_BYTES} bytes")
        encoding = encoding_of(transfer_syntax_uid)
        note = values_at(_content(stream, size_bytes, encoding), encoding, _WANTED)
        code = _text(note[_CODE][0])
        if _text(note[_SCHEME][0]) != "DCM" or code not in REASONS:
            return {}
        # What is no UID names nothing; PostgreSQL does not take every text.
        return {TITLE: code, NAMED: sorted(filter(is_uid, set(map(_text, note[_REFERENCE]))))}
    except PARSER_ERRORS as error:
        log.warning("key object selection not read", extra={"reason": type(error).__name__})
        return {}


def read_note_file(path: Path) -> dict[str, Any]:
    """The same of a Part 10 file. Raises CannotUnderstandError, OSError."""
    with path.open("rb") as stream:
        meta = read_file_meta(stream)
        size_bytes = path.stat().st_size - meta.dataset_offset
        return read_note(stream, size_bytes, meta.TransferSyntaxUID)


def recalls(connection: Connection, study_uid: str, attributes: Mapping[str, Any]) -> bool:
    """Whether an object that has come changes what is analysed of its study.

    The caller has locked the study's row.
    """
    if TITLE not in attributes:
        return False
    # In SQL: what is kept of a note may be long.
    is_note = cast(_ROW.attributes, Text).contains(f'"{TITLE}"')
    known = select(_ROW.models, is_note).where(
        _ROW.study_uid == study_uid, _ROW.conflict.is_(False)
    )
    named = attributes[NAMED]
    parts = (named[at : at + _ASKED_AT_ONCE] for at in range(0, len(named), _ASKED_AT_ONCE))
    return any(
        models or note
        for part in parts
        for models, note in connection.execute(known.where(_ROW.sop_instance_uid.in_(part)))
    )


def heed_notes(members: Sequence[Instance], routes: Routes) -> None:
    """Take the models from images that a note rejects; give them back where none does any more.

    members: all of a study that are not kept apart, oldest first.
    """
    rejected = _rejected(members)
    for member in members:
        reason, was = rejected.get(member.sop_instance_uid), rejection_of(member)
        if reason is not None and (member.models or was or is_superfluous(member.skip_reason)):
            member.models, member.skip_reason = [], reason
        elif was and reason is None:
            decision = routes.decide(member.attributes)
            member.models, member.skip_reason = list(decision.models), decision.skip_reason


def rejection_of(member: Instance) -> str | None:
    """Why an image is rejected; None where it is not."""
    return member.skip_reason if member.skip_reason in REASONS.values() else None


def _content(stream: BinaryIO, size_bytes: int, encoding: Encoding) -> bytes:
    if not encoding.deflated:
        return stream.read(size_bytes)
    content, size_bytes = inflated(stream, _NOTE_BYTES)
    if size_bytes > _NOTE_BYTES:
        raise ValueError(f"longer than {_NOTE_BYTES} bytes")
    return content


def _text(value: bytes) -> str:
    return value.decode("ascii", errors="replace").strip("\0 ")


def _rejected(members: Sequence[Instance]) -> dict[str, str]:
    """By SOP Instance UID: why the last note that still holds rejects an object."""
    found: dict[str, str] = {}
    for member in reversed(members):
        is_note = TITLE in member.attributes and member.route != PRIOR_ROUTE
        # What a later note has named says nothing any more.
        if is_note and member.sop_instance_uid not in found:
            reason = REASONS[member.attributes[TITLE]]
            for sop_instance_uid in member.attributes[NAMED]:
                found.setdefault(sop_instance_uid, reason)
    return found
