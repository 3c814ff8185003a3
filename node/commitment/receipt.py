"""N-EVENT-REPORT of Storage Commitment taken from an archive (PS3.4 J.3.3), on any association.

In: the event of one report, on the association of our own request or on a new one to the receiver,
where the archive, as SCP, is the requestor. Out: the deliveries of that transaction settled, then
the status. What must hold: the outcome is committed to the database before the archive hears 0000H;
a report of a transaction that nobody here has begun is refused.
"""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import evt
from sqlalchemy.exc import SQLAlchemyError

from node.commitment.event_report import ALL_COMMITTED, FAILURES_EXIST, STORAGE_COMMITMENT
from node.job import utc_now
from node.logs import log
from node.settings import Settings
from node.store.deliveries import Report, settle
from node.store.session import Store

# PS3.7 annex C.
_SUCCESS, _PROCESSING_FAILURE = 0x0000, 0x0110
_NO_SUCH_EVENT_TYPE, _INVALID_ARGUMENT_VALUE = 0x0113, 0x0115
_NO_SUCH_SOP_CLASS, _RESOURCE_LIMITATION = 0x0118, 0x0213


class ReportReceiver:
    """Takes reports for the requests of this node: the handler of EVT_N_EVENT_REPORT."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def handle(self, event: evt.Event) -> tuple[int, None]:
        """Answer one N-EVENT-REPORT."""
        facts = {"calling_ae_title": str(event.assoc.requestor.ae_title).strip()}
        try:
            status, reason = self._take(event)
        except SQLAlchemyError as error:
            status, reason = _RESOURCE_LIMITATION, type(error).__name__
        except Exception:  # noqa: BLE001  # the outer shell: never confirm what is not kept
            log.exception("commitment report not taken", extra=facts)
            return _PROCESSING_FAILURE, None
        if status != _SUCCESS:
            log.warning("commitment report not taken", extra=facts | {"reason": reason})
        return status, None

    def _take(self, event: evt.Event) -> tuple[int, str]:
        request: Any = event.request
        if str(request.AffectedSOPClassUID or "") != STORAGE_COMMITMENT:
            return _NO_SUCH_SOP_CLASS, "not of Storage Commitment"
        if request.EventTypeID not in (ALL_COMMITTED, FAILURES_EXIST):
            return _NO_SUCH_EVENT_TYPE, f"event type {request.EventTypeID}"
        report = read_report(event.event_information)
        with self._store.writing() as session:
            known = settle(session, report, utc_now(), self._settings)
        if not known:
            return _INVALID_ARGUMENT_VALUE, "no such transaction"
        counts: dict[str, object] = {
            "committed": len(report.committed),
            "failed": len(report.failed),
        }
        log.info("commitment report", extra={"transaction": report.TransactionUID} | counts)
        return _SUCCESS, ""


def read_report(information: Dataset) -> Report:
    """The Event Information (PS3.4 table J.3-2); what is listed as failed counts as failed."""
    failed = {
        str(item.get("ReferencedSOPInstanceUID") or ""): _reason(item)
        for item in information.get("FailedSOPSequence") or []
    }
    committed = {
        str(item.get("ReferencedSOPInstanceUID") or "")
        for item in information.get("ReferencedSOPSequence") or []
    }
    return Report(str(information.get("TransactionUID") or ""), committed - failed.keys(), failed)


def _reason(item: Dataset) -> int | None:
    reason = item.get("FailureReason")
    return None if reason is None else int(reason)
