"""C-MOVE and C-GET of the Study Root (PS3.4 annex C): what arrived and what was made of it, again.

In: one request. Out: one C-STORE sub-operation for each object, byte for byte as its file holds it
and in that transfer syntax alone, a pending response after each, a final one that counts them.
C-MOVE sends to a peer of `SENTINODE_PEERS` over an association of its own, C-GET over the one it
came on.

Served here and not by pynetdicom's QueryRetrieveServiceClass, which takes whole data sets only,
names itself as the originator of a C-MOVE and cannot refuse an identifier without counting a
failure.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_GET, C_MOVE
from pynetdicom.dsutils import decode
from pynetdicom.presentation import PresentationContext
from sqlalchemy.exc import SQLAlchemyError

from node.calling import calling
from node.errors import (
    CannotUnderstandError,
    OutOfResourcesError,
    PermanentError,
    RefusedError,
    TransientError,
)
from node.instance import Reception
from node.logs import log
from node.query.levels import Selection, read_selection
from node.retention.hold import held
from node.retrieve.holdings import Holding, Holdings, hold
from node.retrieve.sub_operations import MOST_OBJECTS, Progress
from node.upper_layer.sending import bound_sending

# PS3.8 9.3.2.2: presentation context identifiers are odd and one byte.
_MOST_CONTEXTS = 128
# PS3.4 table C.4-2: unable to process; this one says that we failed, not the request.
_FAILURE = 0xC511

_ENDED = "the association has ended"

Request = C_GET | C_MOVE


class WrongContextError(RefusedError):
    """Refused: SOP Class not supported (PS3.7 C.5.6): not that of the presentation context."""

    status = 0x0122


class UnknownDestinationError(RefusedError):
    """Refused: Move Destination unknown."""

    status = 0xA801


class TooManyObjectsError(RefusedError):
    """Out of Resources: unable to calculate number of matches."""

    status = 0xA701


def serve_retrieval(
    association: Association, request: Request, context: PresentationContext, reception: Reception
) -> None:
    """The DIMSE shell: every outcome becomes a final response and a log line."""
    began = time.monotonic()
    facts: dict[str, object] = {"calling_ae_title": association.requestor.ae_title.strip()}
    progress = Progress(association, request, context)
    try:
        _retrieve(association, request, progress, reception, facts)
    except RefusedError as error:
        facts["reason"] = str(error)
        progress.refuse(error.status, str(error))
    except SQLAlchemyError as error:
        facts["reason"] = type(error).__name__
        progress.refuse(OutOfResourcesError.status, "the database does not answer")
    except Exception as error:  # noqa: BLE001  # the outer shell: the association goes on
        facts["reason"] = type(error).__name__
        progress.refuse(_FAILURE, "internal error, see the node's log")
    seconds = round(time.monotonic() - began, 3)
    log.info("retrieval answered", extra=facts | progress.facts() | {"seconds": seconds})


def _retrieve(
    association: Association,
    request: Request,
    progress: Progress,
    reception: Reception,
    facts: dict[str, object],
) -> None:
    if request.AffectedSOPClassUID != progress.context.abstract_syntax:
        raise WrongContextError("SOP class is not that of the presentation context")
    selection = _selection(request, progress.context)
    facts |= {"query_level": selection.level, "studies": selection.study_uids[:10]}
    destination = _destination(request, reception)
    facts |= {"destination": destination}
    with held(reception.store, selection.study_uids, reception.settings):
        _send_selection(association, selection, destination, progress, reception, facts)


def _send_selection(
    association: Association,
    selection: Selection,
    destination: str,
    progress: Progress,
    reception: Reception,
    facts: dict[str, object],
) -> None:
    holdings = hold(reception.store, reception.files, selection)
    if holdings.count > MOST_OBJECTS:
        # PS3.7 E.1 counts sub-operations in 16 bits.
        raise TooManyObjectsError(f"{holdings.count} objects; {MOST_OBJECTS} are possible at once")
    progress.start(holdings.count)
    try:
        with _target(association, destination, holdings, reception) as target:
            _send_all(holdings, target, progress)
    except (TransientError, PermanentError) as error:
        facts["reason"] = str(error)
        progress.fail_all(holdings, str(error))
    progress.end()


def _selection(request: Request, context: PresentationContext) -> Selection:
    syntax = context.transfer_syntax[0]
    encoded = request.Identifier or BytesIO()
    try:
        identifier = decode(
            encoded, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated
        )
    except Exception as error:
        raise CannotUnderstandError("the identifier cannot be decoded") from error
    return read_selection(identifier)


def _destination(request: Request, reception: Reception) -> str:
    """The peer of a C-MOVE; "" for C-GET. Raises UnknownDestinationError."""
    if isinstance(request, C_GET):
        return ""
    title = str(request.MoveDestination or "").strip()
    if title not in reception.peers:
        raise UnknownDestinationError(f"{title!a} is not in SENTINODE_PEERS")
    return title


@contextmanager
def _target(
    association: Association, destination: str, holdings: Holdings, reception: Reception
) -> Iterator[Association]:
    """The association that carries the sub-operations. Raises SentinodeError."""
    if not destination or not holdings.count:
        yield association
        return
    peer = reception.peers[destination]
    contexts = [(sop_class, [syntax]) for sop_class, syntax in holdings.encodings if syntax]
    with calling(peer, contexts[:_MOST_CONTEXTS], reception.settings) as target:
        bound_sending(target)
        yield target


def _send_all(holdings: Holdings, target: Association, progress: Progress) -> None:
    for holding in holdings:
        if progress.is_over():
            return
        progress.count(holding, *_send(holdings, holding, target, progress))


def _send(
    holdings: Holdings, holding: Holding, target: Association, progress: Progress
) -> tuple[int | None, str]:
    """One C-STORE sub-operation; returns its status, or None and the reason."""
    if not target.is_established:
        return None, _ENDED
    originator = progress.originator
    try:
        with holdings.file_of(holding) as path:
            answer = target.send_c_store(
                path,
                msg_id=progress.next_message_id(),
                priority=progress.request.Priority,
                originator_aet=originator,
                originator_id=progress.message_id if originator else None,
            )
    except ValueError:
        return None, "the peer does not accept this class in this transfer syntax"
    except RuntimeError:  # pynetdicom: it ended since it was looked at
        return None, _ENDED
    except FileNotFoundError:
        return None, "its file is missing"
    except OSError as error:
        # In the middle of a message: nothing else can be sent after half of one.
        target.abort()
        return None, type(error).__name__
    if "Status" not in answer:
        return None, "no answer"
    return int(answer.Status), f"status 0x{answer.Status:04X}"
