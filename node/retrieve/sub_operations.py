"""The sub-operations of one C-MOVE or C-GET: counted, and reported to whoever asked (PS3.4 C.4.2).

In: the status of each C-STORE. Out: a pending response after each, and one final response whose
status follows from the counts. What must hold: remaining + completed + warning + failed is the
number of objects at every moment, and every failed one is named in the final response.
"""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_GET, C_MOVE
from pynetdicom.dsutils import encode
from pynetdicom.presentation import PresentationContext

from node.logs import log
from node.retrieve.holdings import Holding

# PS3.7 E.1: Number of Remaining Sub-operations is US.
MOST_OBJECTS = 0xFFFF
# PS3.4 tables C.4-2 and C.4-3.
SUCCESS, PENDING, CANCEL = 0x0000, 0xFF00, 0xFE00
SOME_FAILED, ALL_FAILED = 0xB000, 0xA702
_COMMENT_CHARACTERS = 64


class Progress:
    """Counts the sub-operations of one request, and answers it exactly once."""

    def __init__(
        self, association: Association, request: C_GET | C_MOVE, context: PresentationContext
    ) -> None:
        self.request, self.context = request, context
        # A valid request has one (PS3.7 9.1.3 and 9.1.4).
        self.message_id = int(request.MessageID or 0)
        self.remaining = self.completed = self.warning = 0
        self.is_started = False
        self.failed_uids: list[str] = []
        self._association = association
        self._messages = 0
        self._cancelled = False
        self._comment = ""
        self._status: int | None = None

    @property
    def originator(self) -> str | None:
        """Who asked for a C-MOVE, which its sub-operations say (PS3.7 9.1.1.1.6)."""
        if isinstance(self.request, C_GET):
            return None
        return str(self._association.requestor.ae_title).strip()

    def start(self, objects: int) -> None:
        """The request is understood and this many objects are to be sent."""
        self.is_started, self.remaining = True, objects

    def next_message_id(self) -> int:
        """A Message ID for the next sub-operation, from 1 to 65535."""
        self._messages += 1
        return (self.message_id + self._messages - 1) % MOST_OBJECTS + 1

    def is_over(self) -> bool:
        """Whether there is nobody left to work for: C-CANCEL, or the association has ended."""
        cancel_requests = self._association.dimse.cancel_req
        self._cancelled |= cancel_requests.pop(self.message_id, None) is not None
        return self._cancelled or self._is_gone()

    def count(self, holding: Holding, status: int | None, text: str) -> None:
        """Take the status of one sub-operation, None for none, and say how far we are."""
        self.remaining -= 1
        if status == SUCCESS:
            self.completed += 1
        elif status is not None and 0xB000 <= status <= 0xBFFF:
            self.warning += 1
        else:
            self._fail(holding, text)
        if self.remaining and not self._is_gone():
            self._respond(PENDING)

    def fail_all(self, holdings: Iterable[Holding], comment: str) -> None:
        """No sub-operation is possible at all."""
        self._comment = comment
        for holding in holdings:
            self.remaining -= 1
            self.failed_uids.append(holding.sop_instance_uid)

    def end(self) -> None:
        """Send the final response."""
        if self._cancelled:
            self._finish(CANCEL)
        elif not self.failed_uids and not self.warning:
            self._finish(SUCCESS)
        elif not self.completed and not self.warning:
            self._finish(ALL_FAILED, self._comment)
        else:
            self._finish(SOME_FAILED, self._comment)

    def refuse(self, status: int, comment: str) -> None:
        """Send a final response to a request that was not worked on, or not to its end."""
        self._finish(status, comment)

    def facts(self) -> dict[str, object]:
        """For the log."""
        return {
            "status": "" if self._status is None else f"{self._status:04X}",
            "completed": self.completed,
            "warning": self.warning,
            "failed": len(self.failed_uids),
            "remaining": self.remaining,
        }

    def _fail(self, holding: Holding, reason: str) -> None:
        self.failed_uids.append(holding.sop_instance_uid)
        self._comment = self._comment or reason
        facts = {
            "sop_instance": holding.sop_instance_uid,
            "sop_class": holding.sop_class_uid,
            "transfer_syntax": holding.transfer_syntax_uid,
        }
        log.warning("sub-operation failed", extra=facts | {"reason": reason})

    def _is_gone(self) -> bool:
        # Looked at and left there: the association's own loop has to see it too.
        ended = self._association.dul.peek_next_pdu() is not None
        return ended or not self._association.is_established

    def _finish(self, status: int, comment: str = "") -> None:
        if self._status is not None or self._is_gone():
            return
        self._status = status
        self._respond(status, comment)

    def _respond(self, status: int, comment: str = "") -> None:
        response: Any = type(self.request)()
        response.MessageIDBeingRespondedTo = self.message_id
        response.AffectedSOPClassUID = self.request.AffectedSOPClassUID
        response.Status = status
        if comment:
            response.ErrorComment = comment[:_COMMENT_CHARACTERS]
        if self.is_started:
            self._add_counts(response, status)
        self._association.dimse.send_msg(response, int(self.context.context_id or 0))

    def _add_counts(self, response: Any, status: int) -> None:
        response.NumberOfCompletedSuboperations = self.completed
        response.NumberOfFailedSuboperations = len(self.failed_uids)
        response.NumberOfWarningSuboperations = self.warning
        if status in (PENDING, CANCEL):
            response.NumberOfRemainingSuboperations = self.remaining
        if status not in (PENDING, SUCCESS):
            response.Identifier = BytesIO(self._failed_list())

    def _failed_list(self) -> bytes:
        identifier = Dataset()
        identifier.FailedSOPInstanceUIDList = self.failed_uids
        syntax = self.context.transfer_syntax[0]
        encoded = encode(
            identifier, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated
        )
        return encoded or b""
