"""The parts of the stack, and where people are told that they listen."""

from __future__ import annotations

from pathlib import Path

from node.settings import load_settings
from stack.health import parts


def test_a_receiver_with_tls_alone_is_told_with_its_port(tmp_path: Path) -> None:
    """The plain port is closed: a C-ECHO there waited in vain, and `up` gave up."""
    files = {"dicom_tls_certificate": tmp_path / "a.crt", "dicom_tls_key": tmp_path / "a.key"}
    tls = load_settings(state_dir=tmp_path, dicom_tls_port=2762, dicom_plain=False, **files)
    plain = load_settings(state_dir=tmp_path)
    found = [
        next(part.address for part in parts(settings) if part.program == "receive")
        for settings in (tls, plain)
    ]
    assert found == ["SENTINODE@127.0.0.1:2762 (TLS)", "SENTINODE@127.0.0.1:11112"]
