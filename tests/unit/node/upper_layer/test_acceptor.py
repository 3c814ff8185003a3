"""What the acceptor's association does beside its loop."""

from __future__ import annotations

import threading

from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.presentation import build_context

from node.upper_layer.acceptor import ReceivingEntity, StreamingAssociation

STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"


def test_a_report_beside_a_retrieval_leaves_the_loop_paused() -> None:
    """Else the next sub-operation of the C-GET would wait for the loop to stand still, for ever."""
    entity = ReceivingEntity("SENTINODE")
    served: list[object] = []
    entity.services = {
        N_EVENT_REPORT: lambda _association, request, _context: served.append(request)
    }
    association = StreamingAssociation(entity, 1, on_end=lambda: None)
    association._accepted_cx = {1: build_context(STORAGE_COMMITMENT)}
    association._is_paused = True
    report = N_EVENT_REPORT()
    report.MessageID, report.EventTypeID = 1, 1
    report.AffectedSOPClassUID = STORAGE_COMMITMENT
    report.AffectedSOPInstanceUID = "1.2.840.10008.1.20.1.1"
    beside = threading.Thread(target=association._serve_request, args=(report, 1))
    beside.start()
    beside.join(10)
    assert served == [report]
    assert association._is_paused
