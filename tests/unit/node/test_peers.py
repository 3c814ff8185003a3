"""The peers file: what is read, and how a mistake in it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.errors import ConfigurationError
from node.peers import Peer, load_peers

PACS = "{ae_title: PACS, host: pacs.example, port: 104}"


def load(folder: Path, text: str) -> dict[str, Peer]:
    path = folder / "peers.yaml"
    path.write_text(text)
    return load_peers(path)


def test_peers_are_found_by_ae_title(tmp_path: Path) -> None:
    """Spaces around an AE title say nothing (PS3.5 table 6.2-1); without a file there is nobody."""
    padded = PACS.replace("PACS", "' CT1 '")
    peers = load(tmp_path, f"peers:\n- {PACS}\n- {padded}\n")
    assert [(title, peer.port) for title, peer in peers.items()] == [("PACS", 104), ("CT1", 104)]
    assert load_peers(None) == {}


@pytest.mark.parametrize("field", ["ca_file", "certificate_file", "key_file"])
def test_certificates_beside_the_file_are_found(tmp_path: Path, field: str) -> None:
    """As those of destinations are, whatever folder the process was started in."""
    entry = PACS.replace("}", f", tls: true, {field}: pacs-ca.pem}}")
    peer = load(tmp_path, f"peers:\n- {entry}\n")["PACS"]
    assert getattr(peer, field) == tmp_path / "pacs-ca.pem"
    whole = entry.replace("pacs-ca.pem", "/etc/ca.pem")
    assert getattr(load(tmp_path, f"peers:\n- {whole}\n")["PACS"], field) == Path("/etc/ca.pem")


def test_a_file_that_is_not_there_is_named_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path does not say from which folder it was read."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=f"peers file {tmp_path}/peers.yaml cannot be"):
        load_peers(Path("peers.yaml"))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("peers: {}", "expected a list under the key `peers`"),
        ("peers: [", "peers file"),
        (f"peers:\n- {PACS}\n- {PACS.replace('104', '0')}", "entry 2: port"),
        (f"peers:\n- {PACS}\n- {PACS}", "AE title PACS is used twice"),
        ("peers:\n- {ae_title: PACS, host: '', port: 104}", "entry 1.*: host"),
        (f"peers:\n- {PACS.replace('pacs.example', 'http://pacs')}", "host"),
        (f"peers:\n- {PACS.replace('pacs.example', 'pacs:104')}", "the port apart"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, named: str) -> None:
    """The message holds the file, the entry and the field."""
    with pytest.raises(ConfigurationError, match=named) as caught:
        load(tmp_path, text)
    assert str(tmp_path / "peers.yaml") in str(caught.value)
