"""The listener against real senders: DCMTK's tools and pynetdicom, good input and bad."""

from __future__ import annotations

import struct
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, generate_uid
from pynetdicom import AE
from sqlalchemy import func, select, update

from node.commands import send
from node.job import QUEUED, utc_now
from node.settings import load_settings
from node.store.session import Store, open_store
from node.store.tables import Instance, Job
from tests.datasets import encapsulated_pdf, mammogram, saved
from tests.peers.node import running_role, sentinode
from tests.peers.ports import free_port
from tests.peers.raw import VERIFICATION
from tests.peers.receiver import wait_until
from tests.peers.wire import associate, encoded, send_half_and_vanish, store_raw
from tests.stored import original, temporary_files


@dataclass(frozen=True)
class Receiver:
    """A running receiver process."""

    port: int
    state_dir: Path
    store: Store
    process: subprocess.Popen[bytes]

    def stored(self, *datasets: Dataset) -> list[Instance]:
        """The rows of these instances."""
        uids = [dataset.SOPInstanceUID for dataset in datasets]
        with self.store.reading() as session:
            return list(
                session.scalars(select(Instance).where(Instance.sop_instance_uid.in_(uids)))
            )

    def kept(self, row: Instance) -> Dataset:
        """What is kept of an instance."""
        return dcmread(BytesIO(original(self.store, self.state_dir, row.id)))

    def count(self) -> int:
        """How many instances are stored."""
        with self.store.reading() as session:
            return session.scalar(select(func.count()).select_from(Instance)) or 0

    def incoming(self) -> list[str]:
        """Temporary files left, in the spool folders of all processes."""
        return temporary_files(self.state_dir)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """One receiver on SQLite for all tests that leave it as it was."""
    with started(tmp_path_factory.mktemp("receiver")) as receiver:
        yield receiver


def started(tmp_path: Path, **more: object):
    """Start a receiver with these settings on top of the test's own."""
    return _Started(tmp_path, more)


class _Started:
    def __init__(self, tmp_path: Path, more: dict[str, object]) -> None:
        self.state_dir = tmp_path / "state"
        self.settings = {
            "state_dir": self.state_dir,
            "dicom_port": free_port(),
            "min_free_bytes": 0,
            "broker_url": "redis://127.0.0.1:1/0",
        } | more
        self.log = tmp_path / "receiver.log"

    def __enter__(self) -> Receiver:
        sentinode(self.settings, "db", "upgrade")
        self.running = running_role(
            self.settings, "receive", log=self.log, ready_text="receiver listens"
        )
        process = self.running.__enter__()
        self.store = open_store(load_settings(state_dir=self.state_dir))
        return Receiver(int(str(self.settings["dicom_port"])), self.state_dir, self.store, process)

    def __exit__(self, *error: object) -> None:
        self.store.close()
        self.running.__exit__(None, None, None)


def dcmtk(tool: str, receiver: Receiver, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a DCMTK sender against the receiver."""
    argv = [tool, "-aec", "SENTINODE", *arguments[:-1], "127.0.0.1", str(receiver.port)]
    return subprocess.run(
        [*argv, arguments[-1]] if arguments else argv, capture_output=True, text=True, timeout=60
    )


def c_store(receiver: Receiver, dataset: Dataset) -> int:
    """Send one data set with pynetdicom and return the status."""
    association = associate(receiver.port, dataset.SOPClassUID)
    try:
        return int(association.send_c_store(dataset).Status)
    finally:
        association.release()


def test_echo(receiver: Receiver) -> None:
    """DCMTK's echoscu gets its answer."""
    argv = ["echoscu", "-aec", "SENTINODE", "127.0.0.1", str(receiver.port)]
    assert subprocess.run(argv, timeout=20).returncode == 0


@pytest.mark.parametrize(("size_px", "place"), [((512, 400), "packs"), ((1024, 800), "instances")])
def test_stored_bytes_are_those_sent(
    size_px: tuple[int, int], place: str, receiver: Receiver, tmp_path: Path
) -> None:
    """storescu's success means a file whose data set equals what was sent, and its row."""
    image = mammogram(size_px=size_px)
    path = saved(image, tmp_path)
    assert dcmtk("storescu", receiver, str(path)).returncode == 0
    (row,) = receiver.stored(image)
    kept = receiver.kept(row)
    assert kept == dcmread(path)
    assert row.size_bytes == len(original(receiver.store, receiver.state_dir, row.id))
    assert row.path.startswith(f"{place}/")
    assert receiver.incoming() == []


def test_a_lost_mount_is_no_reason_to_hang_up(tmp_path: Path) -> None:
    """The modality is told to send again; its association was cut off."""
    with started(tmp_path) as receiver:
        away = receiver.state_dir.rename(tmp_path / "away")
        assert c_store(receiver, mammogram()) == 0xA700
        away.rename(receiver.state_dir)
        assert c_store(receiver, mammogram()) == 0x0000


def test_every_real_mammogram_is_kept_as_sent(receiver: Receiver, real_data: Path) -> None:
    """dcmsend delivers the real files; each keeps its transfer syntax and its pixel bytes."""
    folder = real_data / "dicom_mg"
    done = dcmtk("dcmsend", receiver, "-dn", "+sd", "+r", str(folder))
    assert done.returncode == 0, done.stderr
    sent = {source.SOPInstanceUID: source for source in map(dcmread, folder.glob("*.dcm"))}
    rows = receiver.stored(*sent.values())
    for row in rows:
        source, kept = sent[row.sop_instance_uid], receiver.kept(row)
        syntax = source.file_meta.TransferSyntaxUID
        # dcmsend may itself turn one uncompressed syntax into another.
        assert not syntax.is_compressed or kept.file_meta.TransferSyntaxUID == syntax
        assert kept.PixelData == source.PixelData
    assert len(rows) == len(sent)


def test_odd_files_end_stored_or_refused(receiver: Receiver, real_data: Path) -> None:
    """None of the odd files crashes or hangs the receiver, and it still works afterwards."""
    before = receiver.count()
    settings = {"state_dir": receiver.state_dir, "dicom_port": receiver.port}
    with pytest.raises(subprocess.CalledProcessError) as error:
        sentinode(settings, "send", str(real_data / "dicom_odd"))
    assert "instances accepted" in error.value.stdout
    assert receiver.count() - before > 100, error.value.stdout
    assert receiver.incoming() == []
    assert c_store(receiver, mammogram()) == 0x0000


def test_send_tells_what_is_kept_apart(receiver: Receiver, tmp_path: Path) -> None:
    """Who sends a corrected image again under its old UID learns that it is not analysed."""
    image = mammogram()
    assert c_store(receiver, image) == 0x0000
    image.PatientComments = "corrected"
    to = ["--to", f"SENTINODE@127.0.0.1:{receiver.port}"]
    done = CliRunner().invoke(send, [str(saved(image, tmp_path)), *to])
    assert done.exit_code == 0, done.output
    assert "1 of 1 instances accepted" in done.output
    assert "status B000: " in done.output


def test_dataset_of_another_class_is_refused(receiver: Receiver) -> None:
    """0xA900 when the data set is not of the SOP class that the request names."""
    image = mammogram()
    image.SOPClassUID = encapsulated_pdf().SOPClassUID
    claimed = mammogram().SOPClassUID
    status = store_raw(receiver.port, claimed, image.SOPInstanceUID, encoded(image))
    assert status == 0xA900
    assert receiver.stored(image) == []


def test_classes_of_other_services_are_not_stored(receiver: Receiver) -> None:
    """Verification is accepted, and an object that claims to be of it is none."""
    image = mammogram()
    image.SOPClassUID = VERIFICATION
    uids = VERIFICATION, image.SOPInstanceUID
    assert store_raw(receiver.port, *uids, encoded(image)) == 0x0122
    assert receiver.stored(image) == []


@pytest.mark.parametrize("number", ["3", "6"])
def test_ultrasound_of_old_devices(receiver: Receiver, number: str) -> None:
    """Images of the retired classes are kept, as the built-in rule says, and not analysed."""
    image = mammogram()
    image.SOPClassUID, image.Modality = f"1.2.840.10008.5.1.4.1.1.{number}", "US"
    uids = image.SOPClassUID, image.SOPInstanceUID
    assert store_raw(receiver.port, *uids, encoded(image)) == 0x0000
    (row,) = receiver.stored(image)
    assert "retired" in str(row.skip_reason)


@pytest.mark.parametrize(
    ("syntax", "status"), [(ExplicitVRLittleEndian, 0x0000), (JPEG2000Lossless, 0xC000)]
)
def test_file_meta_information_in_the_data_set(
    receiver: Receiver, syntax: str, status: int
) -> None:
    """Gateways forget it there; where it lies about the encoding, nobody could read the file."""
    image = mammogram()
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    content = struct.pack("<HH2sH", 0x0002, 0x0010, b"UI", len(value)) + value + encoded(image)
    uids = image.SOPClassUID, image.SOPInstanceUID
    assert store_raw(receiver.port, *uids, content) == status
    kept = [receiver.kept(row) for row in receiver.stored(image)]
    assert [each.PixelData for each in kept] == [image.PixelData] * (status == 0x0000)


def test_truncated_pixel_data_is_refused(receiver: Receiver) -> None:
    """0xC000 when pixel data declares more bytes than came; the next image is stored."""
    image = mammogram()
    content = encoded(image)
    whole = content[: -len(image.PixelData) // 2]
    status = store_raw(receiver.port, image.SOPClassUID, image.SOPInstanceUID, whole)
    assert status == 0xC000
    assert receiver.stored(image) == []
    assert c_store(receiver, mammogram()) == 0x0000


def test_missing_and_hostile_uids_are_refused(receiver: Receiver) -> None:
    """A UID that is a path, or none at all, is refused and touches no file."""
    image = mammogram()
    path = b"../../../../tmp/x"
    hostile = encoded(image).replace(
        image.StudyInstanceUID.encode(), path.ljust(len(image.StudyInstanceUID), b"x")
    )
    status = store_raw(receiver.port, image.SOPClassUID, image.SOPInstanceUID, hostile)
    assert status == 0xC000
    nameless = mammogram()
    del nameless.StudyInstanceUID
    assert c_store(receiver, nameless) == 0xC000
    assert receiver.stored(image, nameless) == []


def test_association_cut_in_the_middle_leaves_nothing(receiver: Receiver) -> None:
    """A sender that disappears half way through an object leaves no file and no row."""
    image = mammogram(size_px=(4000, 3000))
    send_half_and_vanish(receiver.port, image)
    deadline = time.monotonic() + 15
    while receiver.incoming() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert receiver.incoming() == []
    assert receiver.stored(image) == []
    assert c_store(receiver, mammogram()) == 0x0000


def test_only_listed_peers_may_connect(tmp_path: Path) -> None:
    """With an allow-list, another AE title or another network is rejected."""
    with started(tmp_path, dicom_allowed_ae_titles="MAMMO1") as receiver:
        stranger = AE(ae_title="STRANGER")
        stranger.add_requested_context("1.2.840.10008.1.1")
        assert stranger.associate("127.0.0.1", receiver.port).is_rejected
        known = AE(ae_title="MAMMO1")
        known.add_requested_context("1.2.840.10008.1.1")
        association = known.associate("127.0.0.1", receiver.port)
        assert association.is_established
        association.release()


def test_hosts_outside_the_networks_are_rejected(tmp_path: Path) -> None:
    """A peer outside the allowed networks is rejected before it can send."""
    with started(tmp_path, dicom_allowed_networks="10.20.0.0/16") as receiver:
        entity = AE(ae_title="MODALITY")
        entity.add_requested_context("1.2.840.10008.1.1")
        assert not entity.associate("127.0.0.1", receiver.port).is_established


def test_full_disk_is_out_of_resources(tmp_path: Path) -> None:
    """Below the watermark every C-STORE is answered 0xA700 and nothing is kept."""
    with started(tmp_path, min_free_bytes=10**16) as receiver:
        assert c_store(receiver, mammogram()) == 0xA700
        assert receiver.count() == 0
        assert receiver.incoming() == []


def test_a_source_that_has_used_up_its_quota(tmp_path: Path) -> None:
    """0xA700, which says why, to this AE title alone; nothing of what is refused is kept."""
    quota = 100_000
    with started(tmp_path, source_quota_bytes_per_hour=quota, dicom_processes=1) as receiver:
        image = mammogram(size_px=(256, 128))
        busy, other = (associate(receiver.port, image.SOPClassUID, name) for name in ("A", "B"))
        answers = [busy.send_c_store(mammogram(size_px=(256, 128))) for _ in range(5)]
        assert [answer.Status for answer in answers] == [0x0000] * 2 + [0xA700] * 3
        assert "quota" in answers[-1].ErrorComment
        assert other.send_c_store(image).Status == 0x0000
        busy.release()
        other.release()
        assert receiver.count() == 3
        assert receiver.incoming() == []


def test_too_many_studies_wait(tmp_path: Path) -> None:
    """0xA700 while more studies than allowed wait for a worker; when they are done, success."""
    with started(tmp_path, max_waiting_studies=1) as receiver:
        assert c_store(receiver, mammogram("1.2.1")) == 0x0000
        assert c_store(receiver, mammogram("1.2.2")) == 0x0000
        now = utc_now()
        times = {"due_at": now, "complete_at": now}
        with receiver.store.writing() as session:
            for study_uid in ("1.2.1", "1.2.2"):
                session.add(Job(study_uid=study_uid, revision=1, state=QUEUED, **times))
        wait_until(lambda: c_store(receiver, mammogram()) == 0xA700, 20, "a refusal")
        with receiver.store.writing() as session:
            session.execute(update(Job).values(state="done"))
        wait_until(lambda: c_store(receiver, mammogram()) == 0x0000, 20, "success again")
        assert receiver.incoming() == []


def test_kill_after_success_loses_nothing(tmp_path: Path) -> None:
    """kill -9 right after the success: the next process has the file, the row and no litter."""
    image = mammogram(generate_uid())
    with started(tmp_path) as receiver:
        assert c_store(receiver, image) == 0x0000
        receiver.process.kill()
        receiver.process.wait()
        (receiver.state_dir / "incoming" / "half.dcm").write_bytes(b"half")
    with started(tmp_path) as receiver:
        (row,) = receiver.stored(image)
        assert receiver.kept(row).SOPInstanceUID == image.SOPInstanceUID
        assert receiver.incoming() == []
