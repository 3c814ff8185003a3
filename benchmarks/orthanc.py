"""Orthanc as Debian's package sets it up, but for folders and ports.

Out: one configuration file. Every value of /etc/orthanc is kept but the two folders, the two ports
and `credentials.json`, the HTTP login that the package makes at random for each machine.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path("/etc/orthanc")
_SKIPPED = "credentials.json"
_STRING_OR_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|/\*.*?\*/|//[^\n]*', re.DOTALL)


def write_configuration(folder: Path, http_port: int, dicom_port: int) -> Path:
    """Write the configuration of an Orthanc that stores in `folder`; returns its path."""
    storage = str(folder / "storage")
    configuration = packaged() | {
        "StorageDirectory": storage,
        "IndexDirectory": storage,
        "HttpPort": http_port,
        "DicomPort": dicom_port,
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(configuration), encoding="utf-8")
    return path


def packaged(folder: Path = FOLDER) -> dict[str, Any]:
    """All files of the package's configuration as one; empty where there is no such folder."""
    merged: dict[str, Any] = {}
    for path in sorted(folder.glob("*.json")):
        if path.name != _SKIPPED:
            merged |= parse(path.read_text(encoding="utf-8"))
    return merged


def parse(text: str) -> dict[str, Any]:
    """JSON with the comments that Orthanc allows."""
    content: dict[str, Any] = json.loads(
        _STRING_OR_COMMENT.sub(lambda match: match.group(1) or "", text)
    )
    return content
