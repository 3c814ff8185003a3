"""One data set on its way to disk, where its file cannot be taken away again."""

from __future__ import annotations

from pathlib import Path

from node.store.incoming import Claim, Incoming, file_meta
from node.store.stage import STAGE_BYTES

CLAIM = Claim("1.2.840.10008.5.1.4.1.1.7", "1.2.3", "1.2.840.10008.1.2.1", "MODALITY", "10.0.0.1")


def test_a_file_that_cannot_be_removed_is_left_for_recovery(tmp_path: Path) -> None:
    """On a disk that has become read-only the association ended, instead of the answer 0xA700."""
    incoming = Incoming(str(tmp_path / "0.part"), file_meta(CLAIM), CLAIM)
    for _ in range(4):
        incoming.write(bytes(STAGE_BYTES))
    incoming.path.unlink()
    incoming.path.mkdir()  # unlink(2) refuses it, for root too
    incoming.discard()
    assert incoming.path.exists()
