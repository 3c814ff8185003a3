"""CBIS-DDSM: scanned film mammograms with masks (Lee et al. 2017, 10.1038/sdata.2017.177).

In: a folder with the four `*_case_description_*_set.csv` of TCIA, or some of them, there or in
`csv`, and its DICOM files anywhere below; or pictures made of them, in folders named by Series
Instance UID, as kaggle.com/datasets/awsaf49/cbis-ddsm-breast-cancer-image-dataset has them. Out:
cases, one per full mammogram, with a lesion per abnormality. What must hold: DICOM files are found
by Patient ID and Series Instance UID in their headers, because the archive's downloaders name
folders in two ways; and which file of an abnormality is the mask is decided by its pixels, because
in part of the set mask and crop stand under each other's name.

The set's own train and test tables are kept as `fold`; `group` is the patient across all tables, as
one patient may have masses in one table and calcifications in another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, cast

import cv2
import numpy as np
import pydicom
from numpy.typing import NDArray

from models.contract import BreastImage, FindingKind, Laterality
from models.datasets.cases import Case, Fold, Label, LeftOut, Lesion, Truth, gravest
from models.datasets.dicom import DAMAGE, read_dicom, stored_values
from models.datasets.pictures import (
    PICTURES,
    files_below,
    lesion_of,
    read_levels,
    read_picture,
    size_of,
)
from models.datasets.tables import DataSetError, Row, place_of, read_table, without_repeats

TABLES: tuple[tuple[str, FindingKind, Fold], ...] = (
    ("mass_case_description_train_set.csv", FindingKind.MASS, "train"),
    ("mass_case_description_test_set.csv", FindingKind.MASS, "test"),
    ("calc_case_description_train_set.csv", FindingKind.CALCIFICATION_CLUSTER, "train"),
    ("calc_case_description_test_set.csv", FindingKind.CALCIFICATION_CLUSTER, "test"),
)

_IMAGE, _CROP, _MASK = "image file path", "cropped image file path", "ROI mask file path"
_NEEDED = ("patient_id", "left or right breast", "image view", "pathology", _IMAGE, _CROP, _MASK)

_LABELS: dict[str, Label] = {
    "MALIGNANT": "malignant",
    "BENIGN": "benign",
    "BENIGN_WITHOUT_CALLBACK": "benign",
}
_HEADER = ("PatientID", "SeriesInstanceUID", "Rows", "Columns")

# A mask is of its mammogram's size; where a few px differ it was resampled, beyond that misplaced.
_LARGEST_STRETCH = 0.01

_NO_MASK = (
    "a mask is missing, empty or of another shape than its mammogram: its lesions are unknown"
)

# Of a mask that was compressed with loss: how near to black or white, and how much of it.
_NEARLY, _NEARLY_ALL = 0.1, 0.99

_DICOM = ".dcm"

Index = dict[tuple[str, str], list[Path]]


def is_cbis_ddsm(folder: Path) -> bool:
    """At least one of the four tables is there."""
    return any(_table(folder, name).is_file() for name, _, _ in TABLES)


def _table(folder: Path, name: str) -> Path:
    beside = place_of(folder, name)
    return beside if beside.is_file() else place_of(folder / "csv", name)


def read_cbis_ddsm(folder: Path) -> Iterator[Case | LeftOut]:
    """Every full mammogram that is there. Raises DataSetError.

    All headers and all masks are read at once: minutes for the whole set.
    """
    index, broken = _index(folder)
    yield from broken
    found = False
    for name, kind, fold in TABLES:
        table = _table(folder, name)
        if table.is_file():
            entries, again = without_repeats(read_table(table, _NEEDED))
            for row in entries:
                _label(row, table)
                for column in (_IMAGE, _CROP, _MASK):
                    _parts(row[column], table)
            for row in again:
                yield LeftOut(_parts(row[_IMAGE])[0], f"a second row of {name}")
            for rows in _by_image(entries):
                case = _case(index, rows, kind, fold)
                if case is None:
                    reason = f"{name} names it, and it is not there"
                    yield LeftOut(_parts(rows[0][_IMAGE])[0], reason)
                else:
                    found = True
                    yield case
                    if case.truth.lesions is None:
                        yield LeftOut(case.name, _NO_MASK)
    if not found:
        raise DataSetError(
            f"none of the images that the tables name lie below {folder}; name the folder that "
            "holds tables and images"
        )


def _by_image(rows: list[Row]) -> list[list[Row]]:
    """Abnormalities of one mammogram have one row each."""
    together: dict[str, list[Row]] = {}
    for row in rows:
        together.setdefault(_parts(row[_IMAGE])[0], []).append(row)
    return list(together.values())


def _case(index: Index, rows: list[Row], kind: FindingKind, fold: Fold) -> Case | None:
    """None where the mammogram itself is missing: many hold only a part of the set."""
    row = rows[0]
    name, series = _parts(row[_IMAGE])
    paths = _files(index, (name, series))
    shape = _shape(paths[0]) if paths else None
    if shape is None:
        return None
    lesions = [_lesion(index, row, kind, shape) for row in rows]
    label = gravest([_label(row) for row in rows])
    known = tuple(lesion for lesion in lesions if lesion is not None)
    # One missing mask makes the lesions of the whole image unknown: its find would be no mistake.
    # The tables of masses say nothing of calcifications, and the other way round.
    truth = Truth(label, known if len(known) == len(rows) else None, frozenset({kind}))
    laterality = cast(Laterality, row["left or right breast"][:1].upper())
    read: Callable[[], BreastImage]
    if paths[0].suffix.lower() == _DICOM:
        read = partial(read_dicom, paths[0], "MG", laterality, row["image view"])
    else:
        read = partial(read_picture, paths[0], "MG", None, laterality, row["image view"])
    clinical: dict[str, float | str] = {
        "laterality": laterality,
        "view": row["image view"],
        "density": row.get("breast_density") or row.get("breast density") or "",
    }
    return Case(name, "MG", truth, read, f"cbis_ddsm:{row['patient_id']}", clinical, fold)


def _lesion(index: Index, row: Row, kind: FindingKind, shape: tuple[int, int]) -> Lesion | None:
    """The mask of one abnormality, whichever of the two files it stands in."""
    paths = [path for column in (_MASK, _CROP) for path in _files(index, _parts(row[column]))]
    for path in dict.fromkeys(paths):
        mask = _mask(path, shape)
        if mask is not None:
            return lesion_of(mask, kind, _label(row))
    return None


def _label(row: Row, source: Path | None = None) -> Label | None:
    """None for an empty cell. Raises DataSetError for a word that is none of the set's."""
    word = row["pathology"].upper()
    if word and word not in _LABELS:
        known = ", ".join(_LABELS)
        raise DataSetError(f"{source}: pathology is {row['pathology']!r}; known are {known}")
    return _LABELS.get(word)


def _mask(path: Path, shape: tuple[int, int]) -> NDArray[Any] | None:
    """Values (rows, columns) of the mammogram's size, None where the file is not its mask."""
    own = _shape(path)
    if own is None:
        return None
    stretch = (own[0] / shape[0], own[1] / shape[1])
    if abs(stretch[0] / stretch[1] - 1.0) > _LARGEST_STRETCH or min(stretch) < 0.5:
        return None
    try:
        values = _values(path)
    except DAMAGE:
        return None
    lowest, highest = values.min(), values.max()
    if lowest == highest or ((values != lowest) & (values != highest)).any():
        return None
    binary = (values == highest).astype(np.uint8)
    if binary.shape == shape:
        return np.asarray(binary)
    resized = cv2.resize(binary, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized)


def _shape(path: Path) -> tuple[int, int] | None:
    """(rows, columns) by the header."""
    if path.suffix.lower() != _DICOM:
        return size_of(path)
    header = pydicom.dcmread(path, specific_tags=list(_HEADER))
    return int(header.Rows), int(header.Columns)


def _values(path: Path) -> NDArray[Any]:
    """As stored; of a picture that is nearly black and white, 0 and 1. Raises what DAMAGE names."""
    if path.suffix.lower() == _DICOM:
        return stored_values(pydicom.dcmread(path))
    levels = read_levels(path)
    sure = (levels < _NEARLY) | (levels > 1.0 - _NEARLY)
    return np.rint(levels) if sure.mean() > _NEARLY_ALL else levels


def _files(index: Index, key: tuple[str, str]) -> list[Path]:
    """DICOM files, else the pictures of the series."""
    return index.get(key) or index.get(("", key[1]), [])


def _index(folder: Path) -> tuple[Index, list[LeftOut]]:
    """Files by (Patient ID, Series Instance UID), and those that are no image.

    Pictures, whose folder is named by the series, have no Patient ID.
    """
    index: Index = {}
    broken = []
    for path in sorted(files_below(folder, (_DICOM, *PICTURES))):
        if path.suffix.lower() != _DICOM:
            index.setdefault(("", path.parent.name), []).append(path)
            continue
        try:
            header = pydicom.dcmread(path, specific_tags=list(_HEADER))
            key = (str(header.PatientID), str(header.SeriesInstanceUID))
            sides = (int(header.Rows), int(header.Columns))
        except DAMAGE as error:
            reason = f"not a readable DICOM image ({type(error).__name__})"
            broken.append(LeftOut(str(path.relative_to(folder)), reason))
            continue
        if min(sides) > 0:
            index.setdefault(key, []).append(path)
    return index, broken


def _parts(text: str, source: Path | None = None) -> tuple[str, str]:
    """Patient ID and Series Instance UID of a path PATIENT/STUDY/SERIES/FILE in a table.

    Raises DataSetError.
    """
    parts = PurePosixPath(text.strip().strip('"').strip()).parts
    if len(parts) < 3:
        raise DataSetError(f"{source}: {text!r} is not PATIENT/STUDY/SERIES/FILE")
    return parts[0], parts[2]
