"""Results to an archive by DICOMweb: STOW-RS to store, QIDO-RS to look (PS3.18 10.5 and 10.6).

In: an encoded object on disk and a destination. Bytes go out as they lie in the file, in pieces.
Errors tell what to do next: no answer, 408, 429 and 5xx may heal, any other answer does not.
"""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from node.destinations import Destination
from node.errors import ConfigurationError, DestinationRefusedError, DestinationUnavailableError
from workers.dicom.identity import Identity

_CHUNK_BYTES = 1 << 18
_TRANSIENT = {408, 429}
_CONFLICT = 409  # "failed to store any"; the reasons are in the body (PS3.18 10.5.3)

# Tags of the Store Instances Response (PS3.18 table 10.5.3-1).
_FAILED_SOP_SEQUENCE = "00081198"
_REFERENCED_SOP_INSTANCE_UID = "00081155"
_FAILURE_REASON = "00081197"
_SOP_INSTANCE_UID = "00080018"

_DUPLICATE_SOP_INSTANCE = 0x0111
_OUT_OF_RESOURCES = range(0xA700, 0xA800)


def store(path: Path, identity: Identity, destination: Destination) -> None:
    """Send one object.

    Raises DestinationUnavailableError, DestinationRefusedError, ConfigurationError.
    """
    boundary = uuid.uuid4().hex
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        # Told the length, httpx does not chunk; Orthanc and others read no chunked requests.
        "Content-Length": str(len(head) + path.stat().st_size + len(tail)),
        "Accept": "application/dicom+json",
    }
    answer = _asked(
        destination, "POST", "/studies", headers=headers, content=_pieces(head, path, tail)
    )
    if answer.status_code != _CONFLICT:
        _check(answer, destination)
    _check_stored(answer, identity, destination)


def find(identity: Identity, destination: Destination) -> bool:
    """Whether QIDO-RS lists the object in its study and series."""
    answer = _asked(
        destination,
        "GET",
        f"/studies/{identity.study_uid}/series/{identity.series_uid}/instances",
        params={"SOPInstanceUID": identity.sop_instance_uid},
        headers={"Accept": "application/dicom+json"},
    )
    if answer.status_code == httpx.codes.NOT_FOUND:
        return False  # some archives say so of a study that they do not have
    _check(answer, destination)
    return any(
        _first(match, _SOP_INSTANCE_UID) == identity.sop_instance_uid for match in _items(answer)
    )


def echo(destination: Destination) -> None:
    """Ask for one study. Raises DestinationUnavailableError, DestinationRefusedError."""
    headers = {"Accept": "application/dicom+json"}
    _check(
        _asked(destination, "GET", "/studies", params={"limit": "1"}, headers=headers), destination
    )


def _pieces(head: bytes, path: Path, tail: bytes) -> Iterator[bytes]:
    yield head
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK_BYTES):
            yield piece
    yield tail


def _asked(destination: Destination, method: str, path: str, **arguments: Any) -> httpx.Response:
    with httpx.Client(
        auth=_credentials(destination),
        timeout=destination.timeout_seconds,
        verify=_trust(destination),
        # The environment is read by node.settings alone; a stray proxy must not see results.
        trust_env=False,
    ) as client:
        try:
            return client.request(method, f"{destination.url}{path}", **arguments)
        except httpx.TransportError as error:
            raise DestinationUnavailableError(
                f"{destination.name} does not answer ({type(error).__name__})"
            ) from error


def _credentials(destination: Destination) -> httpx.Auth | None:
    password, token = destination.password(), destination.token()
    if token is not None:
        return _Bearer(token)
    if password is not None:
        return httpx.BasicAuth(destination.username or "", password)
    return None


class _Bearer(httpx.Auth):
    """RFC 6750, section 2.1."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]  # a generator that receives nothing
        request.headers["Authorization"] = self._header
        yield request


def _trust(destination: Destination) -> ssl.SSLContext | bool:
    if destination.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=destination.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"destination {destination.name}: ca_file {destination.ca_file} is no PEM certificate"
        ) from error


def _check(answer: httpx.Response, destination: Destination) -> None:
    code = answer.status_code
    if answer.is_success:
        return
    text = f"{destination.name} answered {code} {answer.reason_phrase}"
    if code in _TRANSIENT or answer.is_server_error:
        raise DestinationUnavailableError(text)
    if code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        text += "; check its username and password_file, or its token_file"
    raise DestinationRefusedError(text)


def _check_stored(answer: httpx.Response, identity: Identity, destination: Destination) -> None:
    """PS3.18 10.5.3.2.1: each instance that was not stored is listed with its reason."""
    reasons = [
        _first(failed, _FAILURE_REASON)
        for response in _items(answer)
        for failed in (response.get(_FAILED_SOP_SEQUENCE) or {}).get("Value", [])
        if _first(failed, _REFERENCED_SOP_INSTANCE_UID) in (identity.sop_instance_uid, None)
    ]
    failures = [reason for reason in reasons if reason != _DUPLICATE_SOP_INSTANCE]
    if answer.status_code == _CONFLICT and not reasons:
        raise DestinationRefusedError(f"{destination.name} stored nothing and gave no reason")
    if not failures:
        return
    text = ", ".join(f"0x{reason:04X}" if isinstance(reason, int) else "?" for reason in failures)
    if all(reason in _OUT_OF_RESOURCES for reason in failures):
        raise DestinationUnavailableError(f"{destination.name}: out of resources ({text})")
    raise DestinationRefusedError(f"{destination.name} did not store the object: {text}")


def _items(answer: httpx.Response) -> list[dict[str, Any]]:
    """The data sets of a DICOM JSON body; none where the body is empty or of another type."""
    if "json" not in answer.headers.get("content-type", ""):
        return []
    try:
        body = answer.json()
    except ValueError:
        return []
    return [each for each in (body if isinstance(body, list) else [body]) if isinstance(each, dict)]


def _first(item: dict[str, Any], tag: str) -> Any:
    values = (item.get(tag) or {}).get("Value") or [None]
    return values[0]
