"""Results out of an Orthanc again, by its REST API; DICOMweb has no such transaction everywhere.

In: the UIDs of an object that this node wrote. Out: Orthanc does not have it any more. What must
hold: only what has all three UIDs, and this node as its manufacturer, is deleted; to delete what is
not there is no error. No answer, a refused secret and 5xx may heal, any other answer does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from node.destinations import Destination
from node.errors import DestinationRefusedError, DestinationUnavailableError
from workers.dicom import equipment, stow

_MAY_HEAL = {401, 403, 408, 429}
# Orthanc closes an idle connection after half a second, which may cross with the next request.
_HEADERS = {"Connection": "close"}


class Orthanc:
    """One HTTP client of Orthanc's REST API."""

    def __init__(self, client: httpx.Client, destination: Destination) -> None:
        self._client = client
        self._root = destination.orthanc_url

    def remove(self, study_uid: str, series_uid: str, sop_instance_uid: str) -> None:
        """Delete one object; nothing happens when Orthanc does not have it.

        Raises DestinationUnavailableError, DestinationRefusedError.
        """
        ours = (study_uid, series_uid, equipment.MANUFACTURER)
        for identifier in self._found(sop_instance_uid, ours):
            self._asked("DELETE", f"/instances/{identifier}", gone_is_fine=True)
        if self._found(sop_instance_uid, ours):
            raise DestinationUnavailableError(f"{sop_instance_uid} is still there after DELETE")

    def version(self) -> str:
        """Of Orthanc. Raises DestinationUnavailableError, DestinationRefusedError."""
        answer = self._asked("GET", "/system")
        with _of_orthanc():
            return str(answer.json()["Version"])

    def _found(self, sop_instance_uid: str, ours: tuple[str, str, str]) -> list[str]:
        """Orthanc's identifiers of the object; another of that UID is left alone."""
        return [each for each in self._lookup(sop_instance_uid) if self._context(each) == ours]

    def _context(self, identifier: str) -> tuple[str | None, ...]:
        study = self._tags(f"/instances/{identifier}/study")
        series = self._tags(f"/instances/{identifier}/series")
        return (
            study.get("StudyInstanceUID"),
            series.get("SeriesInstanceUID"),
            series.get("Manufacturer"),
        )

    def _lookup(self, sop_instance_uid: str) -> list[str]:
        """Orthanc's identifiers of the instances with this UID."""
        answer = self._asked("POST", "/tools/lookup", content=sop_instance_uid.encode("ascii"))
        with _of_orthanc():
            return [str(each["ID"]) for each in answer.json() if each["Type"] == "Instance"]

    def _tags(self, path: str) -> dict[str, Any]:
        answer = self._asked("GET", path, gone_is_fine=True)
        with _of_orthanc():
            return dict(answer.json()["MainDicomTags"]) if answer.is_success else {}

    def _asked(
        self, method: str, path: str, *, content: bytes | None = None, gone_is_fine: bool = False
    ) -> httpx.Response:
        url = f"{self._root}{path}"
        try:
            answer = self._client.request(method, url, content=content, headers=_HEADERS)
        except httpx.RequestError as error:
            told = str(error) or type(error).__name__
            raise DestinationUnavailableError(f"does not answer: {told}") from error
        if answer.is_success or (gone_is_fine and answer.status_code == httpx.codes.NOT_FOUND):
            return answer
        text = f"answered {answer.status_code} {answer.reason_phrase} to {method} {path}"
        if answer.status_code in _MAY_HEAL or answer.is_server_error:
            raise DestinationUnavailableError(f"{text}; check `orthanc_url` and its account")
        raise DestinationRefusedError(f"{text}; check `orthanc_url`")


@contextmanager
def _of_orthanc() -> Iterator[None]:
    """For reading what only an Orthanc says so: the page of a proxy's login is none.

    Raises DestinationRefusedError.
    """
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise DestinationRefusedError("is no Orthanc; check `orthanc_url`") from error


@contextmanager
def open_orthanc(destination: Destination) -> Iterator[Orthanc]:
    """A client with the destination's credentials and trust. Raises ConfigurationError."""
    with stow.open_client(destination, str(destination.orthanc_url)) as client:
        yield Orthanc(client, destination)
