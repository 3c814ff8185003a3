"""A modality that stores images, asks for Storage Commitment and listens for the answer."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_ECHO
from pynetdicom.service_class_n import StorageCommitmentServiceClass
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification

from tests.peers.ports import free_port

# One turn of pynetdicom's loop takes a millisecond.
_LOOP_SECONDS = 0.1
INSTANCE = "1.2.840.10008.1.20.1.1"  # PS3.4 J.3.5


@dataclass(frozen=True)
class Report:
    """One N-EVENT-REPORT as it came."""

    event_type: int
    information: Dataset
    calling_ae_title: str
    # Whether the sender proposed to be the SCP, as the requestor of an association.
    scp_proposed: bool

    @property
    def committed(self) -> list[str]:
        """SOP Instance UIDs that the node commits to."""
        items = self.information.get("ReferencedSOPSequence") or []
        return [item.ReferencedSOPInstanceUID for item in items]

    @property
    def failed(self) -> dict[str, int]:
        """Failure Reason by SOP Instance UID."""
        items = self.information.get("FailedSOPSequence") or []
        return {item.ReferencedSOPInstanceUID: item.FailureReason for item in items}


@dataclass(frozen=True)
class Modality:
    """An SCU of Storage and Storage Commitment."""

    ae_title: str
    port: int = field(default_factory=free_port)
    reports: queue.Queue[Report] = field(default_factory=queue.Queue)

    @contextmanager
    def listening(self, negotiates_role: bool = True) -> Iterator[None]:
        """Take reports on new associations inside the block."""
        entity = AE(self.ae_title)
        roles = {"scu_role": False, "scp_role": True} if negotiates_role else {}
        entity.add_supported_context(StorageCommitmentPushModel, **roles)
        server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=self._handlers()
        )
        try:
            yield
        finally:
            server.shutdown()

    @contextmanager
    def connected(
        self, node_port: int, *sop_class_uids: str, takes_reports: bool = True
    ) -> Iterator[Association]:
        """An association for these storage classes and for commitment.

        Without `takes_reports` a report on it is answered with 0110H, processing failure.
        """
        entity = AE(self.ae_title)
        for uid in {*sop_class_uids, StorageCommitmentPushModel}:
            entity.add_requested_context(uid, ExplicitVRLittleEndian)
        handlers = self._handlers() if takes_reports else []
        association = entity.associate("127.0.0.1", node_port, evt_handlers=handlers)
        assert association.is_established
        association._serve_request = partial(_serve_beside, association)
        try:
            yield association
        finally:
            association.release()

    def report(self, timeout_seconds: float = 30.0) -> Report:
        """The next report. Raises queue.Empty."""
        return self.reports.get(timeout=timeout_seconds)

    def _handlers(self) -> list[tuple[object, object]]:
        return [(evt.EVT_N_EVENT_REPORT, self._take)]

    def _take(self, event: evt.Event) -> tuple[int, None]:
        requestor = event.assoc.requestor
        role = requestor.role_selection.get(StorageCommitmentPushModel)
        self.reports.put(
            Report(
                int(event.request.EventTypeID),
                event.event_information,
                str(requestor.ae_title).strip(),
                role == build_role(StorageCommitmentPushModel, scp_role=True),
            )
        )
        return 0x0000, None


def _serve_beside(association: Association, request: Any, context_id: int) -> None:
    """Serve a report without touching the association's loop.

    pynetdicom 3.0.4 serves it in a thread of its own, which at its end marks the loop as running;
    whoever was just about to send then waits for the loop to halt, for ever.
    """
    context = association._accepted_cx[context_id]
    StorageCommitmentServiceClass(association).SCP(request, context)


def commitment_request(transaction_uid: str, datasets: Sequence[Dataset]) -> Dataset:
    """The Action Information that asks for these instances (PS3.4 table J.3-1)."""
    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = [_reference(dataset) for dataset in datasets]
    return request


@contextmanager
def loop_halted(association: Association) -> Iterator[None]:
    """Let nothing but `echo` read messages inside the block; reports are served beside.

    Else pynetdicom's loop may, on a busy machine, take a response that its caller waits for.
    """
    association._reactor_checkpoint.clear()
    time.sleep(_LOOP_SECONDS)
    try:
        yield
    finally:
        association._reactor_checkpoint.set()


def echo(association: Association) -> int | None:
    """Send one C-ECHO with the loop halted; returns the status, None when no response came."""
    request = C_ECHO()
    request.MessageID = 1
    request.AffectedSOPClassUID = Verification
    (context,) = (
        each for each in association.accepted_contexts if each.abstract_syntax == Verification
    )
    association.dimse.send_msg(request, context.context_id)
    _, response = association.dimse.get_msg(block=True)
    return None if response is None else int(response.Status)


def ask(association: Association, request: Dataset | None, **instead: object) -> int:
    """Send an N-ACTION; returns the status. `instead`: other parameters than the right ones."""
    parameters = {
        "action_type": 1,
        "class_uid": StorageCommitmentPushModel,
        "instance_uid": INSTANCE,
    } | instead
    status, _ = association.send_n_action(request, **parameters)
    return int(status.Status)


def _reference(dataset: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = dataset.SOPClassUID
    item.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
    return item
