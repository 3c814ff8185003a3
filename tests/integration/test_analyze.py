"""`sentinode analyze`: files in, SEG, SR and pictures out, with the real Triton and no PACS."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydicom import dcmread

from node.cli import main
from phantoms.study import StudyOptions, write_study
from tests.datasets import encapsulated_pdf, mammogram, rejection_note, saved
from tests.peers.node import sentinode
from tests.peers.ports import free_port
from tests.peers.triton import running_triton


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the command says of one view, its For Processing twin, a PDF and a mixed-up study."""
    folder = tmp_path_factory.mktemp("files")
    write_study(folder, 29, StudyOptions(views=("LMLO",), rows=1024, processing=True))
    saved(encapsulated_pdf(), folder)
    _mix_up(folder / "two persons")
    blurred = mammogram()
    saved(blurred, folder)
    saved(rejection_note(blurred), folder)
    with running_triton() as triton:
        settings = {"triton_url": triton.url, "state_dir": folder / "state"}
        out = str(folder / "out")
        return dict(json.loads(sentinode(settings, "analyze", str(folder), "--out", out)))


def _mix_up(folder: Path) -> None:
    """A study of two persons' images."""
    write_study(folder, 31, StudyOptions(views=("US",)))
    path = folder / "US-L.dcm"
    stranger = dcmread(path)
    stranger.PatientID, stranger.PatientBirthDate = "ANOTHER", "19010101"
    stranger.save_as(path)


def test_results_and_pictures_are_written(summary: dict) -> None:
    """Of the one image: its picture, its SEG and the report are there and readable."""
    assert summary["analysed"] == 3
    modalities = sorted(
        dcmread(path).Modality for path in summary["written"] if path.endswith(".dcm")
    )
    assert modalities == ["SEG", "SR"]
    pictures = [path for path in summary["written"] if path.endswith(".png")]
    assert len(pictures) == 3
    assert all(Path(picture).read_bytes().startswith(b"\x89PNG") for picture in pictures)


def test_what_is_left_out_is_listed_with_its_reason(summary: dict) -> None:
    """The For Processing twin, the PDF, a rejected image and its note are skipped, each for its own
    reason; so is the study of two persons, and takes no other with it."""
    reasons = sorted(summary["skipped"].values())
    assert len(reasons) == 5
    assert reasons[0] == "rejected for quality reasons"
    assert "different persons" in reasons[1]
    assert "no pixel data" in reasons[2]
    assert "no pixel data" in reasons[3]
    assert "the same view is analysed" in reasons[4]


def test_without_triton_it_says_how_to_come_by_one(tmp_path: Path) -> None:
    """Nothing listens there: an error of one line, and no results."""
    write_study(tmp_path / "in", 29, StudyOptions(views=("LMLO",), rows=256, processing=False))
    address = f"127.0.0.1:{free_port()}"
    environment = {"SENTINODE_TRITON_URL": address, "SENTINODE_STATE_DIR": str(tmp_path / "state")}
    arguments = ["analyze", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    outcome = CliRunner().invoke(main, arguments, env=environment)
    assert outcome.exit_code == 1
    assert isinstance(outcome.exception, SystemExit), outcome.exception
    *_, line = outcome.stderr.splitlines()
    assert line.startswith("Error: mask_rcnn_mg: ")
    assert f"SENTINODE_TRITON_URL (now {address})" in line
    assert list((tmp_path / "out").iterdir()) == []
