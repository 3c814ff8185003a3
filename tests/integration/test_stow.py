"""STOW-RS at the real web process: real clients, both doors, and requests that break."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import generate_uid
from sqlalchemy import select

from node.settings import load_settings
from node.store.migrate import upgrade
from node.store.session import Store, open_store
from node.store.tables import Instance
from tests.datasets import mammogram
from tests.peers import orthanc as orthanc_peer
from tests.peers import stow
from tests.peers.needs import need
from tests.peers.node import running_role
from tests.peers.orthanc import running_orthanc
from tests.peers.ports import free_port, listens
from tests.peers.wire import associate, encoded
from tests.stored import original, temporary_files

TOKEN = "a-secret-token"
LIMIT_BYTES = 4 << 20
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Web:
    """A running web process."""

    port: int
    state_dir: Path
    store: Store
    process: Any

    def rows(self, *datasets: Dataset) -> list[Instance]:
        """The rows of these instances, in the order of their requests."""
        uids = [dataset.SOPInstanceUID for dataset in datasets]
        wanted = select(Instance).where(Instance.sop_instance_uid.in_(uids)).order_by(Instance.id)
        with self.store.reading() as session:
            return list(session.scalars(wanted))

    def kept(self, row: Instance) -> bytes:
        """The data set that is kept of an instance, without File Meta Information."""
        return original(self.store, self.state_dir, row.id)[row.dataset_offset :]

    def spool(self) -> list[str]:
        """Files in the spool folders."""
        return temporary_files(self.state_dir)


@contextmanager
def running_web(folder: Path, **more: object) -> Iterator[Web]:
    """Run `sentinode run web` with these settings on top of the test's own."""
    port, state_dir = free_port(), folder / "state"
    values = {"state_dir": state_dir, "http_port": port, "min_free_bytes": 0} | more
    upgrade(load_settings(state_dir=state_dir))
    store = open_store(load_settings(state_dir=state_dir))
    try:
        with running_role(values, "web", log=folder / "web.log") as process:
            _until(lambda: listens(port))
            yield Web(port, state_dir, store, process)
    finally:
        store.close()


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A web process with defaults, for all tests that leave it as it was."""
    with running_web(tmp_path_factory.mktemp("web")) as web:
        yield web


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """One with a token, a small limit and little patience."""
    folder = tmp_path_factory.mktemp("strict")
    (folder / "token").write_text(f"{TOKEN}\n")
    settings = {
        "stow_token_file": folder / "token",
        "stow_max_request_bytes": LIMIT_BYTES,
        "dicom_pdu_timeout_seconds": 1,
    }
    with running_web(folder, **settings) as web:
        yield web


def test_stored_bytes_are_those_sent(web: Web) -> None:
    """200 means: each data set is kept byte for byte, with a row that says where it came from."""
    images = [mammogram(size_px=size_px) for size_px in ((64, 48), (700, 500))]
    answer = stow.post(web.port, stow.body(*map(stow.part10, images)))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    assert stow.stored(answer) == [image.SOPInstanceUID for image in images]
    rows = web.rows(*images)
    kept = {row.sop_instance_uid: web.kept(row) for row in rows}
    assert kept == {image.SOPInstanceUID: encoded(image) for image in images}
    assert {(row.calling_ae_title, row.peer_host) for row in rows} == {("STOW-RS", "127.0.0.1")}
    assert web.spool() == []


def test_dicomweb_client(web: Web) -> None:
    """The client of the field stores into a study, and reads the answer."""
    study_uid = generate_uid()
    images = [mammogram(study_uid, view=view) for view in ("CC", "MLO")]
    client = DICOMwebClient(f"http://127.0.0.1:{web.port}/dicom-web")
    answer = client.store_instances(images, study_uid)
    stored = [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence]
    assert stored == [image.SOPInstanceUID for image in images]
    assert "FailedSOPSequence" not in answer
    assert len(web.rows(*images)) == 2


def test_orthanc_forwards_a_study(strict: Web) -> None:
    """Orthanc's DICOMweb client, with a bearer token, has every instance confirmed."""
    need(orthanc_peer.missing())
    node = {
        "Url": f"http://127.0.0.1:{strict.port}/dicom-web/",
        "HttpHeaders": {"Authorization": f"Bearer {TOKEN}"},
    }
    plugin = {"Enable": True, "Root": "/dicom-web/", "Servers": {"node": node}}
    study_uid = generate_uid()
    images = [mammogram(study_uid, view=view, size_px=(300, 200)) for view in ("CC", "MLO", "ML")]
    with (
        running_orthanc(DicomWeb=plugin) as orthanc,
        httpx.Client(base_url=orthanc.url, timeout=60, trust_env=False) as client,
    ):
        for image in images:
            sent = client.post("/instances", content=stow.part10(image)).raise_for_status().json()
        order = {"Resources": [sent["ParentStudy"]], "Synchronous": True}
        client.post("/dicom-web/servers/node/stow", json=order).raise_for_status()
    assert len(strict.rows(*images)) == len(images)


def test_both_doors_know_the_same_objects(web: Web, tmp_path: Path) -> None:
    """By C-STORE and by STOW-RS the same bytes are the same object, others are kept apart."""
    first, second = mammogram(), mammogram()
    settings = {"state_dir": web.state_dir, "dicom_port": free_port(), "min_free_bytes": 0}
    log = tmp_path / "receive.log"
    with running_role(settings, "receive", log=log, ready_text="receiver listens"):
        association = associate(int(str(settings["dicom_port"])), first.SOPClassUID)
        assert association.send_c_store(first).Status == 0x0000
        assert stow.post(web.port, stow.body(stow.part10(second))).status_code == 200
        # Now each at the other door.
        assert association.send_c_store(second).Status == 0x0000
        assert stow.post(web.port, stow.body(stow.part10(first))).status_code == 200
        first.PatientID = second.PatientID = "OTHER"
        # A sender that has not got the answer asks again: success would be a lie.
        for _ in range(2):
            assert association.send_c_store(second).Status == 0xB000
        association.release()
    for _ in range(2):
        apart = stow.post(web.port, stow.body(stow.part10(first), stow.part10(first)))
        assert apart.status_code == 202
        assert [item["00081196"] for item in stow.items(apart, "00081199")] == [0xB000] * 2
    rows = web.rows(first, second)
    assert [row.conflict for row in rows] == [False, False, True, True]
    assert {row.calling_ae_title for row in rows} == {"MODALITY", "STOW-RS"}


def test_every_odd_file_is_accounted_for(web: Web, real_data: Path) -> None:
    """All in one request: each is stored or has its reason, and none spoils the others."""
    files = sorted(path for path in (real_data / "dicom_odd").rglob("*") if path.is_file())
    content = list(stow.parts(path.read_bytes() for path in files))
    answer = stow.post(web.port, iter(content))
    assert answer.status_code == 202
    stored, others = stow.stored(answer), stow.others(answer)
    assert len(stored) + len(stow.items(answer, "00081198")) + len(others) == len(files)
    assert len(stored) > 100
    reasons = {*stow.failed(answer).values(), *others}
    assert reasons <= {0x0122, 0xA900, 0xC000, 0xC122}
    assert web.spool() == []
    # They are known now.
    again = stow.post(web.port, iter(content))
    assert stow.stored(again) == stored


def test_real_mammograms_are_kept_as_sent(web: Web, real_data: Path) -> None:
    """Transfer syntax and bytes of the data set are those of the file."""
    for path in sorted((real_data / "dicom_mg").glob("*.dcm")):
        content, image = path.read_bytes(), dcmread(path, stop_before_pixels=True)
        assert stow.post(web.port, stow.body(content)).status_code in (200, 202)
        row = web.rows(image)[-1]
        assert row.transfer_syntax_uid == image.file_meta.TransferSyntaxUID
        assert content.endswith(web.kept(row))


@pytest.mark.parametrize("of_study", [False, True])
def test_slash_at_the_end(web: Web, of_study: bool) -> None:
    """The same resource, as clients that join paths write it."""
    image = mammogram()
    path = f"/dicom-web/studies/{image.StudyInstanceUID}/" if of_study else "/dicom-web/studies/"
    answer = stow.post(web.port, stow.body(stow.part10(image)), path=path)
    assert answer.status_code == 200
    assert stow.stored(answer) == [image.SOPInstanceUID]


def test_study_of_the_url_holds(web: Web) -> None:
    """Instances of another study are refused, those of the study beside them stored."""
    wanted, other = mammogram(), mammogram()
    content = stow.body(stow.part10(wanted), stow.part10(other))
    answer = stow.post(web.port, content, study_uid=wanted.StudyInstanceUID)
    assert answer.status_code == 202
    assert stow.stored(answer) == [wanted.SOPInstanceUID]
    assert stow.failed(answer) == {other.SOPInstanceUID: 0xA900}
    alone = stow.post(web.port, stow.body(stow.part10(other)), study_uid="1.2.3")
    assert alone.status_code == 409
    assert web.rows(other) == []


@pytest.mark.parametrize(
    ("headers", "study_uid", "status"),
    [
        ({}, "1.2.x", 400),
        ({"content_type": "application/dicom"}, "", 415),
        ({"content_type": 'multipart/related; type="application/dicom+json"; boundary=x'}, "", 415),
        ({"accept": "application/dicom+xml"}, "", 406),
        ({"sec_fetch_site": "cross-site"}, "", 403),
        ({"origin": "http://elsewhere.example"}, "", 403),
        ({"host": "elsewhere.example"}, "", 421),
    ],
)
def test_refused_requests(web: Web, headers: dict[str, str], study_uid: str, status: int) -> None:
    """Each is refused for what its head says, and stores nothing."""
    image = mammogram()
    answer = stow.post(web.port, stow.body(stow.part10(image)), study_uid, **headers)
    assert answer.status_code == status
    assert web.rows(image) == []


@pytest.mark.parametrize("content", [b"", b"no boundary", stow.body(), stow.body(b"x")[:-8]])
def test_malformed_bodies(web: Web, content: bytes) -> None:
    """400, and a word about why."""
    answer = stow.post(web.port, content)
    assert answer.status_code == 400
    assert answer.headers["warning"]


def test_parts_of_other_types_are_failures(web: Web) -> None:
    """A part that is no Part 10 file fails alone, without a SOP Instance UID."""
    image = mammogram()
    content = stow.body(stow.part10(image), b"junk", stow.part10(image))
    answer = stow.post(web.port, content.replace(b"application/dicom", b"image/jpeg", 1))
    assert answer.status_code == 202
    assert stow.others(answer) == [0xC000, 0xC000]
    assert stow.stored(answer) == [image.SOPInstanceUID]


def test_token(strict: Web) -> None:
    """Without the right token even this machine stores nothing, and is told how to ask."""
    image = mammogram()
    content = stow.body(stow.part10(image))
    for headers in ({}, {"authorization": "Bearer wrong"}):
        answer = stow.post(strict.port, content, **headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert strict.rows(image) == []
    assert stow.post(strict.port, content, authorization=f"Bearer {TOKEN}").status_code == 200


def test_refusal_is_read_by_who_still_writes(strict: Web) -> None:
    """A sender in the middle of a long body gets the answer, not a broken connection."""
    pieces = iter([b"x" * 65536] * 300)
    assert stow.post(strict.port, pieces).status_code == 401


def test_too_large(strict: Web) -> None:
    """413 from the declared length, or where the limit is passed; what was complete stays."""
    small, large = mammogram(), mammogram(size_px=(2000, 2000))
    allowed = {"authorization": f"Bearer {TOKEN}"}
    contents = [stow.part10(small), stow.part10(large)]
    declared = stow.post(strict.port, stow.body(*contents), **allowed)
    assert declared.status_code == 413
    assert strict.rows(small, large) == []
    chunked = stow.post(strict.port, stow.parts(contents), **allowed)
    assert chunked.status_code == 413
    assert stow.stored(chunked) == [small.SOPInstanceUID]
    assert len(strict.rows(small, large)) == 1
    assert strict.spool() == []


def test_silent_sender(strict: Web) -> None:
    """A body that stops is ended by 408 in its time; what was complete stays."""
    first, second = mammogram(), mammogram(size_px=(500, 400))
    content = stow.body(stow.part10(first), stow.part10(second))
    begun = time.monotonic()
    connection = stow.begun(strict.port, content[:-100_000], len(content), TOKEN)
    assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - begun < 15
    connection.close()
    _until(lambda: strict.spool() == [])
    assert [row.sop_instance_uid for row in strict.rows(first, second)] == [first.SOPInstanceUID]


def test_disconnected_sender(web: Web) -> None:
    """What was complete stays, the half part is discarded."""
    first, second = mammogram(), mammogram(size_px=(1400, 1200))
    content = stow.body(stow.part10(first), stow.part10(second))
    connection = stow.begun(web.port, content[:-200_000], len(content))
    _until(lambda: len(web.spool()) == 1)
    connection.close()
    _until(lambda: web.spool() == [] and len(web.rows(first)) == 1)
    assert web.rows(second) == []
    assert stow.post(web.port, content).status_code == 200


def test_full_disk(tmp_path: Path) -> None:
    """503 with a time to come back, and the reason with each instance."""
    image = mammogram()
    with running_web(tmp_path, min_free_bytes=10**16) as web:
        answer = stow.post(web.port, stow.body(stow.part10(image)))
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert stow.failed(answer) == {image.SOPInstanceUID: 0xA700}
        assert web.rows(image) == []


def test_kill_in_the_middle(tmp_path: Path) -> None:
    """kill -9 while a body comes: the next process has no half object, no litter, and takes all."""
    small, large = mammogram(), mammogram(size_px=(1400, 1200))
    acknowledged = mammogram()
    content = stow.body(stow.part10(small), stow.part10(large))
    with running_web(tmp_path) as web:
        assert stow.post(web.port, stow.body(stow.part10(acknowledged))).status_code == 200
        connection = stow.begun(web.port, content[:-300_000], len(content))
        _until(lambda: len(web.spool()) == 1)
        web.process.kill()
        web.process.wait()
        connection.close()
        assert len(web.spool()) == 1
    with running_web(tmp_path) as web:
        assert web.spool() == []
        assert web.rows(large) == []
        assert len(web.rows(acknowledged)) == 1
        assert stow.post(web.port, content).status_code == 200
        assert len(web.rows(small, large)) == 2


def test_memory_does_not_grow_with_the_object(web: Web) -> None:
    """A volume of 300 MB passes through; the process needs no more than before, give or take."""
    volume = mammogram()
    volume_bytes = 300 << 20
    process = psutil.Process(web.process.pid)
    stow.post(web.port, stow.body(stow.part10(mammogram(size_px=(2000, 1500)))))
    before_bytes = process.memory_info().rss
    answer = stow.post(web.port, stow.volume(volume, volume_bytes))
    assert answer.status_code == 200
    (row,) = web.rows(volume)
    assert row.size_bytes > volume_bytes
    assert _peak_bytes(process) - before_bytes < 32 << 20


def test_many_small_parts(web: Web) -> None:
    """A request of 200 images is answered once, each of them in its place."""
    study_uid = generate_uid()
    images: list[FileDataset] = [mammogram(study_uid, seed=seed) for seed in range(200)]
    answer = stow.post(web.port, stow.parts(map(stow.part10, images)), study_uid=study_uid)
    assert answer.status_code == 200
    assert stow.stored(answer) == [image.SOPInstanceUID for image in images]
    row = web.rows(images[-1])[0]
    file = original(web.store, web.state_dir, row.id)
    assert dcmread(io.BytesIO(file)).PixelData == images[-1].PixelData


def _peak_bytes(process: psutil.Process) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
