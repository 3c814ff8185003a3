"""A modality that stores images, asks for Storage Commitment and listens for the answer."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import StorageCommitmentPushModel

from tests.peers.ports import free_port

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


def commitment_request(transaction_uid: str, datasets: Sequence[Dataset]) -> Dataset:
    """The Action Information that asks for these instances (PS3.4 table J.3-1)."""
    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = [_reference(dataset) for dataset in datasets]
    return request


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
