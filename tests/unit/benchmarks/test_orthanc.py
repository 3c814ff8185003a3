"""Orthanc's packaged configuration, comments and all."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.orthanc import packaged, parse, write_configuration


def test_comments_go_and_strings_stay() -> None:
    """Both kinds of comment are dropped, but not what looks like one in a string."""
    text = '{ /* a\n"b": 1 */ "url": "http://x/*y*/", // "c": 2\n "quote": "\\"//" }'
    assert parse(text) == {"url": "http://x/*y*/", "quote": '"//'}


def test_files_are_merged_without_the_login(tmp_path: Path) -> None:
    """Every file but the machine's own HTTP login is part of what the package configures."""
    (tmp_path / "orthanc.json").write_text('{"DicomPort": 4242}')
    (tmp_path / "dicomweb.json").write_text('{"DicomWeb": {"Enable": true}}')
    (tmp_path / "credentials.json").write_text('{"RegisteredUsers": {"a": "b"}}')
    assert packaged(tmp_path) == {"DicomPort": 4242, "DicomWeb": {"Enable": True}}


def test_only_folders_and_ports_differ(tmp_path: Path) -> None:
    """What is written is the package's configuration with four values of its own."""
    written = json.loads(write_configuration(tmp_path, 8043, 4243).read_text())
    own = {"StorageDirectory", "IndexDirectory", "HttpPort", "DicomPort"}
    assert {name for name in written if written[name] != packaged().get(name)} == own
