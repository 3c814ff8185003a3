from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.contract import FindingKind
from models.datasets.folders import UnknownLayoutError, read_folder, read_layout
from models.datasets.pictures import read_picture
from models.datasets.tables import DataSetError
from tests.unit.models.datasets.lookalikes import breast, write_dicom

FILM = (1024, 1024)  # of every picture of mini-MIAS


def picture(path: Path, level: int = 100, shape: tuple[int, int] = (100, 80)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas = np.zeros(shape, np.uint8)
    canvas[20:80, :50] = level
    cv2.imwrite(str(path), canvas)


def test_busi(tmp_path: Path) -> None:
    """Label from the folder, one lesion per mask picture, none for normals."""
    for label in ("normal", "benign", "malignant"):
        picture(tmp_path / label / f"{label}_1.jpg")
    mask = np.zeros((100, 80), np.uint8)
    mask[30:40, 20:26] = 255
    cv2.imwrite(str(tmp_path / "benign" / "benign_1_mask0.png"), mask)
    normal, benign, malignant = read_folder(tmp_path)
    assert [case.truth.label for case in (normal, benign, malignant)] == [
        "normal",
        "benign",
        "malignant",
    ]
    assert benign.truth.lesions is not None
    (lesion,) = benign.truth.lesions
    assert (lesion.offset_px, lesion.mask.shape) == ((30, 20), (10, 6))
    assert normal.truth.lesions == ()
    assert benign.read().modality == "US"


def test_mini_mias(tmp_path: Path) -> None:
    """Circles become discs, calcifications clusters; a lesion without circle has no outline."""
    for number in (1, 2, 3):
        picture(tmp_path / f"mdb{number}.jpg")
    (tmp_path / "labels.csv").write_text(
        "file,patient,tissue,abnormality,severity,x_from_left_px,y_from_top_px,radius_px,note\n"
        "mdb1.jpg,1,G,CIRC,B,30,50,8,\n"
        "mdb1.jpg,1,G,CALC,M,2,60,5,\n"
        "mdb2.jpg,2,G,NORM,,,,,\n"
        "mdb3.jpg,3,G,CALC,B,,,,*NOTE*\n"
    )
    first, second, third = read_folder(tmp_path)
    assert [case.truth.label for case in (first, second, third)] == [
        "malignant",
        "normal",
        "benign",
    ]
    assert first.truth.lesions is not None
    mass, cluster = first.truth.lesions
    assert (mass.kind, mass.offset_px, mass.mask.shape) == (FindingKind.MASS, (42, 22), (17, 17))
    assert cluster.kind is FindingKind.CALCIFICATION_CLUSTER
    assert (cluster.offset_px, cluster.mask.shape) == ((55, 0), (11, 8))
    assert second.truth.lesions == ()
    assert third.truth.lesions is None
    assert first.read().pixel_spacing_mm == (0.2, 0.2)


def test_rsna(tmp_path: Path) -> None:
    """Cancer is malignant, a biopsy without cancer benign, the rest normal; nothing outlined."""
    for name in "abc":
        picture(tmp_path / f"{name}.jpg")
    (tmp_path / "labels.csv").write_text(
        "file,derived_label,patient_id,laterality,view,age,cancer,biopsy\n"
        "a.jpg,x,1,L,CC,50,1,1\nb.jpg,x,1,R,CC,50,0,1\nc.jpg,x,1,R,MLO,50,0,0\n"
    )
    cases = read_folder(tmp_path)
    assert [case.truth.label for case in cases] == ["malignant", "benign", "normal"]
    assert all(case.truth.lesions is None for case in cases)
    assert cases[1].read().laterality == "R"


def test_an_inverted_mammogram_is_turned_round(tmp_path: Path) -> None:
    """Bright air becomes dark."""
    picture(tmp_path / "a.png")
    canvas = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_GRAYSCALE)
    assert canvas is not None
    cv2.imwrite(str(tmp_path / "b.png"), 255 - canvas)
    pair = [read_picture(tmp_path / name, "MG").pixels for name in ("a.png", "b.png")]
    np.testing.assert_allclose(pair[0], pair[1], atol=1e-6)


def test_unknown_and_unreadable(tmp_path: Path) -> None:
    """An unknown layout and a broken picture are told apart from data."""
    with pytest.raises(UnknownLayoutError):
        read_folder(tmp_path)
    (tmp_path / "x.jpg").write_bytes(b"no picture")
    with pytest.raises(OSError, match=r"x\.jpg"):
        read_picture(tmp_path / "x.jpg", "MG")


def test_the_real_folders_are_understood(real_data: Path) -> None:
    """BUSI, mini-MIAS and RSNA as they are: counts of their own notes."""
    found = {name: len(read_folder(real_data / name)) for name in ("busi", "mini_mias", "rsna")}
    assert found == {"busi": 650, "mini_mias": 232, "rsna": 2639}


def test_busi_as_its_authors_name_it(tmp_path: Path) -> None:
    """Blanks and brackets, two masks of one image, and an image whose mask is missing."""
    for name in ("benign (1)", "benign (10)", "normal (1)"):
        picture(tmp_path / name.split()[0] / f"{name}.png")
    blank = np.zeros((100, 80), np.uint8)
    for name, row in (
        ("benign (1)_mask", 10),
        ("benign (1)_mask_1", 50),
        ("normal (1)_mask", None),
    ):
        mask = blank.copy()
        if row is not None:
            mask[row : row + 5, 20:26] = 255
        cv2.imwrite(str(tmp_path / name.split()[0] / f"{name}.png"), mask)
    normal, first, tenth = read_folder(tmp_path)
    assert normal.truth.lesions == ()
    assert first.truth.lesions is not None
    assert [lesion.offset_px for lesion in first.truth.lesions] == [(10, 20), (50, 20)]
    assert tenth.truth.lesions is None


def test_mini_mias_as_the_archive_ships_it(tmp_path: Path) -> None:
    """`Info.txt` counts y from the bottom; pictures that are not there are left out."""
    for number in (1, 3, 59):
        picture(tmp_path / f"mdb{number:03}.pgm", shape=FILM)
    (tmp_path / "Info.txt").write_text(
        "INFORMATION:\nmdb001 is described below\n\n"
        "mdb001 G CIRC B 535 425 197\nmdb002 G CIRC B 522 280 69\nmdb003 D NORM\n"
        "mdb059 F CIRC B\n"
    )
    first, third, unplaced = read_folder(tmp_path)
    assert [case.group for case in (first, third, unplaced)] == [
        "mini_mias:0",
        "mini_mias:1",
        "mini_mias:29",
    ]
    assert first.truth.lesions is not None
    assert first.truth.lesions[0].offset_px == (1023 - 425 - 197, 535 - 197)
    assert first.truth.lesions[0].label == "benign"
    assert (third.truth.label, third.truth.lesions) == ("normal", ())
    assert unplaced.truth.lesions is None


def test_both_forms_of_mini_mias_agree(tmp_path: Path, real_data: Path) -> None:
    """The circles of the archive's own list are those of the prepared table."""
    (prepared,) = (case for case in read_folder(real_data / "mini_mias") if case.name == "mdb001")
    picture(tmp_path / "mdb001.pgm", shape=FILM)
    (tmp_path / "Info.txt").write_text("mdb001 G CIRC B 535 425 197\n")
    (original,) = read_folder(tmp_path)
    assert original.truth.lesions is not None
    assert prepared.truth.lesions is not None
    assert original.truth.lesions[0].offset_px == prepared.truth.lesions[0].offset_px
    assert original.group == prepared.group


def test_rsna_as_the_challenge_ships_it(tmp_path: Path) -> None:
    """`train.csv` and a folder per patient; clinical facts as far as the table tells them."""
    write_dicom(tmp_path / "train_images" / "7" / "1.dcm", breast())
    picture(tmp_path / "train_images" / "7" / "2.png")
    (tmp_path / "train.csv").write_text(
        "site_id,patient_id,image_id,laterality,view,age,cancer,biopsy,density,machine_id\n"
        "2,7,1,L,CC,61.0,1,1,C,29\n2,7,2,R,MLO,,0,0,,29\n2,8,3,R,MLO,50,0,0,A,29\n"
    )
    layout, cases = read_layout(tmp_path)
    assert layout == "rsna"
    assert [(case.name, case.group, case.truth.label) for case in cases] == [
        ("7_1", "rsna:7", "malignant"),
        ("7_2", "rsna:7", "normal"),
    ]
    assert cases[0].clinical == {
        "age": 61.0,
        "density": "C",
        "view": "CC",
        "laterality": "L",
        "machine": "29",
    }
    assert "age" not in cases[1].clinical
    assert [case.read().pixels.shape for case in cases] == [(120, 90), (100, 80)]


def test_nearly_right_folders_are_told_what_is_missing(tmp_path: Path) -> None:
    """A table of another kind, and tables without their pictures."""
    (tmp_path / "labels.csv").write_text("file,diagnosis\na.png,benign\n")
    with pytest.raises(DataSetError, match="neither a column abnormality"):
        read_folder(tmp_path)
    (tmp_path / "labels.csv").unlink()
    (tmp_path / "Info.txt").write_text("mdb001 G CIRC B 535 425 197\n")
    with pytest.raises(DataSetError, match="none of the 1 pictures"):
        read_folder(tmp_path)


def test_parts_of_sets_are_read(tmp_path: Path) -> None:
    """One class of BUSI, an empty class, and tables without the columns that may be missing."""
    picture(tmp_path / "busi" / "malignant" / "malignant_3.jpg")
    (tmp_path / "busi" / "benign").mkdir()
    (case,) = read_folder(tmp_path / "busi")
    assert (case.truth.label, case.truth.lesions) == ("malignant", None)
    picture(tmp_path / "rsna" / "a.jpg")
    (tmp_path / "rsna" / "labels.csv").write_text("file,cancer\na.jpg,1\n")
    (case,) = read_folder(tmp_path / "rsna")
    assert (case.truth.label, case.group, case.read().laterality) == ("malignant", "", None)
    picture(tmp_path / "mias" / "a.jpg")
    table = tmp_path / "mias" / "labels.csv"
    columns = "file,abnormality,severity,x_from_left_px,y_from_top_px,radius_px"
    table.write_text(f"{columns}\na.jpg,CIRC,,9,9,3\n")
    (case,) = read_folder(tmp_path / "mias")
    assert (case.truth.label, case.group) == (None, "")
    table.write_text("file,abnormality\na.jpg,CIRC\n")
    with pytest.raises(DataSetError, match="no column severity"):
        read_folder(tmp_path / "mias")
