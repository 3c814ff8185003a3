"""RSNA screening mammography challenge (2022): images with biopsy results, nothing outlined.

In: a folder with `labels.csv` and the pictures that it names, or as the challenge ships it:
`train.csv` and `train_images/<patient>/<image>.dcm`, or pictures of such names, or
`<patient>_<image>.png` in one folder, as many convert it. Out: cases. What must hold: biopsy tells
benign from malignant, and an image that was not biopsied counts as normal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from models.contract import BreastImage, Laterality, Modality
from models.datasets.cases import Case, Label, LeftOut, Truth
from models.datasets.dicom import read_dicom
from models.datasets.pictures import PICTURES, files_of, folders_of, read_picture
from models.datasets.tables import DataSetError, Row, flag, number, place_of

TABLE = "train.csv"
IMAGES = "train_images"

_DICOM = ".dcm"

# Columns to rows of a detector of 24 x 30 cm; nobody tells by how much each picture was squashed.
DETECTOR_ASPECT = 0.8

# Columns without which an image has no truth or no patient.
NEEDED = ("patient_id", "image_id", "laterality", "view", "cancer", "biopsy")


def read_rsna(folder: Path, rows: list[Row], source: Path) -> Iterator[Case | LeftOut]:
    """Every row of the table, in its order. `source`: the table, for errors.

    Raises DataSetError, also where two rows tell of one file what contradicts.
    """
    seen: dict[str, Label | None] = {}
    for row in rows:
        file = row["file"]
        if not file:
            raise DataSetError(f"{source}: a row names no file")
        if _is_told_before(seen, file, row, source):
            yield LeftOut(file, "a second row of the table")
            continue
        laterality, view = _side_and_view(row)
        picture = partial(_read_picture, folder / file, "MG", laterality=laterality, view=view)
        yield _case(Path(file).stem, row, picture, source)


def read_original(folder: Path, rows: list[Row], source: Path) -> Iterator[Case | LeftOut]:
    """Every row whose image is there, in the table's order. Raises DataSetError if none is."""
    found = False
    images = _images(folder)
    seen: dict[str, Label | None] = {}
    for row in rows:
        name = f"{row['patient_id']}_{row['image_id']}"
        path = images.get(name)
        if _is_told_before(seen, name, row, source):
            yield LeftOut(name, "a second row of the table")
            continue
        if path is None:
            yield LeftOut(name, f"{TABLE} names it, and it is not there")
            continue
        found = True
        laterality, view = _side_and_view(row)
        reader = read_dicom if path.suffix.lower() == _DICOM else _read_picture
        picture = partial(reader, path, "MG", laterality=laterality, view=view)
        yield _case(name, row, picture, source)
    for name in sorted(set(images) - set(seen)):
        yield LeftOut(images[name].name, f"{TABLE} does not name it")
    if not found:
        raise DataSetError(
            f"{folder / IMAGES} holds none of the images of {TABLE}, neither as PATIENT/IMAGE.dcm "
            "(or .png, .jpg) nor as PATIENT_IMAGE.png"
        )


def _case(name: str, row: Row, picture: Callable[[], BreastImage], source: Path) -> Case:
    clinical = clinical_of(row)
    read = partial(_with_clinical, picture, clinical)
    return Case(name, "MG", Truth(label_of(row, source), None), read, _group(row), clinical)


def _read_picture(
    path: Path, modality: Modality, *, laterality: Laterality | None, view: str | None
) -> BreastImage:
    """A picture that is not DICOM: a squashed one in its proportions."""
    image = read_picture(path, modality, None, laterality, view)
    return replace(image, pixels=_unsquashed(image.pixels))


def _with_clinical(
    picture: Callable[[], BreastImage], clinical: Mapping[str, float | str]
) -> BreastImage:
    """The image with what the table knows of the patient."""
    image = picture()
    age = clinical.get("age")
    return replace(
        image,
        patient_age_years=None if age is None else float(age),
        density=str(clinical["density"]) if "density" in clinical else None,
    )


def _unsquashed(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """A square picture is a detector's whole field squashed; its width is put about right.

    In and out (rows, columns). A picture that is not square is taken as it is.
    """
    rows, columns = pixels.shape
    if rows != columns:
        return pixels
    size = (round(columns * DETECTOR_ASPECT), rows)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.float32)


def _images(folder: Path) -> dict[str, Path]:
    """Files below IMAGES, or beside the table, by patient and image; DICOM before pictures."""
    place = place_of(folder, IMAGES)
    place = place if place.is_dir() else folder
    endings = (*PICTURES, _DICOM)
    named = [(path.stem, path) for path in files_of(place, endings)]
    named += [
        (f"{patient.name}_{path.stem}", path)
        for patient in folders_of(place)
        for path in files_of(patient, endings)
    ]
    return dict(sorted(named, key=lambda entry: entry[1].suffix.lower() == _DICOM))


def _is_told_before(seen: dict[str, Label | None], name: str, row: Row, source: Path) -> bool:
    """Whether an earlier row told of the image. Raises DataSetError where it told another class."""
    label, is_second = label_of(row, source), name in seen
    if seen.setdefault(name, label) != label:
        raise DataSetError(f"{source}: two rows of {name} say {seen[name]} and {label}")
    return is_second


def label_of(row: Row, source: Path) -> Label | None:
    """Malignant where cancer was proven, benign where a biopsy found none, else normal.

    None where the table does not tell. Raises DataSetError for what is neither yes nor no.
    """
    cancer, biopsy = flag(row, "cancer", source), flag(row, "biopsy", source)
    if cancer is None:
        return None
    if cancer:
        return "malignant"
    return "benign" if biopsy else "normal"


def _side_and_view(row: Row) -> tuple[Laterality | None, str | None]:
    side = row.get("laterality", "").upper()[:1]
    laterality = cast(Laterality, side) if side in ("L", "R") else None
    return laterality, row.get("view", "").upper() or None


def _group(row: Row) -> str:
    patient = row.get("patient_id", "")
    return f"rsna:{patient}" if patient else ""


def clinical_of(row: Row) -> dict[str, float | str]:
    """What the table tells of patient and picture."""
    known: dict[str, float | str] = {
        name: row[column]
        for name, column in (
            ("density", "density"),
            ("view", "view"),
            ("laterality", "laterality"),
            ("machine", "machine_id"),
        )
        if row.get(column)
    }
    age = number(row.get("age", ""))
    return known if age is None else known | {"age": age}
