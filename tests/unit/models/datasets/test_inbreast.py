from __future__ import annotations

import plistlib
from pathlib import Path

import openpyxl
import pytest

from models.contract import FindingKind
from models.datasets.folders import read_layout
from models.datasets.inbreast import read_inbreast
from models.datasets.tables import DataSetError
from tests.unit.models.datasets.lookalikes import breast, write_dicom

HEADER = ["Patient ID", "Laterality", "View", "File Name", "ACR", "Bi-Rads", "Mass "]
ROWS = [
    ["removed", "R", "CC", 20586908, 2, "4b", "X"],
    ["removed", "L", "MLO", 20586934, 3.0, 1, ""],
    ["removed", "L", "CC", 20586960, 1, "2", ""],
]
NAMES = (
    "20586908_6c613a14b80a8591_MG_R_CC_ANON.dcm",
    "20586934_6c613a14b80a8591_MG_L_ML_ANON.dcm",
    "20586960_aaaa3a14b80a8592_MG_L_CC_ANON.dcm",
)


def roi(name: str, points: list[tuple[float, float]]) -> dict[str, object]:
    texts = [f"({x:.6f}, {y:.6f})" for x, y in points]
    return {"Name": name, "NumberOfPoints": len(points), "Point_px": texts, "Type": 15}


def write_set(folder: Path, table: str) -> None:
    for name in NAMES:
        write_dicom(folder / "AllDICOMs" / name, breast())
    (folder / "AllXML").mkdir()
    square = [(10.0, 20.0), (29.0, 20.0), (29.0, 49.0), (10.0, 49.0)]
    contours = [roi("Mass", square), roi("Calcification", [(5.0, 5.0)]), roi("Cluster", square)]
    document = {"Images": [{"ImageIndex": 0, "NumberOfROIs": 3, "ROIs": contours}]}
    (folder / "AllXML" / "20586908.xml").write_bytes(plistlib.dumps(document))
    if table.endswith(".csv"):
        lines = [";".join(str(cell) for cell in line) for line in (HEADER, *ROWS)]
        (folder / table).write_text("\n".join(lines) + "\n")
        return
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    assert sheet is not None
    for line in (HEADER, *ROWS, ["Total", None, None, None, None, None, None]):
        sheet.append(line)
    workbook.save(folder / table)


@pytest.mark.parametrize("table", ["INbreast.xlsx", "INbreast.csv"])
def test_contours_and_assessments(tmp_path: Path, table: str) -> None:
    """Masses and clusters outlined, single calcifications left out, BI-RADS as label."""
    write_set(tmp_path, table)
    layout, cases = read_layout(tmp_path)
    assert layout == "inbreast"
    assert [case.truth.label for case in cases] == ["malignant", "normal", "benign"]
    assert [case.group for case in cases] == [
        "inbreast:6c613a14b80a8591",
        "inbreast:6c613a14b80a8591",
        "inbreast:aaaa3a14b80a8592",
    ]
    lesions = cases[0].truth.lesions
    assert lesions is not None
    assert [lesion.kind for lesion in lesions] == [
        FindingKind.MASS,
        FindingKind.CALCIFICATION_CLUSTER,
    ]
    assert (lesions[0].offset_px, lesions[0].mask.shape) == ((20, 10), (30, 20))
    assert lesions[0].mask.all()
    assert cases[1].truth.lesions == ()
    assert cases[0].clinical["density"] == "2"
    assert [case.clinical["view"] for case in cases] == ["CC", "MLO", "CC"]
    image = cases[0].read()
    assert (image.laterality, image.pixel_spacing_mm) == ("R", (0.07, 0.07))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """No contours, no table, a broken contour file: each says which."""
    write_set(tmp_path, "INbreast.csv")
    (tmp_path / "AllXML" / "20586934.xml").write_text("<plist>")
    with pytest.raises(DataSetError, match=r"20586934\.xml is no OsiriX"):
        list(read_inbreast(tmp_path))
    (tmp_path / "INbreast.csv").unlink()
    with pytest.raises(DataSetError, match=r"none of INbreast\.xls"):
        list(read_inbreast(tmp_path))
    (tmp_path / "AllXML").rename(tmp_path / "elsewhere")
    with pytest.raises(DataSetError, match="AllXML is missing"):
        list(read_inbreast(tmp_path))
