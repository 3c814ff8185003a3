"""Folders of images with truth, recognised by their layout.

In: a folder laid out as BUSI (Al-Dhabyani et al. 2020), mini-MIAS (Suckling et al. 1994) or the
RSNA screening challenge. Out: cases. What must hold: only files are read, nothing is written.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from models.contract import BreastImage, FindingKind, Laterality, Modality
from models.evaluation.cases import Case, Label, Lesion, Truth

BUSI_LABELS: tuple[Label, ...] = ("normal", "benign", "malignant")
MIAS_SPACING_MM = (0.2, 0.2)  # digitised at 50 um and reduced by four, says the data's own notes

# More than this share of bright border means that the grey levels are inverted.
_INVERTED_BORDER = 0.5


class UnknownLayoutError(ValueError):
    """The folder is laid out like none of those we know."""


def read_folder(folder: Path) -> list[Case]:
    """Every case of a BUSI, mini-MIAS or RSNA folder, by name. Raises UnknownLayoutError."""
    if all((folder / label).is_dir() for label in BUSI_LABELS):
        return list(_busi(folder))
    rows = _labels(folder)
    if rows and "abnormality" in rows[0]:
        return list(_mini_mias(folder, rows))
    if rows and "cancer" in rows[0]:
        return [_rsna(folder, row) for row in rows]
    raise UnknownLayoutError(f"{folder} is laid out like none of: phantoms, busi, mini_mias, rsna")


def _busi(folder: Path) -> Iterator[Case]:
    for label in BUSI_LABELS:
        for path in sorted((folder / label).glob("*.jpg")):
            masks = sorted(path.parent.glob(f"{path.stem}_mask*.png"))
            lesions = tuple(
                lesion for mask in masks if (lesion := _lesion_of(mask, FindingKind.MASS))
            )
            read = partial(read_picture, path, "US")
            yield Case(path.stem, "US", Truth(label, lesions), read, path.stem)


def _mini_mias(folder: Path, rows: list[dict[str, str]]) -> Iterator[Case]:
    """One image may have several rows, one per lesion; some lesions have no circle."""
    by_file: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_file.setdefault(row["file"], []).append(row)
    for name, entries in sorted(by_file.items()):
        severities = {entry["severity"] for entry in entries}
        label: Label = (
            "malignant" if "M" in severities else "benign" if "B" in severities else "normal"
        )
        circled = [entry for entry in entries if entry["radius_px"]]
        unplaced = any(entry["severity"] and not entry["radius_px"] for entry in entries)
        lesions = None if unplaced else tuple(_circle(entry) for entry in circled)
        read = partial(read_picture, folder / name, "MG", MIAS_SPACING_MM)
        yield Case(Path(name).stem, "MG", Truth(label, lesions), read, entries[0]["patient"])


def _rsna(folder: Path, row: dict[str, str]) -> Case:
    """Biopsy tells benign from malignant; an image that was not biopsied counts as normal."""
    malignant, biopsied = row["cancer"] == "1", row["biopsy"] == "1"
    label: Label = "malignant" if malignant else "benign" if biopsied else "normal"
    laterality = cast(Laterality, row["laterality"])
    read = partial(read_picture, folder / row["file"], "MG", None, laterality, row["view"])
    return Case(Path(row["file"]).stem, "MG", Truth(label, None), read, row["patient_id"])


def read_picture(
    path: Path,
    modality: Modality,
    pixel_spacing_mm: tuple[float, float] | None = None,
    laterality: Laterality | None = None,
    view: str | None = None,
) -> BreastImage:
    """An 8-bit picture; a mammogram whose border is bright is inverted. Raises OSError."""
    levels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if levels is None:
        raise OSError(f"{path} is not a readable picture")
    pixels = levels.astype(np.float32) / np.float32(255.0)
    if modality == "MG" and _border_is_bright(pixels):
        pixels = np.float32(1.0) - pixels
    return BreastImage(pixels, modality, laterality, view, pixel_spacing_mm)


def _border_is_bright(pixels: NDArray[np.float32]) -> bool:
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return bool((border > 0.5).mean() > _INVERTED_BORDER)


def _lesion_of(path: Path, kind: FindingKind) -> Lesion | None:
    """The lesion that a mask picture shows, None for an empty one."""
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None or not mask.any():
        return None
    left, top, width, height = cv2.boundingRect(mask)
    return Lesion(kind, mask[top : top + height, left : left + width] > 0, (top, left))


def _circle(entry: dict[str, str]) -> Lesion:
    """A disc around the point that the reader gave."""
    radius = max(1, round(float(entry["radius_px"])))
    row, column = round(float(entry["y_from_top_px"])), round(float(entry["x_from_left_px"]))
    line = np.arange(-radius, radius + 1)
    disc = line[:, np.newaxis] ** 2 + line**2 <= radius**2
    top, left = max(0, row - radius), max(0, column - radius)
    calcium = entry["abnormality"] == "CALC"
    kind = FindingKind.CALCIFICATION_CLUSTER if calcium else FindingKind.MASS
    return Lesion(kind, disc[top - row + radius :, left - column + radius :], (top, left))


def _labels(folder: Path) -> list[dict[str, str]]:
    path = folder / "labels.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
