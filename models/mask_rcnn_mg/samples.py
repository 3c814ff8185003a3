"""Training samples: real lesions, masses inserted into real normals, normals, and phantoms.

In: a seed and the cases of public folders. Out: a window of the network's input, through the very
preprocessing that serving uses, with the map of its masses. On a processor it is small: 90 x
72 mm cost a thirteenth of the whole input. Numpy only: these functions run in the processes of
the sample pool.
What must hold: the sample of a seed is always the same; no case outside the given ones is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from models.contract import BreastImage, FindingKind, ModelInputError
from models.datasets.cases import Case
from models.foreground import breast_mask
from models.imaging.patches import patches as patches_of
from models.insertion.inserted import NoRoomError
from models.insertion.masses import insert_mass
from models.mask_rcnn.labelled import CLASS_CODES, LESION, MOST_MASSES, Outline, Sample, labelled
from models.mask_rcnn.phantom_samples import mammography_sample
from models.mask_rcnn_mg.model import MODEL

_SECOND_MASS = 0.25  # of the images that get one
_SQUASHED_COLUMNS = (0.74, 0.90)  # columns per row of the detectors behind square pictures
_ASSUMED_SPACING_MM = (0.46, 0.62)  # of 448 rows of a detector 24 to 30 cm high, a little wider
_SCALE = 1.15  # largest change of size of an image whose spacing is known
_GAMMA = (0.65, 1.5)  # film and every vendor's curve differ by as much
_TRIES = 8
_PLACES, _DENSE_PX = 3, 31

Pixels = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Shares:
    """What a batch is made of, by weight; a source without cases is left out."""

    outlined: float = 0.0
    inserted: float = 0.62
    normal: float = 0.23
    phantom: float = 0.15


@dataclass(frozen=True, slots=True)
class Sources:
    """Cases by use. `backgrounds`: by set, each of which gives as many as any other.

    `window_px`: (rows, columns) of what is cut out of the network's input. `patches`: it is cut as
    paper 001 does (`models.imaging.patches`): mirrored and turned, half of them on a lesion.
    """

    outlined: tuple[Case, ...] = ()
    backgrounds: tuple[tuple[Case, ...], ...] = ()
    shares: Shares = field(default_factory=Shares)
    window_px: Pixels = (320, 256)
    patches: bool = False


def sources(
    sets: Sequence[Sequence[Case]], shares: Shares, window_px: Pixels, patches: bool = False
) -> Sources:
    """Sort mammograms by use: normals are backgrounds, those with an outlined mass are truth."""
    mammograms = [[case for case in cases if case.modality == "MG"] for cases in sets]
    outlined = tuple(case for cases in mammograms for case in cases if _masses(case))
    normals = [tuple(c for c in cases if c.truth.label == "normal") for cases in mammograms]
    return Sources(outlined, tuple(cases for cases in normals if cases), shares, window_px, patches)


def sample(seed: int, given: Sources) -> Sample:
    """The sample of a seed. Raises ModelInputError where no case shows a breast."""
    rng = np.random.default_rng((seed, 0x4D47))
    kind = _kind(given, rng)
    if kind == "phantom":
        return _part(mammography_sample(seed), given, rng)
    for _ in range(_TRIES):
        chosen = rng.integers(max(1, len(given.backgrounds)))
        cases = given.outlined if kind == "outlined" else given.backgrounds[chosen]
        case = cases[rng.integers(len(cases))]
        image, outlines = _varied(case, rng)
        try:
            # A background has none, and so has what is inserted: a drawn shape is no biopsy.
            classes = _classes(case)
            if kind == "inserted":
                image, outlines = _with_masses(image, rng)
            return _part(labelled(image, outlines, MODEL, mass_classes=classes), given, rng)
        except (ModelInputError, NoRoomError):
            continue
    raise ModelInputError(f"none of {_TRIES} cases drawn for seed {seed} can be used")


def _kind(given: Sources, rng: np.random.Generator) -> str:
    shares = {
        "outlined": given.shares.outlined if given.outlined else 0.0,
        "inserted": given.shares.inserted if given.backgrounds else 0.0,
        "normal": given.shares.normal if given.backgrounds else 0.0,
        "phantom": given.shares.phantom,
    }
    weights = np.array(list(shares.values()))
    return str(rng.choice(list(shares), p=weights / weights.sum()))


def _masses(case: Case) -> list[Outline]:
    return [
        (lesion.mask, lesion.offset_px)
        for lesion in case.truth.lesions or ()
        if lesion.kind is FindingKind.MASS
    ]


def _classes(case: Case) -> list[int]:
    """Of the masses, as far as the set tells it of each: code of `labelled`."""
    return [
        CLASS_CODES[lesion.label]
        for lesion in case.truth.lesions or ()
        if lesion.kind is FindingKind.MASS
    ]


def _varied(case: Case, rng: np.random.Generator) -> tuple[BreastImage, list[Outline]]:
    """The image with another grey curve and a slightly different size, and its masses."""
    image, masses = case.read(), _masses(case)
    pixels = np.power(image.pixels, np.float32(np.exp(rng.uniform(*np.log(_GAMMA)))))
    if image.pixel_spacing_mm is None:
        rows, columns = pixels.shape
        if rows == columns:
            columns = round(columns * rng.uniform(*_SQUASHED_COLUMNS))
            masses = [_squashed(mass, rows, columns) for mass in masses]
            pixels = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA)
        side = float(rng.uniform(*_ASSUMED_SPACING_MM)) * 448 / rows
        return replace(image, pixels=pixels, pixel_spacing_mm=(side, side)), masses
    factor = float(_SCALE ** rng.uniform(-1, 1))
    spacing = (image.pixel_spacing_mm[0] * factor, image.pixel_spacing_mm[1] * factor)
    return replace(image, pixels=pixels, pixel_spacing_mm=spacing), masses


def _squashed(mass: Outline, side: int, columns: int) -> Outline:
    """The outline on a square image of `side` whose width becomes `columns`."""
    crop, (top, left) = mass
    whole = np.zeros((side, side), np.float32)
    window = whole[top : top + crop.shape[0], left : left + crop.shape[1]]
    window[...] = crop[: window.shape[0], : window.shape[1]]
    narrow = cv2.resize(whole, (columns, side), interpolation=cv2.INTER_AREA)
    return narrow >= 0.5, (0, 0)


def _with_masses(image: BreastImage, rng: np.random.Generator) -> tuple[BreastImage, list[Outline]]:
    """One or two inserted masses."""
    breast = breast_mask(image.pixels)
    spacing_mm = image.pixel_spacing_mm[0] if image.pixel_spacing_mm else 1.0
    pixels, outlines = image.pixels, []
    for _ in range(2 if rng.random() < _SECOND_MASS else 1):
        inserted = insert_mass(pixels, breast, rng, spacing_mm)
        pixels = inserted.pixels
        outlines.append((inserted.mask, (0, 0)))
    return replace(image, pixels=pixels), outlines


def _part(whole: Sample, given: Sources, rng: np.random.Generator) -> Sample:
    """What is trained on of a whole input."""
    if given.patches:
        return _patch(whole, given.window_px[0], rng)
    return _window(whole, given.window_px, rng)


def _patch(whole: Sample, side_px: int, rng: np.random.Generator) -> Sample:
    """A mirrored and turned patch; the parts of its mask are numbered anew, and their class is
    known where all masses of the image are of one."""
    channels, labels, classes = whole
    codes = set(classes[np.unique(labels[labels > 0])].tolist())
    known = np.full_like(classes, codes.pop() if len(codes) == 1 else LESION)
    known[0] = classes[0]
    pixels = np.moveaxis(channels, 0, -1).astype(np.float32)
    drawn = next(patches_of(pixels, labels > 0, channels[0] > 0, rng, side_px))
    _, numbers = cv2.connectedComponents(drawn.mask.astype(np.uint8))
    numbers = np.minimum(numbers, MOST_MASSES)
    turned = np.rint(np.moveaxis(drawn.pixels, -1, 0)).astype(np.uint8)
    return np.ascontiguousarray(turned), numbers.astype(np.uint8), known


def _window(whole: Sample, side_px: Pixels, rng: np.random.Generator) -> Sample:
    """Cut the window out of the whole input."""
    channels, labels, classes = whole
    top, left = _corner(channels[0], labels, side_px, rng)
    rows, columns = slice(top, top + side_px[0]), slice(left, left + side_px[1])
    cut = np.ascontiguousarray(channels[:, rows, columns])
    return cut, np.ascontiguousarray(labels[rows, columns]), classes


def _corner(
    grey: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    side_px: Pixels,
    rng: np.random.Generator,
) -> Pixels:
    """Top left of a window with as much as possible of the masses, else around dense tissue."""
    spans = _dense(grey, rng)
    if labels.any():
        rows, columns = (np.flatnonzero(labels.any(axis=1 - axis)) for axis in (0, 1))
        spans = (int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1)
    corner = []
    for (first, last), side, size in zip(spans, side_px, grey.shape, strict=True):
        low, high = sorted((last - side, first))
        corner.append(min(max(0, int(rng.integers(low, high + 1))), size - side))
    return corner[0], corner[1]


def _dense(
    grey: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[tuple[int, int], tuple[int, int]]:
    """The brightest of a few places in the breast, as spans of one row and one column.

    What is mistaken for a mass lies in dense tissue; a window of fat teaches little.
    """
    places = np.argwhere(grey > 0)
    if not len(places):
        return (0, 1), (0, 1)
    smooth = cv2.blur(grey, (_DENSE_PX, _DENSE_PX))
    drawn = places[rng.integers(len(places), size=_PLACES)]
    row, column = max(drawn, key=lambda place: int(smooth[place[0], place[1]]))
    return (int(row), int(row) + 1), (int(column), int(column) + 1)
