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

from models.contract import BreastImage, Laterality
from models.datasets.cases import Case, Label, Truth
from models.datasets.dicom import read_dicom
from models.datasets.pictures import read_picture
from models.datasets.tables import DataSetError, Row, number

TABLE = "train.csv"
IMAGES = "train_images"

# Columns to rows of a detector of 24 x 30 cm; nobody tells by how much each picture was squashed.
DETECTOR_ASPECT = 0.8

# Columns without which an image has no truth or no patient.
NEEDED = ("patient_id", "image_id", "laterality", "view", "cancer", "biopsy")


def read_rsna(folder: Path, rows: list[Row]) -> Iterator[Case]:
    """Every row of the table, in its order."""
    for row in rows:
        picture = partial(read_picture, folder / row["file"], "MG", None, *_side_and_view(row))
        clinical = clinical_of(row)
        read = partial(_with_clinical, picture, clinical)
        name = Path(row["file"]).stem
        yield Case(name, "MG", Truth(label_of(row), None), read, _group(row), clinical)


def read_original(folder: Path, rows: list[Row]) -> Iterator[Case]:
    """Every row whose image is there, in the table's order. Raises DataSetError if none is."""
    found = False
    for row in rows:
        path = _image(folder, row)
        if path is None:
            continue
        found = True
        laterality, view = _side_and_view(row)
        reader = read_dicom if path.suffix == ".dcm" else read_picture
        picture = partial(reader, path, "MG", laterality=laterality, view=view)
        name, group = f"{row['patient_id']}_{row['image_id']}", _group(row)
        clinical = clinical_of(row)
        read = partial(_with_clinical, picture, clinical)
        yield Case(name, "MG", Truth(label_of(row), None), read, group, clinical)
    if not found:
        raise DataSetError(f"{folder / IMAGES} holds none of the images of {TABLE}")


def _with_clinical(
    picture: Callable[[], BreastImage], clinical: Mapping[str, float | str]
) -> BreastImage:
    """The image with what the table knows of the patient; a squashed one in its proportions."""
    image = picture()
    age = clinical.get("age")
    return replace(
        image,
        pixels=_unsquashed(image.pixels),
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


def label_of(row: Row) -> Label:
    """Malignant where cancer was proven, benign where a biopsy found none, else normal."""
    if row["cancer"] == "1":
        return "malignant"
    return "benign" if row.get("biopsy") == "1" else "normal"


def _side_and_view(row: Row) -> tuple[Laterality | None, str | None]:
    side = row.get("laterality")
    laterality = cast(Laterality, side) if side in ("L", "R") else None
    return laterality, row.get("view") or None


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
