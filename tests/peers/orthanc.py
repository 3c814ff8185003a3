"""A real Orthanc with its DICOMweb plugin, empty, on free ports."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx

from stack.process import running, stop
from tests.peers.ports import free_ports

INSTALL = "apt-get install orthanc orthanc-dicomweb"
AE_TITLE = "ORTHANC"
DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc. `username` and `password` are None where it asks for none."""

    process: Popen[bytes]
    http_port: int
    dicom_port: int
    username: str | None = None
    password: str | None = None
    host: str = "127.0.0.1"
    ae_title: str = AE_TITLE

    @property
    def url(self) -> str:
        """Base URL of the REST API, without a trailing slash."""
        return f"http://{self.host}:{self.http_port}"

    @property
    def dicomweb_url(self) -> str:
        """Base URL of DICOMweb, without a trailing slash."""
        return f"{self.url}/dicom-web"

    def sop_instance_uids(self) -> list[str]:
        """Return the SOP Instance UIDs of everything stored, sorted."""
        found = self._get("/instances?expand")
        return sorted(each["MainDicomTags"]["SOPInstanceUID"] for each in found)

    def sop_instance_uids_of(self, study_uid: str) -> list[str]:
        """Return the SOP Instance UIDs stored for one study, sorted."""
        query = {"Level": "Instance", "Query": {"StudyInstanceUID": study_uid}, "Expand": True}
        with self._client() as client:
            found = client.post("/tools/find", json=query).raise_for_status().json()
        return sorted(each["MainDicomTags"]["SOPInstanceUID"] for each in found)

    def file(self, sop_instance_uid: str) -> bytes:
        """Return the stored DICOM file of one SOP instance. Raises KeyError."""
        for each in self._get("/instances?expand"):
            if each["MainDicomTags"]["SOPInstanceUID"] == sop_instance_uid:
                with self._client() as client:
                    return client.get(f"/instances/{each['ID']}/file").raise_for_status().content
        raise KeyError(sop_instance_uid)

    def clear(self) -> None:
        """Remove everything stored."""
        with self._client() as client:
            for patient in client.get("/patients").raise_for_status().json():
                client.delete(f"/patients/{patient}").raise_for_status()

    def stop(self) -> None:
        """End the process, as a power cut of the archive would."""
        stop(self.process)

    def _get(self, path: str) -> Any:
        with self._client() as client:
            return client.get(path).raise_for_status().json()

    def _client(self) -> httpx.Client:
        auth = None if self.password is None else (self.username or "", self.password)
        return httpx.Client(base_url=self.url, auth=auth, timeout=30, trust_env=False)


def missing() -> str | None:
    """Return what to install, or None where Orthanc and its plugin are there."""
    if program() is None or not DICOMWEB_PLUGIN.is_file():
        return f"Orthanc with DICOMweb is not installed: {INSTALL}"
    return None


@contextmanager
def running_orthanc(
    username: str | None = None, password: str | None = None, **overrides: Any
) -> Iterator[Orthanc]:
    """Run an empty Orthanc until the block ends.

    `username` and `password` switch HTTP authentication on. `overrides`: top-level entries of
    Orthanc's configuration, e.g. `DicomAlwaysAllowStore=False`.
    """
    http_port, dicom_port = free_ports(2)
    with tempfile.TemporaryDirectory(prefix="sentinode-orthanc-") as name:
        folder = Path(name)
        configuration = _configuration(folder, http_port, dicom_port, username, password)
        (folder / "orthanc.json").write_text(json.dumps(configuration | overrides))
        argv = [str(program()), str(folder / "orthanc.json")]
        with running(argv, folder / "orthanc.log", lambda: answers(http_port)) as process:
            yield Orthanc(process, http_port, dicom_port, username, password)


def _configuration(
    folder: Path, http_port: int, dicom_port: int, username: str | None, password: str | None
) -> dict[str, Any]:
    return {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(DICOMWEB_PLUGIN)],
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "DicomAet": AE_TITLE,
        # Authentication is what tests switch; being reached from elsewhere never is.
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": password is not None,
        "RegisteredUsers": {} if password is None else {username: password},
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomCheckCalledAet": True,
        "UnknownSopClassAccepted": True,
        "OverwriteInstances": False,
        "StableAge": 1,
        "HttpThreadsCount": 4,
        "ConcurrentJobs": 1,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
    }


def program() -> str | None:
    """Orthanc's program; /usr/sbin is not on the PATH of ordinary users."""
    return shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


def answers(http_port: int) -> bool:
    """Whether an Orthanc on this machine answers HTTP, be it with 401.

    Its HTTP server starts after the DICOM server and the plugins.
    """
    try:
        httpx.get(f"http://127.0.0.1:{http_port}/system", timeout=2, trust_env=False)
    except httpx.TransportError:
        return False
    return True
