"""The archive of the embedded stack: Debian's Orthanc with its DICOMweb plugin.

In: settings and `orthanc/orthanc.json`, which holds only what differs from Orthanc's defaults.
Out: `STATE_DIR/orthanc/orthanc.json` with ports and paths filled in, and the command line.
What must hold: it answers this machine only, and stores only for the modalities named here.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from node.settings import Settings
from stack.state import DEMO_MODALITY, StateDir

_TEMPLATE = Path(__file__).parent.parent / "orthanc" / "orthanc.json"
# /usr/sbin is not on the PATH of ordinary users.
_PROGRAM_DIRS = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin")
_PLUGIN_DIRS = ("/usr/share/orthanc/plugins", "/usr/local/share/orthanc/plugins")
_DICOMWEB = "libOrthancDicomWeb.so"


def executable() -> Path:
    """Orthanc's program. Raises FileNotFoundError that says what to install."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_PROGRAM_DIRS])
    found = shutil.which("Orthanc", path=path)
    if found is None:
        raise FileNotFoundError("Orthanc is missing: apt-get install orthanc orthanc-dicomweb")
    return Path(found)


def dicomweb_plugin() -> Path:
    """The DICOMweb plugin. Raises FileNotFoundError that says what to install."""
    for folder in _PLUGIN_DIRS:
        plugin = Path(folder) / _DICOMWEB
        if plugin.exists():
            return plugin
    raise FileNotFoundError(f"{_DICOMWEB} is missing: apt-get install orthanc-dicomweb")


def configuration(settings: Settings, plugin: Path) -> dict[str, Any]:
    """The template with this stack's ports, folders and modalities."""
    fixed: dict[str, Any] = json.loads(_TEMPLATE.read_text(encoding="utf-8"))
    storage = str(StateDir(settings.state_dir).orthanc / "storage")
    return {
        **fixed,
        "StorageDirectory": storage,
        "IndexDirectory": storage,
        "HttpPort": settings.orthanc_http_port,
        "DicomPort": settings.orthanc_dicom_port,
        "Plugins": [str(plugin)],
        "DicomModalities": {
            "sentinode": [settings.ae_title, "127.0.0.1", settings.dicom_port],
            # Sends only; the port is never called.
            "demo": [DEMO_MODALITY, "127.0.0.1", settings.dicom_port],
        },
    }


def write_configuration(settings: Settings, plugin: Path) -> Path:
    """Write the configuration into the state directory and return its path."""
    path = configuration_path(settings)
    path.write_text(json.dumps(configuration(settings, plugin), indent=2), encoding="utf-8")
    return path


def configuration_path(settings: Settings) -> Path:
    """Where `write_configuration` writes."""
    return StateDir(settings.state_dir).orthanc / "orthanc.json"


def command(settings: Settings, program: Path) -> list[str]:
    """The command line."""
    return [str(program), str(configuration_path(settings))]
