"""Training tiles from phantoms: the specks, arteries and quiet places of synthetic mammograms.

In: a seed. Out: tiles exactly as `preprocess` cuts them in service, with the truth of each pixel.
What must hold: seeds below 1,000,000 train, 5,000,000 to 8,999,999 validate, and those from
9,000,000 on are seen by nobody before acceptance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from models.contract import BreastImage
from models.imaging.intensity import stretched
from models.imaging.whole import whole_image
from models.mtu_net.preprocess import Grid, cut, working_image
from models.mtu_net.spec import TILE_PX
from phantoms.mammogram import mammogram
from phantoms.truth import Laterality, LesionRequest, Phantom, View

Sample = tuple[NDArray[np.uint8], NDArray[np.uint8]]

TILES = 6  # of each phantom: drawing it costs more than a few more views of it

# Truth is one byte per pixel, one bit per class.
BITS = {"calcification_cluster": 1, "arterial_calcification": 2}

# From a scanner's 0.23 mm to the detector's own 0.07 mm, weighted by what drawing them costs.
SIZES_PX = ((1024, 832), (1664, 1280), (2080, 1600), (3328, 2560))
SIZE_SHARES = (0.30, 0.45, 0.15, 0.10)

WHOLE_SHARE = 0.25

PROCESSING_SHARE = (
    0.4  # of the phantoms are looked at For Processing, of which no real ones are at hand
)
DETECTOR_VALUES = 2**14  # of the signal For Processing; its logarithm depends on it a little

# How far a tile's centre strays from a lesion's, so that lesions are also seen cut off.
JITTER_PX = 100


def make_sample(seed: int) -> Sample:
    """Tiles uint8 (6, 256, 256) and truth uint8 (6, 256, 256), bits as in BITS."""
    rng = np.random.default_rng([seed, 0x4D43])
    phantom = draw_phantom(seed, rng)
    image = (
        for_processing(phantom) if rng.random() < PROCESSING_SHARE else for_presentation(phantom)
    )
    return tiles_of(image, phantom_masks(phantom), rng)


def for_presentation(phantom: Phantom) -> BreastImage:
    """The image as a device shows it."""
    return BreastImage(
        phantom.pixels, "MG", phantom.laterality, phantom.view, phantom.pixel_spacing_mm
    )


def for_processing(phantom: Phantom) -> BreastImage:
    """The same exposure as its detector sends it. Raises ValueError without a raw signal."""
    if phantom.raw is None:
        raise ValueError("this phantom has no raw detector signal")
    signal = phantom.raw.astype(np.float64) * (DETECTOR_VALUES - 1)
    pixels = stretched(-np.log1p(signal))
    image = for_presentation(phantom)
    return replace(image, pixels=pixels, for_processing=True)


def phantom_masks(phantom: Phantom) -> dict[str, NDArray[np.bool_]]:
    """Masks (rows, columns) of a phantom's calcium by the kinds of BITS."""
    full = {kind: np.zeros(phantom.pixels.shape, np.bool_) for kind in BITS}
    for lesion in phantom.lesions:
        if lesion.kind in full:
            (top, left), (height, width) = lesion.offset_px, lesion.mask.shape
            full[lesion.kind][top : top + height, left : left + width] |= lesion.mask
    return full


def tiles_of(
    image: BreastImage, masks: Mapping[str, NDArray[np.bool_]], rng: np.random.Generator
) -> Sample:
    """Tiles of an image and their truth, from masks (rows, columns) by the kinds of BITS."""
    pixels, breast, grid = working_image(image)
    truth = working_truth(masks, grid, pixels.shape)
    origins = [_origin(rng, truth, breast, wanted) for wanted in range(TILES)]
    return (
        np.stack([cut(pixels, origin) for origin in origins]),
        np.stack([cut(truth, origin) for origin in origins]),
    )


def whole_of(image: BreastImage, masks: Mapping[str, NDArray[np.bool_]]) -> Sample:
    """The image squeezed to one tile, and its truth, as Alghamdi 2024 has them (section III.B).

    A pixel is true where a quarter of it is: deposits of an artery are thinner than a pixel.
    """
    levels, placement = whole_image(image.pixels)
    truth = np.zeros(levels.shape, np.uint8)
    for kind, mask in masks.items():
        share = placement.resize(mask.astype(np.float32))
        truth |= np.where(share >= WHOLE_SHARE, BITS[kind], 0).astype(np.uint8)
    return levels[np.newaxis], truth[np.newaxis]


def draw_phantom(seed: int, rng: np.random.Generator) -> Phantom:
    """A mammogram rich in calcium: clusters, arteries, both, and one in six with neither."""
    clusters, arteries, masses = (int(rng.random() < chance) for chance in (0.6, 0.55, 0.3))
    requests = (
        [LesionRequest("calcification_cluster")] * (clusters + int(rng.random() < 0.3) * clusters)
        + [LesionRequest("arterial_calcification")] * arteries
        + [LesionRequest("mass")] * masses
    )
    laterality = cast(Laterality, "LR"[rng.integers(2)])
    view: View = ("CC", "MLO")[rng.integers(2)]
    size_px = SIZES_PX[rng.choice(len(SIZES_PX), p=SIZE_SHARES)]
    return mammogram(seed, laterality, view, size_px, requests)


def working_truth(
    masks: Mapping[str, NDArray[np.bool_]], grid: Grid, padded: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Truth bits on the working grid, padded to the size of the working image."""
    truth = np.zeros(padded, np.uint8)
    rows, columns = grid.shape
    for kind, mask in masks.items():
        part = grid.box.crop(mask).astype(np.uint8) * 255
        share = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
        truth[:rows, :columns] |= np.where(share >= 128, BITS[kind], 0).astype(np.uint8)
    return truth


def _origin(
    rng: np.random.Generator,
    truth: NDArray[np.uint8],
    breast: NDArray[np.bool_],
    wanted: int,
) -> tuple[int, int]:
    """Two tiles near clusters, two near arteries, two anywhere in the breast."""
    bit = (1, 1, 2, 2, 0, 0)[wanted]
    places = np.argwhere(truth & bit) if bit else np.argwhere(breast)
    if not len(places):
        places = np.argwhere(breast)
    centre = places[rng.integers(len(places))]
    corner = centre - TILE_PX // 2 + rng.integers(-JITTER_PX, JITTER_PX + 1, 2)
    limit = np.array(truth.shape) - TILE_PX
    row, column = np.clip(corner, 0, limit)
    return int(row), int(column)
