from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.contract import FindingKind
from models.datasets.folders import read_contents, read_folder, read_layout
from models.datasets.tables import DataSetError
from tests.unit.models.datasets.lookalikes import breast, mask, write_dicom

COLUMNS = (
    *("patient_id", "breast_density", "left or right breast", "image view", "abnormality id"),
    *("abnormality type", "mass shape", "mass margins", "assessment", "pathology", "subtlety"),
    *("image file path", "cropped image file path", "ROI mask file path"),
)


def write_table(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)


def row(patient: str, number: int, pathology: str, prefix: str = "Mass-Training") -> dict[str, str]:
    """As TCIA writes it: three paths, the last ones with a line break inside."""
    name = f"{prefix}_{patient}_LEFT_CC"
    return {
        "patient_id": patient,
        "breast_density": "3",
        "left or right breast": "LEFT",
        "image view": "CC",
        "abnormality id": str(number),
        "pathology": pathology,
        "image file path": f"{name}/1.2.3/1.2.{len(patient)}.4/000000.dcm",
        "cropped image file path": f"{name}_{number}/1.2.5/1.2.6.{number}/000000.dcm\n",
        "ROI mask file path": f"{name}_{number}/1.2.5/1.2.6.{number}/000001.dcm\n",
    }


def write_abnormality(folder: Path, entry: dict[str, str], swapped: bool, top: int) -> None:
    """Crop and mask in one series; `swapped`: the mask stands under the crop's name."""
    patient, _, series, _ = entry["ROI mask file path"].strip().split("/")
    names = ("1-1.dcm", "1-2.dcm")
    place = folder / "CBIS-DDSM" / patient / "08-30-2017-DDSM-1" / "1.0-ROI mask images-1"
    write_dicom(place / names[swapped], mask((top, 10, 12, 8)), patient, series)
    write_dicom(place / names[not swapped], breast(30, 24), patient, series)


def write_set(folder: Path) -> list[dict[str, str]]:
    rows = [row("P_00001", 1, "BENIGN_WITHOUT_CALLBACK"), row("P_00001", 2, "MALIGNANT")]
    write_table(folder / "mass_case_description_train_set.csv", rows)
    patient, _, series, _ = rows[0]["image file path"].split("/")
    image = folder / "CBIS-DDSM" / patient / "07-20-2016-DDSM-3" / "1.0-full" / "1-1.dcm"
    write_dicom(image, breast(), patient, series)
    write_abnormality(folder, rows[0], False, 20)
    write_abnormality(folder, rows[1], True, 60)
    return rows


def test_masks_are_found_under_either_name(tmp_path: Path) -> None:
    """Two masses of one mammogram, the second one's mask under its crop's name."""
    write_set(tmp_path)
    layout, (case,) = read_layout(tmp_path)
    assert layout == "cbis_ddsm"
    assert (case.name, case.group, case.fold) == (
        "Mass-Training_P_00001_LEFT_CC",
        "cbis_ddsm:P_00001",
        "train",
    )
    assert case.truth.label == "malignant"
    assert case.truth.lesions is not None
    assert [(lesion.kind, lesion.offset_px, lesion.label) for lesion in case.truth.lesions] == [
        (FindingKind.MASS, (20, 10), "benign"),
        (FindingKind.MASS, (60, 10), "malignant"),
    ]
    image = case.read()
    assert (image.laterality, image.view, image.pixels.shape) == ("L", "CC", (120, 90))


def test_a_mask_of_another_grid_is_brought_to_the_image(tmp_path: Path) -> None:
    """A few masks of the set are of another size than their mammogram."""
    rows = write_set(tmp_path)
    patient, _, series, _ = rows[1]["ROI mask file path"].strip().split("/")
    for path in (tmp_path / "CBIS-DDSM" / patient).rglob("*.dcm"):
        path.unlink()
    large = cv2.resize(mask((60, 10, 12, 8)), (180, 240), interpolation=cv2.INTER_NEAREST)
    write_dicom(tmp_path / patient / "000000.dcm", large.astype(np.uint8), patient, series)
    (case,) = read_folder(tmp_path)
    assert case.truth.lesions is not None
    assert (case.truth.lesions[1].offset_px, case.truth.lesions[1].mask.shape) == (
        (60, 10),
        (12, 8),
    )


def test_a_missing_mask_makes_lesions_unknown(tmp_path: Path) -> None:
    """One abnormality without mask: the image keeps its label, its lesions are None; it is told."""
    rows = write_set(tmp_path)
    for path in (tmp_path / "CBIS-DDSM" / rows[1]["ROI mask file path"].split("/")[0]).rglob(
        "*.dcm"
    ):
        path.unlink()
    contents = read_contents(tmp_path)
    (case,), (told,) = contents.cases, contents.left_out
    assert (case.truth.label, case.truth.lesions) == ("malignant", None)
    assert (told.name, told.reason.partition(",")[0]) == (case.name, "a mask is missing")


def test_calcifications_and_the_test_fold(tmp_path: Path) -> None:
    """The other tables give clusters and the prescribed side."""
    entry = row("P_7", 1, "BENIGN", "Calc-Test")
    write_table(tmp_path / "calc_case_description_test_set.csv", [entry])
    patient, _, series, _ = entry["image file path"].split("/")
    write_dicom(tmp_path / "x" / "000000.dcm", breast(), patient, series)
    write_abnormality(tmp_path, entry, False, 30)
    (case,) = read_folder(tmp_path)
    assert case.fold == "test"
    assert case.truth.lesions is not None
    assert case.truth.lesions[0].kind is FindingKind.CALCIFICATION_CLUSTER


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """Tables without images, and a table without its columns."""
    table = tmp_path / "mass_case_description_test_set.csv"
    write_table(table, [row("P_1", 1, "BENIGN")])
    with pytest.raises(DataSetError, match="none of the images"):
        read_folder(tmp_path)
    table.write_text("patient_id,pathology\nP_1,BENIGN\n")
    with pytest.raises(DataSetError, match="no column left or right breast, image view"):
        read_folder(tmp_path)
