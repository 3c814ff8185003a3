"""C-GET: the archive stores on our own association; each object goes through the node's inbox.

In: C-STORE sub-operations (PS3.4 C.4.3). Out: durable instances, marked as priors by the claim: our
own AE title as Move Originator, which is what an archive says when we ask by C-MOVE. What must
hold: success is answered only for what is durable; a large object costs no memory of its size.
"""

from __future__ import annotations

import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pynetdicom import _config, build_role, evt
from pynetdicom.events import Event

from node.arrival import CONFLICT, NEW, SAME
from node.instance import Claim, Inbox
from node.peers import Peer
from node.priors.rules import PriorRule
from node.priors.storage import storage_contexts
from node.store.incoming import Incoming

_READ_BYTES = 1 << 20
_LONGEST_HOST = 64  # what the table holds


def stream_to_disk(folder: Path) -> None:
    """Have pynetdicom write what it receives to files of `folder`; for the whole process."""
    _config.STORE_RECV_CHUNKED_DATASET = True
    tempfile.tempdir = str(folder)


def storage_roles(rule: PriorRule) -> list[Any]:
    """Role selection: we are the storage SCP although we call (PS3.7 D.3.3.4)."""
    classes = dict.fromkeys(uid for uid, _ in storage_contexts(rule.modalities))
    return [build_role(uid, scp_role=True) for uid in classes]


@dataclass(slots=True)
class Arrivals:
    """What comes on one association. `refusals`: why objects were not kept."""

    inbox: Inbox
    source: Peer
    ae_title: str
    refusals: set[str]

    def handlers(self) -> list[tuple[Any, ...]]:
        """The event handlers for `node.calling`."""
        return [(evt.EVT_C_STORE, self._keep), (evt.EVT_CONN_CLOSE, _discard_partial)]

    def _keep(self, event: Event) -> int:
        request: Any = event.request
        path: Path = event.dataset_path
        try:
            incoming = self._copied(path, self._claim(event))
            (outcome,) = self.inbox.settle([incoming])
        finally:
            request._dataset_file.close()
            path.unlink(missing_ok=True)
        if outcome.kind not in (NEW, SAME, CONFLICT):
            self.refusals.add(f"{outcome.comment} (status 0x{outcome.status:04X})")
        return outcome.status

    def _copied(self, path: Path, claim: Claim) -> Incoming:
        incoming = self.inbox.open(claim)
        try:
            with path.open("rb") as stream:
                _skip_file_meta(stream)
                while chunk := stream.read(_READ_BYTES):
                    incoming.write(chunk)
        except BaseException:
            incoming.discard()
            raise
        return incoming

    def _claim(self, event: Event) -> Claim:
        request: Any = event.request
        return Claim(
            AffectedSOPClassUID=str(request.AffectedSOPClassUID or ""),
            AffectedSOPInstanceUID=str(request.AffectedSOPInstanceUID or ""),
            transfer_syntax_uid=str(event.context.transfer_syntax),
            calling_ae_title=self.source.ae_title,
            peer_host=self.source.host[:_LONGEST_HOST],
            move_originator_ae_title=self.ae_title,
        )


def _skip_file_meta(stream: BinaryIO) -> None:
    """Go to the data set: behind preamble, prefix and group 0002 (PS3.10 7.1)."""
    stream.seek(128 + 4)
    # File Meta Information Group Length: tag, VR, length, then 4 bytes of value.
    *_, length = struct.unpack("<HH2sHI", stream.read(12))
    stream.seek(length, 1)


def _discard_partial(event: Event) -> None:
    """Remove the file of an object whose association ended in the middle of it."""
    message: Any = event.assoc.dimse.message
    path = getattr(message, "_data_set_path", None)
    if path is not None:
        message._data_set_file.close()
        path.unlink(missing_ok=True)
