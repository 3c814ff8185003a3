"""Results to an archive by DICOMweb: STOW-RS to store, QIDO-RS to look (PS3.18 10.5 and 10.6).

In: encoded objects on disk and a destination. Errors tell what to do next: no answer, a refused
secret, 408, 429 and 5xx may heal, any other answer does not.
"""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from node.destinations import Destination
from node.errors import (
    DestinationRefusedError,
    DestinationUnavailableError,
    ObjectPostponedError,
)
from node.tls import verifying_context
from workers.dicom.identity import Identity
from workers.dicom.store_response import data_sets, failure_reasons, first_value
from workers.dicom.transfer import in_syntax, syntaxes_for

_CHUNK_BYTES = 1 << 18
_JSON = "application/dicom+json"
_TRANSIENT = {408, 429}
_CREDENTIALS = {401, 403, 407}
_CONFLICT = 409  # "failed to store any"; the reasons are in the body (PS3.18 10.5.3)

_SOP_INSTANCE_UID = "00080018"

_DUPLICATE_SOP_INSTANCE = 0x0111
_OUT_OF_RESOURCES = range(0xA700, 0xA800)
# Processing failure, resource limitation: they speak of a moment, as by C-STORE, unless the syntax
# was the reason.
_PASSING = {0x0110, 0x0213, *_OUT_OF_RESOURCES}


class Web:
    """One HTTP client of a destination, as long as its results are on the way."""

    def __init__(self, client: httpx.Client, destination: Destination) -> None:
        self._client = client
        self._destination = destination
        # Syntaxes in which it has refused an object and then taken it in another.
        self._unread: set[str] = set()
        # Whether any request has been answered.
        self.answered = False

    def store(self, path: Path, identity: Identity) -> str:
        """Send one object in the best syntax that is taken; returns its UID.

        What is refused in one syntax is sent in the next: STOW-RS negotiates none, and archives
        say in many ways that they cannot read one (400, 409, 415, a Failure Reason).
        Raises DestinationUnavailableError, DestinationRefusedError, ObjectPostponedError.
        """
        wanted = syntaxes_for(identity, self._destination)
        usable = [syntax for syntax in wanted if syntax not in self._unread]
        refused: list[str] = []
        for syntax in usable[:-1]:
            try:
                self._store_in(syntax, path, identity)
            except (DestinationRefusedError, ObjectPostponedError):
                refused.append(syntax)
                continue
            self._unread.update(refused)
            return syntax
        self._store_in(usable[-1], path, identity)
        self._unread.update(refused)
        return usable[-1]

    def find(self, identity: Identity) -> bool:
        """Whether QIDO-RS lists the object in its study and series. Raises like `store`."""
        answer = self._asked(
            "GET",
            f"/studies/{identity.study_uid}/series/{identity.series_uid}/instances",
            params={"SOPInstanceUID": identity.sop_instance_uid},
            headers={"Accept": _JSON},
        )
        if answer.status_code == httpx.codes.NOT_FOUND:
            return False  # some archives say so of a study that they do not have
        _check(answer)
        uids = [first_value(match, _SOP_INSTANCE_UID) for match in data_sets(answer.content)]
        return identity.sop_instance_uid in uids

    def echo(self) -> None:
        """Ask for one study. Raises DestinationUnavailableError, DestinationRefusedError."""
        _check(self._asked("GET", "/studies", params={"limit": "1"}, headers={"Accept": _JSON}))

    def _store_in(self, syntax: str, path: Path, identity: Identity) -> None:
        boundary = uuid.uuid4().hex
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        with in_syntax(path, syntax) as sent:
            headers = {
                "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
                # Told the length, httpx does not chunk; Orthanc and others read no chunks.
                "Content-Length": str(len(head) + sent.stat().st_size + len(tail)),
                "Accept": _JSON,
            }
            answer = self._asked(
                "POST", "/studies", headers=headers, content=_pieces(head, sent, tail)
            )
        if answer.status_code != _CONFLICT:
            _check(answer)
        _check_stored(answer)

    def _asked(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        url = f"{self._destination.url}{path}"
        try:
            answer = self._client.request(method, url, **arguments)
        except httpx.RequestError as error:
            told = str(error) or type(error).__name__
            raise DestinationUnavailableError(f"does not answer: {told}") from error
        self.answered = True
        return answer


@contextmanager
def open_web(destination: Destination) -> Iterator[Web]:
    """A client with the destination's credentials, read now, and its trust.

    Raises ConfigurationError.
    """
    with open_client(destination, str(destination.url)) as client:
        yield Web(client, destination)


def open_client(destination: Destination, url: str) -> httpx.Client:
    """The HTTP client of one of a destination's doors. Raises ConfigurationError."""
    return httpx.Client(
        auth=_credentials(destination),
        timeout=destination.timeout_seconds,
        verify=_trust(destination, url),
        # The environment is read by node.settings alone; a stray proxy must not see results.
        trust_env=False,
    )


def _pieces(head: bytes, path: Path, tail: bytes) -> Iterator[bytes]:
    yield head
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK_BYTES):
            yield piece
    yield tail


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


def _trust(destination: Destination, url: str) -> ssl.SSLContext | bool:
    if not url.startswith("https:"):
        return False
    return verifying_context(
        destination.ca_file, destination.certificate_file, destination.key_file, destination.name
    )


def _check(answer: httpx.Response) -> None:
    code = answer.status_code
    if answer.is_success:
        return
    text = f"answered {code} {answer.reason_phrase}"
    if code in _CREDENTIALS:
        # Not the object's fault: what waits is sent once the secret is right.
        raise DestinationUnavailableError(
            f"{text}; check its username and password_file, or its token_file"
        )
    if code in _TRANSIENT or answer.is_server_error:
        raise DestinationUnavailableError(text)
    raise DestinationRefusedError(text)


def _check_stored(answer: httpx.Response) -> None:
    """PS3.18 10.5.3.2.1: each instance that was not stored is listed with its reason."""
    reasons = failure_reasons(answer.content)
    failures = [reason for reason in reasons if reason != _DUPLICATE_SOP_INSTANCE]
    if answer.status_code == _CONFLICT and not reasons:
        raise DestinationRefusedError("stored nothing and gave no reason")
    if not failures:
        return
    text = ", ".join("?" if reason is None else f"0x{reason:04X}" for reason in failures)
    if all(reason in _OUT_OF_RESOURCES for reason in failures):
        raise DestinationUnavailableError(f"out of resources ({text})")
    if all(reason in _PASSING for reason in failures):
        raise ObjectPostponedError(f"did not store the object now: {text}")
    raise DestinationRefusedError(f"did not store the object: {text}")
