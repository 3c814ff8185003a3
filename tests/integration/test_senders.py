"""Real senders and real files: what they put on the wire is what is on the disk, byte for byte."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pynetdicom
import pytest
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from sqlalchemy import select

from node.settings import load_settings
from node.store.session import Store, open_store
from node.store.tables import Instance
from tests.datasets import mammogram, saved
from tests.peers.node import running_role, sentinode
from tests.peers.orthanc import Orthanc
from tests.peers.pipelining import MAMMOGRAPHY, PLAIN, Sender
from tests.peers.ports import free_port
from tests.peers.tap import Tap, tapped
from tests.stored import Objects, Sent, original

_JPEG = "1.2.840.10008.1.2.4."
UNCOMPRESSED = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}


@dataclass(frozen=True)
class Node:
    """A running receiver, and what it has stored."""

    port: int
    state_dir: Path
    store: Store

    def stored(self, sop_instance_uid: str) -> tuple[str, bytes]:
        """Transfer syntax and data set of an instance as they were kept."""
        ((syntax, content),) = self._rows(sop_instance_uid)
        return syntax, content

    def kept(self, sop_instance_uid: str) -> list[bytes]:
        """The data sets that are kept under this UID, more than one after a conflict."""
        return [content for _, content in self._rows(sop_instance_uid)]

    def _rows(self, sop_instance_uid: str) -> list[tuple[str, bytes]]:
        found = select(Instance).where(Instance.sop_instance_uid == sop_instance_uid)
        with self.store.reading() as session:
            rows = list(session.scalars(found))
        return [(row.transfer_syntax_uid, self._content(row)) for row in rows]

    def _content(self, row: Instance) -> bytes:
        return original(self.store, self.state_dir, row.id)[row.dataset_offset :]

    def assert_kept(self, tap: Tap, *uids: str) -> None:
        """Every object that came over the wire is kept as it came, and these came."""
        sent = tap.data_sets()
        assert set(uids) <= set(sent)
        for uid, content in sent.items():
            assert self.stored(uid)[1] == content


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One receiver on SQLite."""
    folder = tmp_path_factory.mktemp("senders")
    values = {"state_dir": folder / "state", "dicom_port": free_port(), "min_free_bytes": 0}
    sentinode(values, "db", "upgrade")
    log = folder / "receiver.log"
    with running_role(values, "receive", log=log, ready_text="receiver listens"):
        store = open_store(load_settings(**values))
        yield Node(values["dicom_port"], folder / "state", store)
        store.close()


def dcmtk(tool: str, port: int, *arguments: str) -> str:
    """Run a DCMTK sender and return what it said; it must succeed."""
    argv = [tool, "-v", "-aec", "SENTINODE", "127.0.0.1", str(port), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def image_in(transfer_syntax_uid: str) -> FileDataset:
    """A mammogram that says it is in this syntax; senders do not look into compressed frames."""
    image = mammogram(size_px=(240, 200))
    image.file_meta.TransferSyntaxUID = transfer_syntax_uid
    if transfer_syntax_uid not in {*UNCOMPRESSED, "1.2.840.10008.1.2.1.99"}:
        image.PixelData = encapsulate([image.PixelData[:20_000], image.PixelData[20_000:50_001]])
        image["PixelData"].VR = "OB"
        image["PixelData"].is_undefined_length = True
    return image


# What storescu 3.6.7 can propose, and the syntax that a file must have to be sent so.
_PROPOSALS = {
    "-x=": None,
    "-xe": None,
    "-xb": None,
    "-xi": None,
    "-xd": "1.2.840.10008.1.2.1.99",
    "-xs": _JPEG + "70",
    "-xy": _JPEG + "50",
    "-xx": _JPEG + "51",
    "-xv": _JPEG + "90",
    "-xw": _JPEG + "91",
    "-xt": _JPEG + "80",
    "-xu": _JPEG + "81",
    "-xm": _JPEG + "100",
    "-xh": _JPEG + "101",
    "-xn": _JPEG + "102",
    "-xl": _JPEG + "103",
    "-x2": _JPEG + "104",
    "-x3": _JPEG + "105",
    "-xo": _JPEG + "106",
    "-x4": _JPEG + "107",
    "-x5": _JPEG + "108",
    "-xr": "1.2.840.10008.1.2.5",
}


@pytest.mark.parametrize("option", _PROPOSALS)
@pytest.mark.parametrize("combined", [False, True], ids=["apart", "combined"])
def test_storescu_in_every_transfer_syntax(
    option: str, combined: bool, node: Node, tmp_path: Path
) -> None:
    """Each --propose option, its syntaxes in one presentation context or in several."""
    syntax = _PROPOSALS[option]
    image = image_in(syntax or ExplicitVRLittleEndian)
    more = ["+C"] if combined else []
    with tapped(node.port) as tap:
        dcmtk("storescu", tap.port, option, *more, str(saved(image, tmp_path)))
        node.assert_kept(tap, image.SOPInstanceUID)
    kept, _ = node.stored(image.SOPInstanceUID)
    # An uncompressed file may go out in whichever uncompressed syntax was agreed upon.
    assert kept == syntax or (syntax is None and kept in UNCOMPRESSED)
    if option == "-xi":
        assert kept == ImplicitVRLittleEndian


@pytest.mark.parametrize("tool", ["storescu", "dcmsend"])
def test_many_files_over_one_association(tool: str, node: Node, tmp_path: Path) -> None:
    """A folder of images in five syntaxes, sent by one call."""
    syntaxes = [str(ExplicitVRLittleEndian), _JPEG + "70", _JPEG + "90", _JPEG + "80"]
    images = [image_in(syntax) for syntax in [*syntaxes, "1.2.840.10008.1.2.5"] * 2]
    for image in images:
        saved(image, tmp_path)
    # storescu proposes only what it is told; dcmsend looks into the files and never decompresses.
    options = ["+sd", "-R"] if tool == "storescu" else ["+sd", "-dn"]
    if tool == "storescu":
        images = [each for each in images if str(each.file_meta.TransferSyntaxUID) in UNCOMPRESSED]
        for path in tmp_path.glob("*.dcm"):
            if path.stem not in {each.SOPInstanceUID for each in images}:
                path.unlink()
    with tapped(node.port) as tap:
        dcmtk(tool, tap.port, *options, str(tmp_path))
        node.assert_kept(tap, *(image.SOPInstanceUID for image in images))
        assert len(tap.streams) == 1
    for image in images:
        kept = node.stored(image.SOPInstanceUID)[0]
        syntax = str(image.file_meta.TransferSyntaxUID)
        assert kept == syntax or {kept, syntax} <= UNCOMPRESSED


def _pipeline(node: Node, objects: list[Sent], window: int, at_once: int) -> int:
    """Send with never more than `at_once` open; returns the window that was granted."""
    waiting = dict(enumerate(objects, start=100))
    with Sender(node.port, PLAIN, window) as sender:
        open_numbers: set[int] = set()
        for number, each in waiting.items():
            pieces = [each.content[:1000], each.content[1000:]]
            sender.store(number, MAMMOGRAPHY, each.sop_instance_uid, pieces)
            open_numbers.add(number)
            while len(open_numbers) >= at_once:
                _take(sender, open_numbers)
        while open_numbers:
            _take(sender, open_numbers)
        assert sender.echo(7) == 0x0000
        sender.release()
        granted = sender.window
    for each in objects:
        assert node.stored(each.sop_instance_uid)[1] == each.content
    return granted


def _take(sender: Sender, open_numbers: set[int]) -> None:
    number, status = sender.response()
    assert status == 0x0000
    # Each answer names a request that is open, and closes it.
    open_numbers.remove(number)


@pytest.mark.parametrize(
    ("asked", "granted", "at_once"), [(4, 4, 4), (1, 1, 1), (0, 16, 16), (500, 16, 16), (4, 4, 60)]
)
@pytest.mark.parametrize("size_px", [(30, 20), (260, 240)])
def test_asynchronous_window(
    asked: int, granted: int, at_once: int, size_px: tuple[int, int], node: Node
) -> None:
    """Requests are pipelined up to the window (0 asks for any); more than it does no harm."""
    objects = Objects(size_px)
    assert _pipeline(node, [objects.new() for _ in range(60)], asked, at_once) == granted


def test_orthanc_forwards(node: Node, orthanc: Orthanc, tmp_path: Path) -> None:
    """Orthanc's POST /modalities/{id}/store, with and without transcoding on its side."""
    images = [image_in(ExplicitVRLittleEndian), image_in(_JPEG + "70"), image_in(_JPEG + "90")]
    with tapped(node.port) as tap, httpx.Client(base_url=orthanc.url, trust_env=False) as client:
        modality = {"AET": "SENTINODE", "Host": "127.0.0.1", "Port": tap.port}
        client.put("/modalities/node", json=modality).raise_for_status()
        kept = [
            client.post("/instances", content=saved(image, tmp_path).read_bytes()).json()["ID"]
            for image in images
        ]
        order = {"Resources": kept, "Synchronous": True}
        done = client.post("/modalities/node/store", json=order, timeout=60).raise_for_status()
        assert done.json()["FailedInstancesCount"] == 0
        client.delete("/modalities/node").raise_for_status()
        node.assert_kept(tap, *(image.SOPInstanceUID for image in images))
    for image in images:
        assert node.stored(image.SOPInstanceUID)[0] == image.file_meta.TransferSyntaxUID


@pytest.mark.parametrize("chunked", [False, True])
def test_pynetdicom_sends_from_file(
    chunked: bool, node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pynetdicom's send_c_store with a path, read whole or in chunks."""
    monkeypatch.setattr(pynetdicom._config, "STORE_SEND_CHUNKED_DATASET", chunked)
    image = mammogram(size_px=(600, 500))
    path = saved(image, tmp_path)
    entity = pynetdicom.AE("CHUNKS")
    entity.add_requested_context(image.SOPClassUID, ExplicitVRLittleEndian)
    with tapped(node.port) as tap:
        association = entity.associate("127.0.0.1", tap.port)
        assert association.send_c_store(path).Status == 0x0000
        association.release()
        node.assert_kept(tap, image.SOPInstanceUID)


def test_fragments_of_any_size(node: Node) -> None:
    """PDVs of one byte, of none, and of random sizes make the same object."""
    one = Objects((300, 200)).new()
    generator = random.Random(3)
    pieces, position = [one.content[:1], one.content[1:2]], 2
    while position < len(one.content):
        size = generator.choice((1, 3, 77, 4096, 131_066, 100_000))
        pieces.append(one.content[position : position + size])
        position += size
    with Sender(node.port, PLAIN) as sender:
        sender.store(1, MAMMOGRAPHY, one.sop_instance_uid, pieces)
        assert sender.responses(1) == {1: 0x0000}
        sender.release()
    assert node.stored(one.sop_instance_uid)[1] == one.content
