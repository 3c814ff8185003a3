"""One object of more than 4 GiB: its memory does not grow with it. Slow: `make test-slow`."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from sqlalchemy import select

from node.settings import load_settings
from node.store.digest import digest_text, new_digest
from node.store.session import open_store
from node.store.tables import Instance
from tests.datasets import mammogram
from tests.peers.node import running_role, sentinode
from tests.peers.pipelining import MAMMOGRAPHY, Sender
from tests.peers.ports import free_port
from tests.peers.wire import encoded

_SIZE_BYTES = 4_400_000_000
_FRAME_BYTES = 1 << 26
_JPEG_2000 = "1.2.840.10008.1.2.4.90"
# With a hundred associations it may be more; with one there is no reason.
_PEAK_BYTES = 150 << 20

pytestmark = [
    pytest.mark.skipif(
        "SENTINODE_FAULT_SECONDS" not in os.environ,
        reason="takes a minute and 5 GB of disk: make test-slow",
    ),
    pytest.mark.timeout(900),
]


def frames() -> Iterator[bytes]:
    """Encapsulated pixel data (PS3.5 A.4) of undefined length, fragment by fragment."""
    yield struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    yield struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    for number in range(_SIZE_BYTES // _FRAME_BYTES + 1):
        yield struct.pack("<HHI", 0xFFFE, 0xE000, _FRAME_BYTES)
        yield number.to_bytes(4, "little") * (_FRAME_BYTES // 4)
    yield struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def test_object_of_more_than_4_gib(tmp_path: Path) -> None:
    """It arrives whole, its row says its size, and the receiver stays under 150 MB."""
    image = mammogram()
    del image.PixelData
    digest, sent_bytes = new_digest(), 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent_bytes
        for piece in chain([encoded(image)], frames()):
            digest.update(piece)
            sent_bytes += len(piece)
            yield piece

    values = {"state_dir": tmp_path / "state", "dicom_port": free_port(), "min_free_bytes": 0}
    # Whose memory is looked at is the one that receives.
    values["dicom_processes"] = 1
    sentinode(values, "db", "upgrade")
    log = tmp_path / "receiver.log"
    with running_role(values, "receive", log=log, ready_text="receiver listens") as process:
        contexts = ((MAMMOGRAPHY, [_JPEG_2000]),)
        with Sender(values["dicom_port"], contexts, timeout_seconds=600) as sender:
            sender.store(1, MAMMOGRAPHY, str(image.SOPInstanceUID), pieces())
            assert sender.responses(1) == {1: 0x0000}
            sender.release()
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak_bytes = int(status.split("VmHWM:")[1].split()[0]) * 1024
    store = open_store(load_settings(**values))
    with store.reading() as session:
        row = session.scalars(select(Instance)).one()
    store.close()
    path = tmp_path / "state" / row.path
    assert path.stat().st_size == row.size_bytes == sent_bytes + row.dataset_offset
    assert row.digest == digest_text(digest)
    path.unlink()
    assert sent_bytes > 1 << 32
    print(f"{sent_bytes} bytes, peak {peak_bytes >> 20} MiB")
    assert peak_bytes < _PEAK_BYTES
