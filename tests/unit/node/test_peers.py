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


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("peers: {}", "expected a list under the key `peers`"),
        ("peers: [", "peers file"),
        (f"peers:\n- {PACS}\n- {PACS.replace('104', '0')}", "entry 2: port"),
        (f"peers:\n- {PACS}\n- {PACS}", "AE title PACS is used twice"),
        ("peers:\n- {ae_title: PACS, host: '', port: 104}", "entry 1.*: host"),
        (f"peers:\n- {PACS.replace('pacs.example', 'http://pacs')}", "host"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, named: str) -> None:
    """The message holds the file, the entry and the field."""
    with pytest.raises(ConfigurationError, match=named) as caught:
        load(tmp_path, text)
    assert str(tmp_path / "peers.yaml") in str(caught.value)
