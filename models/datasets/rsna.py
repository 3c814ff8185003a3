"""RSNA screening mammography challenge (2022): images with biopsy results, nothing outlined.

In: a folder with `labels.csv` and the pictures that it names, or as the challenge ships it:
`train.csv` and `train_images/<patient>/<image>.dcm` (or .png, as many convert it). Out: cases. What
must hold: biopsy tells benign from malignant, and an image that was not biopsied counts as normal.
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
from models.datasets.pictures import read_picture
from models.datasets.tables import DataSetError, Row, flag, number

TABLE = "train.csv"
IMAGES = "train_images"

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
        label = label_of(row, source)
        if file in seen:
            if seen[file] != label:
                raise DataSetError(f"{source}: two rows of {file} say {seen[file]} and {label}")
            yield LeftOut(file, "a second row of the table")
            continue
        seen[file] = label
        laterality, view = _side_and_view(row)
        picture = partial(_read_picture, folder / file, "MG", laterality=laterality, view=view)
        yield _case(Path(file).stem, row, picture, source)


def read_original(folder: Path, rows: list[Row], source: Path) -> Iterator[Case | LeftOut]:
    """Every row whose image is there, in the table's order. Raises DataSetError if none is."""
    found = False
    for row in rows:
        path, name = _image(folder, row), f"{row['patient_id']}_{row['image_id']}"
        if path is None:
            yield LeftOut(name, f"{TABLE} names it, and it is not there")
            continue
        found = True
        laterality, view = _side_and_view(row)
        reader = read_dicom if path.suffix == ".dcm" else _read_picture
        picture = partial(reader, path, "MG", laterality=laterality, view=view)
        yield _case(name, row, picture, source)
    if not found:
        raise DataSetError(f"{folder / IMAGES} holds none of the images of {TABLE}")


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


def _image(folder: Path, row: Row) -> Path | None:
    patient, image = row["patient_id"], row["image_id"]
    places = (
        folder / IMAGES / patient / f"{image}.dcm",
        folder / IMAGES / patient / f"{image}.png",
        folder / IMAGES / f"{patient}_{image}.png",
    )
    return next((place for place in places if place.is_file()), None)


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
