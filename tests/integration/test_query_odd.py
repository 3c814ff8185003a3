"""C-FIND over what odd devices sent and odd peers ask: DCMTK stores, DCMTK and pynetdicom query."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import generate_uid

from node.destinations import SOP_CLASS_OF_KIND, ResultKind
from node.job import utc_now
from node.settings import load_settings
from node.store.files import Files
from node.store.session import open_store
from node.store.tables import Job, Study
from tests.datasets import mammogram, saved
from tests.deliveries import result_row
from tests.peers.asking import asking, find, findscu, identifier
from tests.peers.receiver import RunningReceiver, running_receiver


@pytest.fixture
def receiver(tmp_path: Path, database_url: str) -> Iterator[RunningReceiver]:
    """A receiver with an empty store, on each database."""
    with running_receiver(tmp_path, database_url=database_url) as running:
        yield running


def _store(receiver: RunningReceiver, path: Path) -> None:
    done = subprocess.run(
        ["storescu", "-aec", "SENTINODE", "127.0.0.1", str(receiver.port), str(path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def _with_bytes(image: FileDataset, folder: Path, odd: Mapping[bytes, bytes]) -> Path:
    """The image as a file in which these bytes stand in place of others, as many."""
    path = saved(image, folder)
    content = path.read_bytes()
    for placeholder, value in odd.items():
        assert content.count(placeholder) == 1
        content = content.replace(placeholder, value.ljust(len(placeholder)))
    path.write_bytes(content)
    return path


def test_bytes_that_their_vr_has_not(receiver: RunningReceiver, tmp_path: Path) -> None:
    """An umlaut in a code string, a date or a time is answered as "?", and fails no query."""
    image = mammogram()
    image.BodyPartExamined, image.PatientSex, image.Laterality = "BRQQST", "JJ", "ZZ"
    image.StudyDate, image.SeriesTime, image.ViewPosition = "20260711", "125900.123456", "CWWC"
    odd = {b"BRQQST": b"BR\xdc\xc4ST", b"JJ": b"\xc4", b"ZZ": b"\xe4", b"20260711": b"2026\xb901"}
    odd |= {b"125900.123456": b"12\xb2\xb200", b"CWWC": b"C\xe4\xe4C"}
    _store(receiver, _with_bytes(image, tmp_path, odd))
    keys = ["PatientID=TEST-1", f"StudyInstanceUID={image.StudyInstanceUID}", "StudyDate"]
    keys += ["PatientSex", "Modality=MG"]
    (study,) = findscu(receiver.port, tmp_path / "a", "QueryRetrieveLevel=STUDY", *keys)
    assert (study.PatientSex, study.StudyDate) == ("?", "2026?01")
    keys += ["SeriesInstanceUID", "BodyPartExamined", "Laterality", "SeriesTime"]
    (series,) = findscu(receiver.port, tmp_path / "a", "QueryRetrieveLevel=SERIES", *keys)
    assert (series.BodyPartExamined, series.Laterality) == ("BR??ST", "?")
    assert series.SeriesTime == "12??00"
    keys += [f"SeriesInstanceUID={image.SeriesInstanceUID}", "SOPInstanceUID", "ViewPosition"]
    (found,) = findscu(receiver.port, tmp_path / "a", "QueryRetrieveLevel=IMAGE", *keys)
    assert (found.SOPInstanceUID, found.ViewPosition) == (image.SOPInstanceUID, "C??C")


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        # PS3.5 annexes I and K.
        (
            "\\ISO 2022 IR 149",
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        ),
        (
            "\\ISO 2022 IR 58",
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
        ),
    ],
)
def test_names_with_code_extensions(
    receiver: RunningReceiver, tmp_path: Path, character_set: str, name: bytes
) -> None:
    """The answer is the name that DCMTK's own conversion to UTF-8 gives; it is found by itself."""
    image = mammogram()
    image.SpecificCharacterSet = character_set.split("\\")
    image.PatientName = "N" * (len(name) + len(name) % 2)
    path = _with_bytes(image, tmp_path, {image.PatientName.encode(): name})
    subprocess.run(["dcmconv", "+U8", path, tmp_path / "utf8.dcm"], check=True, timeout=60)
    wanted = str(dcmread(tmp_path / "utf8.dcm").PatientName)
    assert "\x1b" not in wanted
    _store(receiver, path)
    (found,) = findscu(
        receiver.port, tmp_path / "a", "QueryRetrieveLevel=STUDY", "PatientID=TEST-1", "PatientName"
    )
    assert str(found.PatientName) == wanted.rstrip("=")
    asked = Dataset.from_json({"00100010": {"vr": "PN", "Value": [{"Alphabetic": ""}]}})
    asked.QueryRetrieveLevel, asked.SpecificCharacterSet = "STUDY", character_set.split("\\")
    asked[0x00100010] = dcmread(path)[0x00100010]
    with asking(receiver.port) as association:
        assert [status for status, _ in find(association, asked)] == [0xFF00, 0x0000]


def test_values_that_a_database_may_not_take(receiver: RunningReceiver, tmp_path: Path) -> None:
    """NUL within a value is no error of the database; a list beyond 64 kB selects, too."""
    image = mammogram()
    _store(receiver, saved(image, tmp_path))
    others = [f"1.2.826.0.1.3680043.8.498.1{number:036}" for number in range(1, 1201)]
    with asking(receiver.port) as association:
        odd = identifier("STUDY", StudyInstanceUID="")
        odd["PatientID"] = DataElement("PatientID", "LO", "TEST\0-1", validation_mode=IGNORE)
        assert [status for status, _ in find(association, odd)] == [0xFF00, 0x0000]
        for chosen, expected in (([], [0x0000]), ([image.StudyInstanceUID], [0xFF00, 0x0000])):
            asked = identifier("STUDY", PatientID="TEST-1")
            uids = "\\".join([*others, *chosen])
            asked["StudyInstanceUID"] = DataElement("StudyInstanceUID", "UN", uids.encode())
            assert [status for status, _ in find(association, asked)] == expected


def test_modalities_of_results(
    receiver: RunningReceiver, database_url: str, tmp_path: Path
) -> None:
    """Each kind of result is found and answered under the Modality that stands in its file."""
    kinds: dict[ResultKind, str] = {"COMBINED": "SR", "KOS": "KO", "GSPS": "PR", "SC": "OT"}
    study_uid = generate_uid()
    _keep_results(receiver, database_url, study_uid, kinds, tmp_path)
    (study,) = findscu(
        receiver.port, tmp_path / "a", "QueryRetrieveLevel=STUDY", "ModalitiesInStudy=KO"
    )
    assert study.StudyInstanceUID == study_uid
    assert list(study.ModalitiesInStudy) == sorted(kinds.values())
    series = findscu(
        receiver.port,
        tmp_path / "a",
        *("QueryRetrieveLevel=SERIES", f"StudyInstanceUID={study_uid}", "Modality=SR"),
        "SeriesInstanceUID",
    )
    assert [each.Modality for each in series] == ["SR"]


def _keep_results(
    receiver: RunningReceiver,
    database_url: str,
    study_uid: str,
    kinds: Mapping[ResultKind, str],
    folder: Path,
) -> None:
    """Results as the workers leave them, of a study without images."""
    files = Files(receiver.state_dir)
    store = open_store(load_settings(state_dir=receiver.state_dir, database_url=database_url))
    now = utc_now()
    with store.writing() as session:
        session.add(
            Study(study_uid=study_uid, state="done", first_instance_at=now, last_instance_at=now)
        )
        job = Job(study_uid=study_uid, revision=1, state="done", due_at=now, complete_at=now)
        for kind, modality in kinds.items():
            result = mammogram(study_uid, size_px=(16, 16))
            result.SOPClassUID = result.file_meta.MediaStorageSOPClassUID = SOP_CLASS_OF_KIND[kind]
            result.Modality = modality
            path = files.result_path(study_uid, 1, result.SOPInstanceUID)
            files.write(path, saved(result, folder).read_bytes())
            row = result_row(result, path)
            row.kind = kind
            job.results.append(row)
        session.add(job)
    store.close()


def test_keys_that_match_nothing_here(receiver: RunningReceiver, tmp_path: Path) -> None:
    """0xFF01 when a sequence was passed over, 0xC000 for a list without end, and both are said."""
    image = mammogram()
    _store(receiver, saved(image, tmp_path))
    item = Dataset()
    item.RequestedProcedureID = ""
    with asking(receiver.port) as association:
        empty = identifier("STUDY", PatientID="TEST-1", RequestAttributesSequence=[item])
        assert [status for status, _ in find(association, empty)] == [0xFF00, 0x0000]
        item.RequestedProcedureID = "RP1"
        asked = identifier("STUDY", PatientID="TEST-1", RequestAttributesSequence=[item])
        assert [status for status, _ in find(association, asked)] == [0xFF01, 0x0000]
        other_vr = identifier("STUDY", PatientID="TEST-1")
        other_vr.add(DataElement(0x00100010, "OB", b"??"))
        (status, said), _ = find(association, other_vr)
        assert said is not None
        assert (status, said.PatientName) == (0xFF01, "TEST^SYNTHETIC")
        for keyword, value in (("PatientName", "X"), ("StudyDate", "20260101")):
            many = identifier("STUDY", **{keyword: [value] * 3000})
            assert [status for status, _ in find(association, many)] == [0xC000]
            receiver.wait_for_log(f"{keyword} has more than 500 values")
