"""Pictures that are not DICOM: grey levels, and the lesions that mask pictures show.

In: files that OpenCV reads (PNG, JPEG, PGM, TIFF). Out: a `BreastImage`, or a `Lesion` cut out of a
mask. What must hold: 0 is air and 1 the brightest, whatever the file's depth or polarity.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.contract import BreastImage, FindingKind, Laterality, Modality
from models.datasets.cases import Label, Lesion
from models.imaging.intensity import is_inverted


def read_picture(
    path: Path,
    modality: Modality,
    pixel_spacing_mm: tuple[float, float] | None = None,
    laterality: Laterality | None = None,
    view: str | None = None,
) -> BreastImage:
    """A picture of 8 or 16 bits; a mammogram on bright air is inverted. Raises OSError."""
    pixels = read_levels(path)
    if modality == "MG" and is_inverted(pixels):
        pixels = np.float32(1.0) - pixels
    return BreastImage(pixels, modality, laterality, view, pixel_spacing_mm)


def read_levels(path: Path) -> NDArray[np.float32]:
    """Grey levels (rows, columns), the file's whole range as [0, 1]. Raises OSError."""
    levels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if levels is None:
        raise OSError(f"{path} is not a readable picture")
    brightest = {1: 255.0, 2: 65535.0}.get(levels.dtype.itemsize, 1.0)
    return np.asarray(levels, np.float32) / np.float32(brightest)


def lesion_of(
    mask: NDArray[np.generic], kind: FindingKind, label: Label | None = None
) -> Lesion | None:
    """What is not 0 in a mask (rows, columns), as one lesion; None for an empty mask."""
    marked = (mask != 0).astype(np.uint8)
    if not marked.any():
        return None
    left, top, width, height = cv2.boundingRect(marked)
    return Lesion(kind, marked[top : top + height, left : left + width] > 0, (top, left), label)
