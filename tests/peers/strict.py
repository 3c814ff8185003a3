"""A strict archive: takes what it was told to take, slowly if told so, and nothing else.

pynetdicom as an SCP with PDUs of 16 kB. What it does to each object can be changed while it runs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made when it is imported
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from tests.peers.ports import free_port

MAX_PDU_BYTES = 16384
SUCCESS, PENDING = 0x0000, 0xFF00


@dataclass
class StrictArchive:
    """What it has seen, and how it answers."""

    port: int = field(default_factory=free_port)
    ae_title: str = "STRICT"
    # Transfer syntax of every C-STORE that was answered with success, by SOP Instance UID.
    kept: dict[str, list[str]] = field(default_factory=dict)
    calls: int = 0
    # Storage Commitment requests: Transaction UID, SOP Instance UIDs.
    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    # What a C-STORE is answered: a status, or None to abort the association.
    store_status: Callable[[evt.Event], int | None] = lambda _: SUCCESS
    action_status: int = SUCCESS
    # Whether C-FIND tells of what is kept.
    lists: bool = True
    pause_seconds: float = 0.0
    # How long it takes to read a PDU.
    pdu_seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def kept_uids(self) -> set[str]:
        """SOP Instance UIDs."""
        return set(self.kept)

    def called(self, _event: evt.Event) -> None:
        """Count an association."""
        with self._lock:
            self.calls += 1

    def read(self, _event: evt.Event) -> None:
        """Take one PDU."""
        time.sleep(self.pdu_seconds)

    def store(self, event: evt.Event) -> int:
        """C-STORE."""
        time.sleep(self.pause_seconds)
        status = self.store_status(event)
        if status is None:
            event.assoc.abort()
            return SUCCESS
        if status == SUCCESS:
            uid = str(event.request.AffectedSOPInstanceUID)
            self.kept.setdefault(uid, []).append(str(event.context.transfer_syntax))
        return status

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        """C-FIND at IMAGE level."""
        uid = str(event.identifier.SOPInstanceUID)
        if self.lists and uid in self.kept:
            match = Dataset()
            match.QueryRetrieveLevel = "IMAGE"
            match.SOPInstanceUID = uid
            yield PENDING, match

    def act(self, event: evt.Event) -> tuple[int, None]:
        """N-ACTION of Storage Commitment."""
        information = event.action_information
        items = [item.ReferencedSOPInstanceUID for item in information.ReferencedSOPSequence]
        self.asked.append((str(information.TransactionUID), [str(uid) for uid in items]))
        return self.action_status, None


@contextmanager
def running_strict(
    classes: Mapping[str, Sequence[str]],
    archive: StrictArchive | None = None,
    services: Sequence[str] = (StudyRootQueryRetrieveInformationModelFind,),
    most_associations: int = 10,
    tls: Any = None,
) -> Iterator[StrictArchive]:
    """Run one that takes these SOP classes, each in these transfer syntaxes only.

    services: of C-FIND and Storage Commitment, what it offers; C-ECHO it always does.
    """
    archive = archive or StrictArchive()
    entity = AE(archive.ae_title)
    entity.maximum_pdu_size = MAX_PDU_BYTES
    entity.maximum_associations = most_associations
    entity.require_called_aet = True
    for uid in (Verification, *services):
        entity.add_supported_context(uid)
    for uid, syntaxes in classes.items():
        entity.add_supported_context(uid, list(syntaxes))
    handlers = [
        (evt.EVT_ACCEPTED, archive.called),
        (evt.EVT_PDU_RECV, archive.read),
        (evt.EVT_C_STORE, archive.store),
        (evt.EVT_C_FIND, archive.find),
        (evt.EVT_N_ACTION, archive.act),
    ]
    address = ("127.0.0.1", archive.port)
    server = entity.start_server(address, block=False, evt_handlers=handlers, ssl_context=tls)
    try:
        yield archive
    finally:
        server.shutdown()


COMMITMENT = StorageCommitmentPushModel
FIND = StudyRootQueryRetrieveInformationModelFind
