"""Pictures that are not DICOM: grey levels, and the lesions that mask pictures show.

In: files that OpenCV reads (PNG, JPEG, PGM, TIFF). Out: a `BreastImage`, or a `Lesion` cut out of a
mask. What must hold: 0 is air and 1 the brightest, whatever the file's depth or polarity.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.contract import BreastImage, FindingKind, Laterality, Modality
from models.datasets.cases import Label, Lesion
from models.imaging.intensity import is_inverted

PICTURES = (".png", ".jpg", ".jpeg", ".pgm", ".bmp", ".tif", ".tiff", ".webp")

_FEWEST_BITS = 10  # of a picture with more than 8

_COLOUR_AXES, _COLOURS = 3, 3  # rows, columns, and blue, green, red before an alpha channel

_LOSSY, _LOSSY_LEVEL = (".jpg", ".jpeg"), 127

# Of the EXIF orientations those that turn a picture by a quarter (EXIF 2.32, tag 0x0112).
_ORIENTATION, _QUARTER_TURNS = 0x0112, (5, 6, 7, 8)


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
    """Grey levels (rows, columns), the file's whole range as [0, 1]. Raises OSError.

    Files of 16 bits often hold 10 or 12: the range is that of as many bits as the brightest needs.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")
    data = path.read_bytes()
    if _is_cut_short(data):
        raise OSError(f"{path} is not a readable picture: its end is missing")
    levels = decoded(data, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if levels is None:
        raise OSError(f"{path} is not a readable picture")
    return np.asarray(levels, np.float32) / np.float32(_brightest(levels))


def decoded(data: bytes, flags: int) -> NDArray[Any] | None:
    """The picture in a file's bytes; None where there is none.

    Instead of `cv2.imread`, which ends the process at a path that is not UTF-8.
    """
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error:  # more pixels than OpenCV takes, or than there is memory for
        return None


def _is_cut_short(data: bytes) -> bool:
    """Whether a JPEG lacks its end: OpenCV fills what is missing with grey and says nothing.

    In coded data 0xFF is followed by 0 or a restart marker, so that the end after the last scan's
    start is the picture's own (ISO/IEC 10918-1, B.1.1.2).
    """
    is_jpeg = data.startswith(b"\xff\xd8")
    return is_jpeg and data.rfind(b"\xff\xd9") <= data.rfind(b"\xff\xda")


def _brightest(levels: NDArray[np.generic]) -> float:
    """The level that is 1: of the depth in bits, or of the values where they are not whole."""
    if levels.dtype == np.uint8:
        return 255.0
    highest = float(levels.max())
    if levels.dtype.kind in "iu":
        return float(2 ** max(_FEWEST_BITS, int(highest).bit_length()) - 1)
    return max(1.0, highest)


def size_of(path: Path) -> tuple[int, int] | None:
    """(rows, columns) that `read_levels` would give; None where the header cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about large pictures and odd headers
            with Image.open(path) as picture:
                turned = picture.getexif().get(_ORIENTATION) in _QUARTER_TURNS
                size = picture.height, picture.width
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return size[::-1] if turned else size


def files_of(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Files with one of the suffixes in either case, by name; without what systems hide there.

    Links whose file is elsewhere, or not here yet, are among them: their reader tells.
    """
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes and not is_hidden(path.name) and _is_for_reading(path)
    )


def _is_for_reading(path: Path) -> bool:
    return path.is_file() or (path.is_symlink() and not path.exists())


def folders_of(folder: Path) -> list[Path]:
    """Folders in a folder, by name; without what systems hide there."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))


def files_below(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    """As `files_of`, at any depth; a linked folder is followed, once."""
    seen: set[str] = set()
    for where, below, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(where)
        below[:] = [] if real in seen else sorted(n for n in below if not is_hidden(n))
        if real not in seen:
            yield from (
                Path(where, name)
                for name in sorted(names)
                if Path(name).suffix.lower() in suffixes and not is_hidden(name)
            )
        seen.add(real)


def is_hidden(name: str) -> bool:
    """macOS puts `._NAME` beside each NAME on foreign disks, and `__MACOSX` into archives."""
    return name.startswith(".") or name == "__MACOSX"


def read_mask(path: Path) -> NDArray[np.bool_] | None:
    """What a mask picture marks (rows, columns); None where it is no readable picture.

    Whatever its depth and colours, all that is not black and not transparent is meant. Compression
    with loss blurs the edge, so that there one half of the range decides. Raises OSError.
    """
    levels = decoded(path.read_bytes(), cv2.IMREAD_UNCHANGED)
    if levels is None:
        return None
    channels = levels if levels.ndim == _COLOUR_AXES else levels[..., np.newaxis]
    colours = channels[..., :_COLOURS]
    marked = (colours > (_LOSSY_LEVEL if path.suffix.lower() in _LOSSY else 0)).any(axis=2)
    if channels.shape[2] > _COLOURS:
        marked &= channels[..., _COLOURS] != 0
    return np.asarray(marked)


def lesion_of(
    mask: NDArray[np.generic], kind: FindingKind, label: Label | None = None
) -> Lesion | None:
    """What is not 0 in a mask (rows, columns), as one lesion; None for an empty mask."""
    marked = (mask != 0).astype(np.uint8)
    if not marked.any():
        return None
    left, top, width, height = cv2.boundingRect(marked)
    return Lesion(kind, marked[top : top + height, left : left + width] > 0, (top, left), label)
