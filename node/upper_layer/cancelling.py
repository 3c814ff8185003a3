"""C-CANCEL in the order in which it came: one right behind its request counts, an old one does not.

pynetdicom 3.0.4 forgets all C-CANCELs when it begins to serve a request. One that came in the same
moment as its request is among them, and the peer that wanted nothing any more got everything.
"""

from __future__ import annotations

from typing import Any

from pynetdicom.association import Association

from node.upper_layer.sending import CappedProvider

# pynetdicom takes the tenth for a message to serve.
_MOST = 8


class Cancels(dict[int, Any]):
    """By the Message ID of the request; a peer that sends many makes the oldest forgotten."""

    def __setitem__(self, message_id: int, request: Any) -> None:
        for oldest in list(self)[: max(0, len(self) + 1 - _MOST)]:
            self.pop(oldest, None)
        super().__setitem__(message_id, request)


class HeedingProvider(CappedProvider):
    """Keeps a C-CANCEL until it is heeded, or a later request has its Message ID."""

    def __init__(self, association: Association) -> None:
        self._cancels = Cancels()
        super().__init__(association)

    @property
    def cancel_req(self) -> Cancels:
        """Those that came and are not heeded yet."""
        return self._cancels

    @cancel_req.setter
    def cancel_req(self, _nothing: dict[int, Any]) -> None:
        """Forget nothing: what pynetdicom throws away here may have come behind the request."""

    def has_come(self, message: Any) -> None:
        """A message is here; when it is a request, what has its ID is about an earlier one."""
        if getattr(message, "MessageIDBeingRespondedTo", 0) is None:
            self._cancels.pop(int(message.MessageID or 0), None)
