"""What became of each instance, as the sender is told (PS3.18 10.5.3 and annex I).

In: the report of an intake. Out: an HTTP status and the Store Instances Response Module in JSON.
Retrieve URL stays empty: what this node stores is fetched from it by C-MOVE and C-GET.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from node.errors import BrokenRequestError
from node.identifiers import is_uid
from node.instance import FAILED, KEPT_APART, SUCCESS, Outcome
from node.store.incoming import Claim
from node.stow.access import RETRY_AFTER
from node.stow.intake import Report
from node.stow.media import DICOM_JSON

# Written as it goes over the wire: 0.01 ms for each instance, and 0.13 ms through pydicom.
_RETRIEVE_URL = "00081190"
_REFERENCED_SOP_CLASS_UID = "00081150"
_REFERENCED_SOP_INSTANCE_UID = "00081155"
_WARNING_REASON = "00081196"
_FAILURE_REASON = "00081197"
_FAILED_SOP_SEQUENCE = "00081198"
_REFERENCED_SOP_SEQUENCE = "00081199"
_OTHER_FAILURES_SEQUENCE = "0008119A"
_NOWHERE = {"vr": "UR"}
# PS3.18 table I.2-2.
_PROCESSING_FAILURE = 0x0110
_OUT_OF_RESOURCES = 0xA7  # of A7xx
# How long a body that nobody wants is read, so that its sender gets to read the answer.
_LINGER_SECONDS = 5.0


def answer(report: Report, failure: BrokenRequestError | None) -> Response:
    """The response to a request that was read, to its end or to its failure."""
    status = http_status(report, failure)
    content = json.dumps(response_module(report)).encode()
    headers = dict(RETRY_AFTER) if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    if failure is None:
        return Response(content, status, headers, DICOM_JSON)
    headers["Warning"] = f'299 SENTINODE "{failure}"'
    return LastResponse(content, status, headers, DICOM_JSON)


def refusal(status: int, text: str, headers: Mapping[str, str] | None) -> Response:
    """The response to a request whose body is not wanted."""
    content = json.dumps({"error": text}).encode()
    return LastResponse(content, status, headers, JSONResponse.media_type)


def http_status(report: Report, failure: BrokenRequestError | None) -> int:
    """PS3.18 table 10.5.3-1."""
    if failure is not None:
        return failure.http_status
    statuses = [outcome.status for _, outcome in report.instances] + report.unknown
    failed = [status for status in statuses if status not in (SUCCESS, KEPT_APART)]
    if len(failed) < len(statuses):
        whole = all(status == SUCCESS for status in statuses)
        return HTTPStatus.OK if whole else HTTPStatus.ACCEPTED
    if all(status >> 8 == _OUT_OF_RESOURCES for status in failed):
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.CONFLICT


def response_module(report: Report) -> dict[str, Any]:
    """The Store Instances Response Module (PS3.18 table I.1-1) as DICOM JSON (annex F)."""
    stored = [_stored(*each) for each in report.instances if _is_stored(each[1])]
    failed = [each for each in report.instances if not _is_stored(each[1])]
    named = [_failed(*each) for each in failed if _has_uids(each[0])]
    others = [_reason(each[1]) for each in failed if not _has_uids(each[0])] + report.unknown
    sequences = {
        _REFERENCED_SOP_SEQUENCE: stored,
        _FAILED_SOP_SEQUENCE: named,
        _OTHER_FAILURES_SEQUENCE: [{_FAILURE_REASON: _us(reason)} for reason in others],
    }
    # An empty Failed SOP Sequence would be taken for a failure.
    present = {tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items}
    return {_RETRIEVE_URL: _NOWHERE} | present


class LastResponse(Response):
    """A response before the end of the body, after which the connection is closed.

    Some of the body is still read, and thrown away: a sender that is cut off while it writes may
    never see the response.
    """

    def __init__(
        self, content: bytes, status: int, headers: Mapping[str, str] | None, media_type: str | None
    ) -> None:
        super().__init__(content, status, {**(headers or {}), "Connection": "close"}, media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, linger, close."""
        start = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while (await receive()).get("more_body", False):
                    pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _is_stored(outcome: Outcome) -> bool:
    return outcome.status in (SUCCESS, KEPT_APART)


def _has_uids(claim: Claim) -> bool:
    return is_uid(claim.AffectedSOPClassUID) and is_uid(claim.AffectedSOPInstanceUID)


def _reason(outcome: Outcome) -> int:
    return _PROCESSING_FAILURE if outcome.kind == FAILED else outcome.status


def _stored(claim: Claim, outcome: Outcome) -> dict[str, Any]:
    item = _reference(claim) | {_RETRIEVE_URL: _NOWHERE}
    return item if outcome.status == SUCCESS else item | {_WARNING_REASON: _us(outcome.status)}


def _failed(claim: Claim, outcome: Outcome) -> dict[str, Any]:
    return _reference(claim) | {_FAILURE_REASON: _us(_reason(outcome))}


def _reference(claim: Claim) -> dict[str, Any]:
    return {
        _REFERENCED_SOP_CLASS_UID: {"vr": "UI", "Value": [claim.AffectedSOPClassUID]},
        _REFERENCED_SOP_INSTANCE_UID: {"vr": "UI", "Value": [claim.AffectedSOPInstanceUID]},
    }


def _us(value: int) -> dict[str, Any]:
    return {"vr": "US", "Value": [value]}
