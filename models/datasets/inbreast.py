"""INbreast: 410 digital mammograms with contours (Moreira et al. 2012, 10.1016/j.acra.2011.09.014).

In: a folder with `AllDICOMs`, `AllXML` (OsiriX contours) and `INbreast.xls`, `.xlsx` or `.csv`.
Out: cases. What must hold: the label is the radiologist's BI-RADS assessment, not a biopsy: 1 is
normal, 2 and 3 benign, 4 to 6 malignant; single calcifications, which the set marks by the
thousand, are no findings, their clusters are. Only the normal images come without contours: of
another one that lacks them the lesions are unknown. So are those of an image with a distortion or
an asymmetry, which are neither masses nor clusters, and yet who marks one makes no mistake; and
with a mass or cluster whose outline encloses nothing.
"""

from __future__ import annotations

import csv
import io
import plistlib
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast
from xml.parsers.expat import ExpatError

import numpy as np
from python_calamine import CalamineError, CalamineWorkbook

from models.contract import FindingKind, Laterality
from models.datasets.cases import SUSPICIOUS, Case, Label, LeftOut, Lesion, Truth
from models.datasets.dicom import read_dicom
from models.datasets.outlines import NOWHERE, OutlineError, polygon
from models.datasets.pictures import files_of
from models.datasets.tables import DataSetError, Row, number, place_of, read_text

DICOMS = "AllDICOMs"
CONTOURS = "AllXML"
TABLES = ("INbreast.xls", "INbreast.xlsx", "INbreast.csv")

SPACING_MM = (0.07, 0.07)  # of the detector, says the set's paper

_KINDS = {"mass": FindingKind.MASS, "cluster": FindingKind.CALCIFICATION_CLUSTER}
_NEITHER = re.compile("distor|as+ymm?etr", re.IGNORECASE)  # the set spells them in several ways
_POINT = re.compile(r"[-+.\deE]+")
_NEEDED = ("file name", "bi-rads")
_LEAST_POINTS = 3  # fewer enclose nothing

Points = np.ndarray[Any, np.dtype[np.float64]]

_NO_KIND = "a distortion or an asymmetry, neither mass nor cluster: its lesions are unknown"

_NO_CONTOURS = (
    *(plistlib.InvalidFileException, ExpatError, OutlineError),
    *(AttributeError, KeyError, TypeError, ValueError),
)


def is_inbreast(folder: Path) -> bool:
    """The folder of the images is there."""
    return place_of(folder, DICOMS).is_dir()


def read_inbreast(folder: Path) -> Iterator[Case | LeftOut]:
    """Every image that the table lists, by name. Raises DataSetError naming what is missing."""
    contours, images = place_of(folder, CONTOURS), place_of(folder, DICOMS)
    if not contours.is_dir():
        raise DataSetError(f"{folder / CONTOURS} is missing: without it no lesion is outlined")
    rows = _rows_by_image(folder)
    paths = {_key(path.name): path for path in files_of(images, (".dcm",))}
    if not set(paths) & set(rows):
        raise DataSetError(f"{images} holds none of the DICOM files that the table lists")
    for key in sorted(set(paths) - set(rows)):
        yield LeftOut(paths[key].name, "the table does not list it")
    for key in sorted(set(rows) - set(paths)):
        yield LeftOut(key, "the table lists it, and it is not there")
    outlined = {_key(path.stem): path for path in files_of(contours, (".xml",))}
    for key in sorted(set(paths) & set(rows)):
        label = _label(rows[key]["bi-rads"])
        # Nothing was found, and so nothing drawn, in the normal images alone.
        if key not in outlined and label != "normal":
            yield LeftOut(key, f"its contours are missing in {CONTOURS}: its lesions are unknown")
        yield from _case(paths[key], rows[key], outlined.get(key))


def _case(path: Path, row: Row, contours: Path | None) -> Iterator[Case | LeftOut]:
    """The file's name is image_patient_MG_side_view_ANON.dcm."""
    key, patient, _, side, name, *_ = [*path.stem.split("_"), "", "", "", ""]
    view = row.get("view", "").upper() or name  # files call ML what the table calls MLO
    label = _label(row["bi-rads"])
    lesions: tuple[Lesion, ...] | None = () if label == "normal" else None
    if contours is not None:
        lesions, doubt = _lesions(contours, label)
        if doubt:
            yield LeftOut(key, doubt)
    laterality = cast(Laterality, side) if side in ("L", "R") else None
    read = partial(read_dicom, path, "MG", laterality, view or None, SPACING_MM)
    clinical: dict[str, float | str] = {"view": view, "laterality": side}
    if row.get("acr"):
        clinical["density"] = row["acr"].removesuffix(".0")
    group = f"inbreast:{patient}" if patient else ""
    yield Case(key, "MG", Truth(label, lesions, SUSPICIOUS), read, group, clinical)


def _label(bi_rads: str) -> Label | None:
    grade = bi_rads[:1]
    if grade == "1":
        return "normal"
    if grade in ("2", "3"):
        return "benign"
    return "malignant" if grade in ("4", "5", "6") else None


def _lesions(path: Path, label: Label | None) -> tuple[tuple[Lesion, ...] | None, str]:
    """The lesions of one image; None, with the reason, where they are unknown.

    Contours of an OsiriX property list: images, their ROIs, points "(x, y)" in px.
    """
    lesions, doubt = [], ""
    try:
        images = plistlib.loads(path.read_bytes())["Images"]
        for roi in (roi for image in images for roi in image["ROIs"]):
            name = str(roi.get("Name", "")).strip().lower()
            if _NEITHER.search(name):
                doubt = _NO_KIND
            if name in _KINDS:
                lesion = _outlined(_KINDS[name], _points(roi.get("Point_px", ())), label)
                lesions += [lesion] if lesion is not None else []
                doubt = doubt or ("" if lesion is not None else NOWHERE)
    except _NO_CONTOURS as error:
        reason = f"{type(error).__name__}: {error}"
        raise DataSetError(f"{path} is no OsiriX list of contours ({reason})") from error
    return None if doubt else tuple(lesions), doubt


def _outlined(kind: FindingKind, points: Points, label: Label | None) -> Lesion | None:
    """None for what encloses nothing of the image."""
    return polygon(kind, points, label) if len(points) >= _LEAST_POINTS else None


def _points(texts: Sequence[str]) -> Points:
    return np.array([[float(part) for part in _POINT.findall(text)[:2]] for text in texts])


def _rows_by_image(folder: Path) -> dict[str, Row]:
    """Raises DataSetError, also where two rows of an image have another assessment."""
    rows: dict[str, Row] = {}
    for row in _rows(folder):
        if row.get("file name"):
            key = _key(row["file name"])
            grades = rows.setdefault(key, row)["bi-rads"], row["bi-rads"]
            if grades[0] != grades[1]:
                raise DataSetError(
                    f"{folder}: two rows of {key} say BI-RADS {grades[0]} and {grades[1]}"
                )
    return rows


def _rows(folder: Path) -> list[Row]:
    places = (place_of(folder, name) for name in TABLES)
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise DataSetError(f"{folder} has none of {', '.join(TABLES)}")
    cells = _csv(path) if path.suffix.lower() == ".csv" else _workbook(path)
    if not cells:
        raise DataSetError(f"{path} is empty")
    columns = [name.strip().lower() for name in cells[0]]
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise DataSetError(f"{path} has no column {', '.join(missing)}; it has {columns}")
    empty = dict.fromkeys(columns, "")
    return [empty | dict(zip(columns, row, strict=False)) for row in cells[1:]]


def _csv(path: Path) -> list[list[str]]:
    """The set's own file is separated by semicolons."""
    text = read_text(path)
    separator = ";" if ";" in text.partition("\n")[0] else ","
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return [[cell.strip() for cell in row] for row in rows]


def _workbook(path: Path) -> list[list[str]]:
    """First sheet; numbers as Excel keeps them are floats."""
    try:
        rows = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()
    except CalamineError as error:
        raise DataSetError(f"{path} is no workbook: {error}") from error
    return [[str(cell).strip() for cell in row] for row in rows]


def _key(name: str) -> str:
    """The image's number, with which both file names and table entries begin."""
    value = number(name)
    return str(int(value)) if value is not None else name.partition("_")[0]
