"""C-FIND of the Study Root (PS3.4 annex C): what arrived, and what the node made of it.

In: the event of one request. Out: a pending response for each match, in UTF-8. What must hold: the
values of an identifier reach neither a log nor an Error Comment; C-CANCEL ends the answer before
the next match; a database that is away is 0xA700, not an abort.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR
from pynetdicom.events import Event
from sqlalchemy.exc import SQLAlchemyError

from node.errors import CannotUnderstandError, OutOfResourcesError, RefusedError
from node.instance import Reception
from node.logs import log
from node.query.catalog import Values, find, known_keywords
from node.query.levels import LEVELS, UNIQUE_KEYS, Asked, Query, read_query

# PS3.4 table C.4-1.
_CANCEL = 0xFE00
_PENDING, _PENDING_PARTIAL = 0xFF00, 0xFF01
# Unable to process; this one says that we failed, not the request.
_FAILURE = 0xC311
# PS3.7 E.1: Error Comment is one LO value.
_COMMENT_CHARACTERS = 64

# VRs whose values are encoded as binary integers (PS3.5 table 6.2-1); the catalog holds text.
_INTEGER_VRS = frozenset(("SL", "SS", "SV", "UL", "US", "UV"))

Response = tuple[int | Dataset, Dataset | None]


def handle_find(event: Event, reception: Reception) -> Iterator[Response]:
    """The DIMSE shell: every outcome becomes a status and a log line."""
    began = time.monotonic()
    facts: dict[str, object] = {"calling_ae_title": event.assoc.requestor.ae_title.strip()}
    matches, status = 0, 0x0000
    try:
        for response in _answer(event, reception, facts):
            matches += 1
            yield response
            if event.is_cancelled:
                status = _CANCEL
                yield _CANCEL, None
                break
    except (RefusedError, SQLAlchemyError) as error:
        refused = error if isinstance(error, RefusedError) else _away(error)
        status = refused.status
        facts["reason"] = str(refused)
        yield failure(status, str(refused)), None
    except Exception as error:  # noqa: BLE001  # the outer shell: the association goes on
        # Not the traceback: it may hold values of the identifier.
        status, facts["reason"] = _FAILURE, type(error).__name__
        yield failure(_FAILURE, "internal error, see the node's log"), None
    finally:
        # Also when pynetdicom does not come back: after a final status, or when the peer is gone.
        facts |= {"status": f"{status:04X}", "matches": matches}
        log.info("query answered", extra=facts | {"seconds": round(time.monotonic() - began, 3)})


def failure(status: int, comment: str) -> Dataset:
    """A status with an Error Comment, as pynetdicom takes it."""
    said = Dataset()
    said.Status = status
    said.ErrorComment = comment[:_COMMENT_CHARACTERS]
    return said


def _answer(event: Event, reception: Reception, facts: dict[str, object]) -> Iterator[Response]:
    query = read_query(_identifier(event), known_keywords)
    facts |= {"query_level": query.level, "keys": sorted(query.keys)}
    pending = _PENDING_PARTIAL if query.is_partial else _PENDING
    ae_title = reception.settings.ae_title
    for values in find(query, reception.store, reception.files):
        yield pending, response(query, values, ae_title)


def response(query: Query, values: Values, ae_title: str) -> Dataset:
    """The identifier of one pending response (PS3.4 C.4.1.1.3.2)."""
    said = Dataset()
    said.SpecificCharacterSet = "ISO_IR 192"
    said.QueryRetrieveLevel = query.level
    always = {"RetrieveAETitle": (ae_title,), "InstanceAvailability": ("ONLINE",)}
    known = {**values, **always}
    for unique in (*UNIQUE_KEYS[: LEVELS.index(query.level) + 1], *always):
        said.add(_element(Asked(Tag(unique), dictionary_VR(unique), unique), known))
    for asked in query.asked:
        said.add(_element(asked, known))
    return said


def _element(asked: Asked, known: Values) -> DataElement:
    if asked.VR == "SQ":
        return DataElement(asked.tag, "SQ", [])
    found: list[str | int] = list(known.get(asked.keyword, ()))
    try:
        if asked.VR in _INTEGER_VRS:
            found = [int(value) for value in found]
        elif asked.VR not in CUSTOMIZABLE_CHARSET_VR:
            # Whatever the character set, this VR has ASCII only (PS3.5 6.1.2.2): bytes of a device
            # that are not could not be encoded, and the whole query would fail.
            found = [str(value).encode("ascii", "replace").decode() for value in found]
        # What devices sent is passed on as it is, valid or not.
        return DataElement(asked.tag, asked.VR, found or None, validation_mode=IGNORE)
    except (ValueError, TypeError, OverflowError):
        # A number that is none cannot be said in a VR of numbers.
        return DataElement(asked.tag, asked.VR, None)


def _identifier(event: Event) -> Dataset:
    try:
        return event.identifier
    except Exception as error:
        raise CannotUnderstandError("the identifier cannot be decoded") from error


def _away(error: SQLAlchemyError) -> OutOfResourcesError:
    return OutOfResourcesError(f"the database does not answer ({type(error).__name__})")
