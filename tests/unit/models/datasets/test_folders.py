from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.contract import FindingKind
from models.datasets.folders import UnknownLayoutError, read_folder
from models.datasets.pictures import read_picture


def picture(path: Path, level: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas = np.zeros((100, 80), np.uint8)
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
    picture(tmp_path / "a.jpg")
    (tmp_path / "labels.csv").write_text(
        "file,derived_label,patient_id,laterality,view,age,cancer,biopsy\n"
        "a.jpg,x,1,L,CC,50,1,1\na.jpg,x,1,R,CC,50,0,1\na.jpg,x,1,R,MLO,50,0,0\n"
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
