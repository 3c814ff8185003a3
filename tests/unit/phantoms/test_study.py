"""A study on disk: the same bytes again, headers that agree with the pixels, truth that reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from click.testing import CliRunner
from pydicom.pixels.processing import apply_voi_lut

from phantoms.commands import DEMO_SEED, phantom
from phantoms.dataset import TruthError, read_truth
from phantoms.mammogram import mammogram
from phantoms.mammography_object import VoiFunction
from phantoms.plans import draw_plans
from phantoms.study import FIRST_STUDY_SEED, StudyOptions, count_images, write_study

SMALL = StudyOptions(views=("LCC", "RMLO", "US"), rows=256)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("study")
    write_study(directory, DEMO_SEED, SMALL)
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_same_seed_and_options_write_the_same_bytes(study: Path, tmp_path: Path) -> None:
    """Objects, masks, truth and index; so a study sent twice is one study."""
    write_study(tmp_path, DEMO_SEED, SMALL)
    assert contents(tmp_path) == contents(study)


def test_index_lists_every_object_once(study: Path) -> None:
    """With its UID, and a truth file that exists."""
    index = json.loads((study / "index.json").read_text())
    assert {entry["file"] for entry in index["files"]} == {p.name for p in study.glob("*.dcm")}
    assert len(index["files"]) == count_images(SMALL) == 6
    for entry in index["files"]:
        dataset = pydicom.dcmread(study / entry["file"])
        assert dataset.SOPInstanceUID == entry["sop_instance_uid"]
        assert dataset.StudyInstanceUID == index["study_instance_uid"]
        assert (study / entry["truth"]).is_file()


def test_truth_reads_back_as_it_was_drawn(study: Path) -> None:
    """Label, boxes, areas and every pixel of the masks."""
    truths = read_truth(study)
    dataset = pydicom.dcmread(study / "MG-LCC-presentation.dcm")
    truth = truths[str(dataset.SOPInstanceUID)]
    drawn = mammogram(FIRST_STUDY_SEED + DEMO_SEED, "L", "CC", SMALL.size_px)
    assert truth.label == drawn.label
    assert len(truth.lesions) == len(drawn.lesions) > 0
    for read, lesion in zip(truth.lesions, drawn.lesions, strict=True):
        x0, y0, x1, y1 = read.box_px
        mask = read.read_mask()
        assert mask.shape == (dataset.Rows, dataset.Columns)
        assert np.array_equal(mask[y0:y1, x0:x1], lesion.mask)
        assert mask.sum() == lesion.mask.sum()
        spacing = truth.pixel_spacing_mm
        assert read.area_mm2 == pytest.approx(mask.sum() * spacing[0] * spacing[1], abs=0.01)


def test_unreadable_truth_is_named(study: Path, tmp_path: Path) -> None:
    """The error says which file."""
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "1.2.3.json").write_text("{}")
    with pytest.raises(TruthError, match=r"1\.2\.3\.json"):
        read_truth(tmp_path)


def test_demo_study_has_a_lesion_of_every_kind() -> None:
    """And something in each breast, so that every result has something to show."""
    seed = FIRST_STUDY_SEED + DEMO_SEED
    left, right = draw_plans(seed, "L"), draw_plans(seed, "R")
    assert left
    assert right
    assert len({plan.kind for plan in left + right}) == 3


def test_both_objects_of_an_exposure_are_of_one_view(study: Path) -> None:
    """For Presentation names the For Processing one as its source and differs from it in UID."""
    shown = pydicom.dcmread(study / "MG-RMLO-presentation.dcm")
    raw = pydicom.dcmread(study / "MG-RMLO-processing.dcm")
    assert shown.SourceImageSequence[0].ReferencedSOPInstanceUID == raw.SOPInstanceUID
    assert shown.SeriesInstanceUID != raw.SeriesInstanceUID
    assert shown.PatientOrientation == raw.PatientOrientation == ["P", "FL"]
    assert shown.ImageLaterality == raw.ImageLaterality == "R"
    assert shown.ViewCodeSequence[0].CodeValue == "399368009"


def test_raw_signal_is_linear_and_dark_where_dense(study: Path) -> None:
    """Air is at full scale; MONOCHROME1 makes it black on display."""
    raw = pydicom.dcmread(study / "MG-LCC-processing.dcm")
    values = raw.pixel_array
    assert values.max() == 2**14 - 1
    assert np.median(values[:, -20:]) > 16000
    assert np.median(values[100:150, :20]) < 4000
    assert (raw.PhotometricInterpretation, raw.PixelIntensityRelationship) == ("MONOCHROME1", "LIN")


def test_ultrasound_region_is_calibrated_in_centimetres(study: Path) -> None:
    """The whole image, with the spacing of the truth."""
    dataset = pydicom.dcmread(study / "US-L.dcm")
    region = dataset.SequenceOfUltrasoundRegions[0]
    spacing = read_truth(study)[str(dataset.SOPInstanceUID)].pixel_spacing_mm
    assert region.PhysicalDeltaX * 10.0 == pytest.approx(spacing[1])
    assert (region.RegionLocationMaxX1, region.RegionLocationMaxY1) == (639, 511)


@pytest.mark.parametrize("voi", ["LINEAR", "SIGMOID"])
def test_first_window_restores_the_displayed_pixels(tmp_path: Path, voi: VoiFunction) -> None:
    """In both photometric interpretations, which differ in nothing that is seen."""
    expected = mammogram(FIRST_STUDY_SEED + 3, "L", "CC", (256, 200)).pixels
    for photometric in ("MONOCHROME2", "MONOCHROME1"):
        options = StudyOptions(("LCC",), 256, False, photometric, voi)
        write_study(tmp_path / photometric, 3, options)
        dataset = pydicom.dcmread(tmp_path / photometric / "MG-LCC-presentation.dcm")
        shown = apply_voi_lut(dataset.pixel_array, dataset, index=0) / 4095.0
        if photometric == "MONOCHROME1":
            shown = 1.0 - shown
        assert np.abs(shown - expected).max() < 0.006


def test_a_view_added_later_joins_the_same_study(tmp_path: Path) -> None:
    """Which views are written changes no UID; the size of the image changes all of them."""
    write_study(tmp_path / "first", 3, StudyOptions(("LCC",), 256, False))
    write_study(tmp_path / "second", 3, StudyOptions(("LCC", "RCC"), 256, False))
    write_study(tmp_path / "larger", 3, StudyOptions(("LCC",), 272, False))
    name = "MG-LCC-presentation.dcm"
    first, second = (contents(tmp_path / folder)[name] for folder in ("first", "second"))
    assert first == second
    larger = pydicom.dcmread(tmp_path / "larger" / name)
    assert larger.StudyInstanceUID != pydicom.dcmread(tmp_path / "first" / name).StudyInstanceUID


def test_command_writes_numbered_studies(tmp_path: Path) -> None:
    """`--count` makes one folder per seed, and truth is read across all of them."""
    arguments = ["--out", str(tmp_path), "--seed", "5", "--count", "2", "--size", "256"]
    result = CliRunner().invoke(phantom, [*arguments, "--views", "rcc", "--no-processing"])
    assert result.exit_code == 0, result.output
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["study-0001", "study-0002"]
    assert len(read_truth(tmp_path)) == 2


def test_command_refuses_unknown_views(tmp_path: Path) -> None:
    """And says which there are."""
    result = CliRunner().invoke(phantom, ["--out", str(tmp_path), "--views", "LCC,XYZ"])
    assert result.exit_code == 2
    assert "LCC,RCC,LMLO,RMLO,US" in result.output
