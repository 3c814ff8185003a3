"""Writes the settings that docker-compose.yml hands through, from `node.settings.Settings`.

Run it after changing a setting: `make configuration`. A test fails when the file is stale.
"""

from __future__ import annotations

import re
from pathlib import Path

from node.settings import Settings

PATH = Path(__file__).resolve().parent.parent / "docker-compose.yml"
# The stack without containers has these; containers have addresses of their own.
EMBEDDED = {
    "orthanc_http_port",
    "orthanc_dicom_port",
    "redis_port",
    "triton_http_port",
    "triton_grpc_port",
    "triton_metrics_port",
    "model_repository",
}
# The web image knows its viewer; URLs with passwords are files.
ELSEWHERE = {"ohif_dir", "database_url", "broker_url"}

_HEAD = "  # Written by `make configuration`: what the shell or .env sets goes through.\n"
_TAIL = "  # Fixed here:"
_FIXED = re.compile(r"^  SENTINODE_([A-Z0-9_]+): \S", flags=re.M)


def with_settings(text: str) -> str:
    """The file with a line for every setting that it does not fix itself."""
    start, end = text.index(_HEAD) + len(_HEAD), text.index(_TAIL)
    fixed = {name.lower() for name in _FIXED.findall(text)}
    names = [name for name in Settings.model_fields if name not in EMBEDDED | ELSEWHERE | fixed]
    return text[:start] + "".join(f"  SENTINODE_{name.upper()}:\n" for name in names) + text[end:]


def main() -> None:
    """Write the file."""
    PATH.write_text(with_settings(PATH.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
