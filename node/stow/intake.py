"""Parts of one request to the inbox, a few at a time.

In: the body, in batches of chunks, from whichever thread is free. Out: what became of each part.
Parts are settled together, so that many small ones share an fsync of the folder and a commit, but
never so many that files or memory pile up. When a request breaks off, what is complete is kept, as
its sender may send only the rest again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from node.errors import (
    BrokenRequestError,
    CannotUnderstandError,
    LargeRequestError,
    MalformedRequestError,
    RefusedError,
)
from node.instance import Inbox, Outcome
from node.logs import log
from node.store.incoming import Claim, Incoming
from node.stow.media import is_dicom_part
from node.stow.multipart import MultipartReader
from node.stow.part10 import Contexts, Part, Sender

# A batch ends with whichever comes first.
_BATCH_PARTS = 16
_BATCH_BYTES = 8 << 20
# What became of each part is kept for the answer, in memory.
PARTS_LIMIT = 20_000


@dataclass(slots=True)
class Report:
    """What became of the parts that were complete."""

    # In the order in which they came.
    instances: list[tuple[Claim, Outcome]] = field(default_factory=list)
    # Statuses of parts that do not even say which instance they are.
    unknown: list[int] = field(default_factory=list)


class Intake:
    """Takes one request; `take`, `finish` and `abandon` may come from several threads."""

    def __init__(self, inbox: Inbox, contexts: Contexts, boundary: bytes, sender: Sender) -> None:
        self.report = Report()
        # Why the rest of the body need not come; set once.
        self.failure: BrokenRequestError | None = None
        self._inbox = inbox
        self._contexts = contexts
        self._sender = sender
        self._reader = MultipartReader(boundary, self)
        self._part: Part | None = None
        self._begun = 0
        self._complete: list[Incoming] = []
        self._complete_bytes = 0
        self._over = False
        self._lock = threading.Lock()

    def take(self, chunks: Sequence[bytes]) -> None:
        """Take the next chunks of the body. Never raises; see `failure`."""
        with self._lock:
            try:
                for chunk in () if self._over or self.failure else chunks:
                    self._reader.feed(chunk)
            except BrokenRequestError as error:
                self.failure = error

    def finish(self) -> None:
        """The body has been read to its end: everything complete is durable when this returns."""
        with self._lock:
            try:
                if self.failure is None:
                    self._reader.close()
            except BrokenRequestError as error:
                self.failure = error
            self._stop()
            if not (self.failure or self.report.instances or self.report.unknown):
                self.failure = MalformedRequestError("the body has no parts")

    def abandon(self) -> None:
        """No more will come: forget the part in progress and keep what is complete."""
        with self._lock:
            self._stop()

    def begin(self, headers: dict[str, str]) -> None:
        """A part begins. Raises LargeRequestError."""
        self._begun += 1
        if self._begun > PARTS_LIMIT:
            raise LargeRequestError(f"more than {PARTS_LIMIT} parts")
        self._part = Part(self._sender, self._open)
        if not is_dicom_part(headers):
            self._part.refuse(CannotUnderstandError("the part is not application/dicom"))

    def write(self, fragment: memoryview) -> None:
        """The next bytes of the part."""
        assert self._part is not None
        self._part.write(fragment)

    def end(self) -> None:
        """The part is complete."""
        part, self._part = self._part, None
        assert part is not None
        try:
            incoming = part.end()
        except RefusedError as error:
            facts = {"status": f"{error.status:04X}", "reason": str(error)}
            log.warning("part refused", extra=facts | {"peer_host": self._sender.host})
            self.report.unknown.append(error.status)
            return
        self._complete.append(incoming)
        self._complete_bytes += incoming.size_bytes
        if len(self._complete) >= _BATCH_PARTS or self._complete_bytes >= _BATCH_BYTES:
            self._settle()

    def _open(self, claim: Claim) -> Incoming:
        try:
            self._contexts.check(claim)
        except RefusedError as error:
            return Incoming.refused(error, claim)
        return self._inbox.open(claim)

    def _settle(self) -> None:
        batch, self._complete, self._complete_bytes = self._complete, [], 0
        if batch:
            outcomes = self._inbox.settle(batch)
            claims = [incoming.claim for incoming in batch]
            self.report.instances += zip(claims, outcomes, strict=True)

    def _stop(self) -> None:
        if self._over:
            return
        self._over = True
        if self._part is not None:
            self._part.discard()
            self._part = None
        self._settle()
