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

from fastapi.responses import JSONResponse, Response
from pydicom.dataset import Dataset
from starlette.types import Receive, Scope, Send

from node.errors import BrokenRequestError
from node.identifiers import is_uid
from node.instance import FAILED, KEPT_APART, SUCCESS, Outcome
from node.store.incoming import Claim
from node.stow.access import RETRY_AFTER
from node.stow.intake import Report
from node.stow.media import DICOM_JSON

# PS3.18 table I.2-2.
_PROCESSING_FAILURE = 0x0110
_OUT_OF_RESOURCES = 0xA7  # of A7xx
# How long a body that nobody wants is read, so that its sender gets to read the answer.
_LINGER_SECONDS = 5.0


def answer(report: Report, failure: BrokenRequestError | None) -> Response:
    """The response to a request that was read, to its end or to its failure."""
    status = http_status(report, failure)
    content = json.dumps(response_module(report).to_json_dict()).encode()
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


def response_module(report: Report) -> Dataset:
    """The Store Instances Response Module (PS3.18 table I.1-1)."""
    module = Dataset()
    module.RetrieveURL = None
    stored = [_stored(*each) for each in report.instances if _is_stored(each[1])]
    failed = [each for each in report.instances if not _is_stored(each[1])]
    named = [_failed(*each) for each in failed if _has_uids(each[0])]
    others = [_reason(each[1]) for each in failed if not _has_uids(each[0])] + report.unknown
    if stored:
        module.ReferencedSOPSequence = stored
    if named:
        module.FailedSOPSequence = named
    if others:
        module.OtherFailuresSequence = [_other(reason) for reason in others]
    return module


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


def _stored(claim: Claim, outcome: Outcome) -> Dataset:
    item = _reference(claim)
    item.RetrieveURL = None
    if outcome.status != SUCCESS:
        item.WarningReason = outcome.status
    return item


def _failed(claim: Claim, outcome: Outcome) -> Dataset:
    item = _reference(claim)
    item.FailureReason = _reason(outcome)
    return item


def _other(reason: int) -> Dataset:
    item = Dataset()
    item.FailureReason = reason
    return item


def _reference(claim: Claim) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = claim.AffectedSOPClassUID
    item.ReferencedSOPInstanceUID = claim.AffectedSOPInstanceUID
    return item
