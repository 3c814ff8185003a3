"""Prior retrieval from a real Orthanc by C-MOVE and C-GET, with the node's own processes."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import CTImageStorage, JPEGLosslessSV1, UltrasoundImageStorage
from sqlalchemy import select

from node.settings import load_settings
from node.store.migrate import upgrade
from node.store.session import Store, open_store
from node.store.tables import Event, Instance, Job, PriorRequest, Study
from stack.process import stop
from tests.datasets import mammogram
from tests.peers.needs import need
from tests.peers.node import running_role, sentinode
from tests.peers.orthanc import Orthanc, missing, running_orthanc
from tests.peers.ports import free_port
from tests.peers.wire import associate

PATIENT = "PRIORS-4711"


@dataclass
class Clinic:
    """An archive, and a node that may ask it."""

    orthanc: Orthanc
    settings: dict[str, object]
    folder: Path
    store: Store
    parts: ExitStack

    def start(self, role: str) -> subprocess.Popen[bytes]:
        """Start a process of the node; it ends with the test."""
        log = self.folder / f"{role}-{time.monotonic_ns()}.log"
        ready = "receiver listens" if role == "receive" else ""
        running = running_role(self.settings, role, log=log, ready_text=ready)
        return self.parts.enter_context(running)

    def archive(self, *datasets: FileDataset) -> None:
        """Put objects into the archive."""
        for dataset in datasets:
            content = BytesIO()
            dataset.save_as(content, enforce_file_format=True)
            url = f"{self.orthanc.url}/instances"
            httpx.post(url, content=content.getvalue(), trust_env=False).raise_for_status()

    def send(self, *datasets: FileDataset) -> None:
        """Send objects to the node as a modality does."""
        for dataset in datasets:
            association = associate(int(str(self.settings["dicom_port"])), dataset.SOPClassUID)
            assert association.send_c_store(dataset).Status == 0x0000
            association.release()

    def wait(self, met: Callable[[], Any]) -> None:
        """Return once `met()`; fails after a minute and tells the timeline."""
        deadline = time.monotonic() + 60
        while not met():
            assert time.monotonic() < deadline, self.timeline()
            time.sleep(0.05)

    def timeline(self) -> list[tuple[str, str]]:
        """Stage and text of every line about priors."""
        with self.store.reading() as session:
            lines = session.scalars(select(Event).order_by(Event.id)).all()
        return [(line.stage, line.text) for line in lines if line.stage.startswith("prior")]

    def request(self) -> PriorRequest | None:
        """The one request, if it is made."""
        with self.store.reading() as session:
            return session.scalars(select(PriorRequest)).one_or_none()

    def is_done(self) -> bool:
        """Whether the request has been fulfilled."""
        request = self.request()
        return request is not None and request.state == "done"

    def instances(self, study_uid: str) -> dict[str, Instance]:
        """Rows of a study by SOP Instance UID."""
        with self.store.reading() as session:
            rows = session.scalars(select(Instance).where(Instance.study_uid == study_uid))
            return {row.sop_instance_uid: row for row in rows}

    def logs(self) -> str:
        """What the node's processes wrote."""
        return "".join(path.read_text(errors="replace") for path in self.folder.glob("*.log"))


@contextmanager
def clinic(
    folder: Path, database_url: str, redis_url: str, retrieve: str, **more: object
) -> Iterator[Clinic]:
    """An empty archive that knows the node, and a node with one rule for mammograms."""
    need(missing())
    port = free_port()
    with ExitStack() as parts:
        orthanc = parts.enter_context(
            running_orthanc(
                DicomModalities={"node": ["SENTINODE", "127.0.0.1", port]},
                DicomAlwaysAllowGet=True,
                DicomAlwaysAllowMove=True,
            )
        )
        (folder / "peers.yaml").write_text(
            "peers:\n- {ae_title: ORTHANC, host: 127.0.0.1, "
            f"port: {orthanc.dicom_port}, timeout_seconds: 2}}\n"
        )
        (folder / "priors.yaml").write_text(
            "priors:\n- {name: mammograms, match: {Modality: MG}, source: ORTHANC, "
            f"modalities: [MG], within_days: 1000, limit: 2, retrieve: {retrieve}}}\n"
        )
        settings: dict[str, object] = {
            "state_dir": folder / "state",
            "database_url": database_url,
            "broker_url": redis_url,
            "dicom_port": port,
            "min_free_bytes": 0,
            "peers": folder / "peers.yaml",
            "priors": folder / "priors.yaml",
            "study_quiet_seconds": 0.5,
            "sweep_seconds": 0.1,
            "lease_seconds": 2,
            "retry_seconds": 0.5,
            "retry_max_seconds": 0.5,
        } | more
        loaded = load_settings(state_dir=folder / "state", database_url=database_url)
        upgrade(loaded)
        store = open_store(loaded)
        parts.callback(store.close)
        yield Clinic(orthanc, settings, folder, store, parts)


def of_patient(
    date: str, *, patient: str = PATIENT, study_uid: str | None = None, **values: Any
) -> FileDataset:
    """A mammogram of this patient and day, with other values."""
    dataset = mammogram(study_uid, view=values.pop("view", "CC"), size_px=(640, 480))
    dataset.PatientID, dataset.StudyDate = patient, date
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    if "SOPClassUID" in values:
        dataset.file_meta.MediaStorageSOPClassUID = values["SOPClassUID"]
    return dataset


@pytest.mark.parametrize("retrieve", ["c-move", "c-get"])
def test_priors_come_and_are_never_analysed(
    tmp_path: Path, database_url: str, redis_url: str, retrieve: str
) -> None:
    """The newest two mammograms of the patient come, and nothing else; no model looks at them."""
    with clinic(tmp_path, database_url, redis_url, retrieve) as node:
        last = of_patient("20250110")
        beside = [
            of_patient("20250110", study_uid=last.StudyInstanceUID, view="MLO"),
            of_patient("20240601"),
        ]
        unwanted = [
            of_patient(
                "20250110",
                study_uid=last.StudyInstanceUID,
                SOPClassUID=CTImageStorage,
                Modality="CT",
            ),
            of_patient("20250301", SOPClassUID=UltrasoundImageStorage, Modality="US"),
            of_patient("20240301"),  # the third newest
            of_patient("20200101"),  # too old
            of_patient("20260102"),  # later than the study
            of_patient("20250601", patient=PATIENT + "0"),
        ]
        node.archive(last, *beside, *unwanted)
        node.start("receive")
        node.start("sweep")
        new = of_patient("20260101")
        node.send(new)
        node.wait(node.is_done)

        wanted = {each.SOPInstanceUID: each for each in (last, *beside)}
        found = node.instances(last.StudyInstanceUID) | node.instances(beside[1].StudyInstanceUID)
        assert set(found) == set(wanted)
        for uid, row in found.items():
            assert (row.route, row.models) == ("prior", [])
            assert row.skip_reason == "prior study, kept for comparison"
            assert dcmread(tmp_path / "state" / row.path).PixelData == wanted[uid].PixelData
        with node.store.reading() as session:
            studies = {row.study_uid: row for row in session.scalars(select(Study))}
            jobs = [row.study_uid for row in session.scalars(select(Job))]
        assert set(studies) == {
            new.StudyInstanceUID,
            last.StudyInstanceUID,
            beside[1].StudyInstanceUID,
        }
        prior = studies[last.StudyInstanceUID]
        assert (prior.state, prior.revision, prior.deadline_at) == ("skipped", 0, None)
        assert jobs == [new.StudyInstanceUID]
        assert node.timeline() == [
            ("prior requested", "from ORTHANC, rule mammograms"),
            ("prior found", "2 studies, 3 new instances (rule mammograms)"),
        ]
        assert not list((tmp_path / "state" / "incoming").rglob("*.dcm"))
        assert PATIENT not in node.logs()


def test_compressed_priors_come_as_the_archive_keeps_them(
    tmp_path: Path, redis_url: str, real_data: Path
) -> None:
    """A real mammogram in JPEG Lossless is not decoded on its way through a C-GET."""
    with clinic(tmp_path, "", redis_url, "c-get") as node:
        old = dcmread(real_data / "dicom_mg" / "fo-dicom__GH133.dcm")
        node.archive(old)
        node.start("receive")
        node.start("sweep")
        node.send(of_patient("20160101", patient=old.PatientID))
        node.wait(node.is_done)
        (row,) = node.instances(old.StudyInstanceUID).values()
        kept = dcmread(tmp_path / "state" / row.path)
        assert row.transfer_syntax_uid == old.file_meta.TransferSyntaxUID == JPEGLosslessSV1
        assert kept.PixelData == old.PixelData


def test_what_is_here_already_is_not_retrieved(tmp_path: Path, redis_url: str) -> None:
    """A prior that its modality had sent to the node stays as it is."""
    with clinic(tmp_path, "", redis_url, "c-move") as node:
        old, new = of_patient("20250110"), of_patient("20260101")
        node.archive(old)
        node.start("receive")
        node.start("sweep")
        node.send(old)
        node.wait(node.is_done)
        node.send(new)
        node.wait(lambda: len(node.timeline()) == 4)
        assert node.timeline()[-1] == (
            "prior found",
            "1 study, 0 new instances (rule mammograms)",
        )
        (row,) = node.instances(old.StudyInstanceUID).values()
        assert row.models


def test_archive_that_is_down_is_asked_again(tmp_path: Path, redis_url: str) -> None:
    """While the archive is away the study is completed and the request waits; then it is met."""
    with clinic(tmp_path, "", redis_url, "c-get") as node:
        old = of_patient("20250110")
        node.archive(old)
        argv = psutil.Process(node.orthanc.process.pid).cmdline()
        node.orthanc.stop()
        node.start("receive")
        node.start("sweep")
        node.send(of_patient("20260101"))
        node.wait(lambda: len(node.timeline()) == 2)
        where = f"ORTHANC (127.0.0.1:{node.orthanc.dicom_port})"
        assert node.timeline()[1] == ("prior waits", f"{where} does not answer; trying again")
        node.parts.callback(stop, subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=-3))
        node.wait(node.is_done)
        assert len(node.instances(old.StudyInstanceUID)) == 1


def test_killed_sweeper_is_replaced_and_a_hanging_archive_delays_nobody(
    tmp_path: Path, redis_url: str
) -> None:
    """kill -9 in the middle of a try: another sweeper makes it again once the lease is over."""
    with clinic(tmp_path, "", redis_url, "c-move") as node:
        old, new = of_patient("20250110"), of_patient("20260101")
        node.archive(old)
        node.start("receive")
        first = node.start("sweep")
        node.orthanc.process.send_signal(signal.SIGSTOP)
        try:
            node.send(new)
            node.wait(lambda: (request := node.request()) is not None and request.attempts)
            later = of_patient("20260101", patient="")
            node.send(later)
            node.wait(lambda: _is_complete(node, later.StudyInstanceUID))
            first.kill()
        finally:
            node.orthanc.process.send_signal(signal.SIGCONT)
        node.start("sweep")
        node.start("sweep")

        def both_ended() -> bool:
            with node.store.reading() as session:
                states = sorted(session.scalars(select(PriorRequest.state)))
            return states == ["done", "failed"]

        node.wait(both_ended)
        assert len(node.instances(old.StudyInstanceUID)) == 1
        reason = "the study has no PatientID, so nothing was asked (rule mammograms)"
        assert ("prior failed", reason) in node.timeline()


def test_unknown_move_destination_is_told(tmp_path: Path, redis_url: str) -> None:
    """An archive that does not know the node's AE title: the timeline says what to do there."""
    with clinic(tmp_path, "", redis_url, "c-move", ae_title="STRANGER") as node:
        node.archive(of_patient("20250110"))
        node.start("receive")
        node.start("sweep")
        node.send(of_patient("20260101"))
        node.wait(lambda: len(node.timeline()) == 2)
        stage, text = node.timeline()[1]
        assert stage == "prior waits"
        assert "check that STRANGER is registered there as a move destination" in text


def _is_complete(node: Clinic, study_uid: str) -> bool:
    with node.store.reading() as session:
        study = session.get(Study, study_uid)
    return study is not None and study.revision > 0


def test_wrong_rules_stop_the_sweeper(tmp_path: Path) -> None:
    """A sweeper with a rule that asks nobody does not start, and says why."""
    path = tmp_path / "priors.yaml"
    path.write_text("priors:\n- {name: x, source: NOBODY, modalities: [MG], within_days: 1}\n")
    settings: dict[str, object] = {"state_dir": tmp_path / "state", "priors": path}
    upgrade(load_settings(**settings))
    with pytest.raises(subprocess.CalledProcessError) as error:
        sentinode(settings, "run", "sweep")
    assert "source NOBODY of x is no AE title of the peers file" in error.value.stderr
