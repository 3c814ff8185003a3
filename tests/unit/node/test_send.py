"""Sending: whom to, what of, and what is said where that cannot be. No socket is opened."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.errors import ConfigurationError, DestinationUnavailableError
from node.identifiers import AETitle
from node.send import (
    Peer,
    Sendable,
    find_instances,
    parse_ae_title,
    parse_peer,
    send_instances,
)

_NOBODY = 65534


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("SENTINODE@10.0.0.5:11112", ("SENTINODE", "10.0.0.5", 11112)),
        ("MY PACS@pacs.example:104", ("MY PACS", "pacs.example", 104)),
        ("A@[::1]:65535", ("A", "::1", 65535)),
    ],
)
def test_a_peer_is_read(text: str, peer: tuple[str, str, int]) -> None:
    """AE title, host and port, as in `--to`."""
    title, host, port = peer
    assert parse_peer(text) == Peer(AETitle(title), host, port)


@pytest.mark.parametrize(
    "text",
    [
        "pacs",
        "A@b",
        "A@b:0",
        "A@b:65536",
        "A@b:99999",
        "A@b:x",
        " @b:1",
        "A\\B@b:1",
        "É@b:1",
        "@b:1",
    ],
)
def test_what_is_no_peer_is_refused(text: str) -> None:
    """Before a connection is tried; the error shows the form."""
    with pytest.raises(ConfigurationError, match="AE@HOST:PORT"):
        parse_peer(text)


@pytest.mark.parametrize("text", ["", "  ", "A\\B", "É", "seventeen letters", "A@B"])
def test_what_is_no_ae_title_is_refused(text: str) -> None:
    """As in `--from`; else PS3.8 would cut it off, or the peer would."""
    with pytest.raises(ConfigurationError, match="is no AE title"):
        parse_ae_title(text)


def test_a_host_that_nobody_knows_is_named() -> None:
    """The name does not resolve (RFC 6761: never does): no traceback of the socket."""
    image = Sendable(Path("x.dcm"), "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.1.2.1", "1.2")
    with pytest.raises(DestinationUnavailableError, match=r"A at nobody\.invalid:104"):
        send_instances([image], parse_peer("A@nobody.invalid:104"), "TEST")


@pytest.fixture
def folder_of_nobody() -> Iterator[Path]:
    """A folder, seen by an account without rights of its own: to root nothing is closed."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() != 0:
            yield Path(name)
            return
        os.chown(name, _NOBODY, _NOBODY)
        os.seteuid(_NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)


def test_what_may_not_be_read_is_not_passed_over(folder_of_nobody: Path) -> None:
    """A file or folder without permission would be missing in the archive, and nobody told."""
    closed = folder_of_nobody / "closed.dcm"
    closed.touch(mode=0)
    with pytest.raises(ConfigurationError, match=r"closed\.dcm cannot be read: Permission denied"):
        find_instances([folder_of_nobody])
    closed.unlink()
    series = folder_of_nobody / "series"
    series.mkdir(mode=0)
    with pytest.raises(ConfigurationError, match="series cannot be read: Permission denied"):
        find_instances([folder_of_nobody])
    series.chmod(0o700)
