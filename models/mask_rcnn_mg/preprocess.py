"""From a mammogram to the pseudo-colour square that the network sees.

In: a `BreastImage`. Out: FP32 (1, 3, 1024, 1024) and its placement. The breast is cut out,
resampled to 0.28 mm, sifted at two scales and laid on the square, the chest wall at its edge. An
image For Processing is first made like one For Presentation.
What must hold: a mass has the same size in input pixels on every machine, unless the breast is
larger than 287 mm; then it is shrunk to fit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.contract import BreastImage, ModelInputError, Prepared
from models.foreground import Box, breast_box, breast_mask, windowed
from models.imaging.anscombe import denoise
from models.imaging.geometry import Placement
from models.imaging.intensity import presented
from models.imaging.sifting import WORKING_SPACING_MM, pseudo_colour
from models.imaging.usable import refuse_unusable
from models.mask_rcnn import tensors
from models.mask_rcnn_mg.spec import (
    ASSUMED_HEIGHT_MM,
    CONFIG,
    DENOISING,
    PLAUSIBLE_BREAST_MM,
    SMALLEST_IMAGE_PX,
    WINDOW_PERCENTILES,
)


def preprocess(image: BreastImage) -> Prepared:
    """Tensors of one mammogram. Raises ModelInputError: too small, not finite, no breast in it."""
    pixels = image.pixels
    refuse_unusable(pixels, SMALLEST_IMAGE_PX, "a mammogram")
    mask = breast_mask(pixels)
    placement = place_breast(image, mask)
    ready = presented(image, mask)
    if DENOISING == "anscombe":
        ready = denoise(ready)
    grey, breast = working_image(ready, mask, placement)
    colour = placement.place(pseudo_colour(grey, breast))
    return Prepared({tensors.INPUT: tensors.as_input(colour)}, placement)


def working_image(
    pixels: NDArray[np.float32], mask: NDArray[np.bool_], placement: Placement
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The breast's box on the working grid: grey uint8 and mask bool, both (rows, columns)."""
    box = Box(*placement.crop_px)
    window = windowed(box.crop(pixels), box.crop(mask), WINDOW_PERCENTILES, top=1.0)
    canvas = np.zeros(pixels.shape, np.uint8)
    canvas[box.top : box.top + box.height, box.left : box.left + box.width] = window
    breast = placement.resize_mask(mask)
    if not breast.any():
        raise ModelInputError("the breast vanishes on the working grid")
    return placement.resize(canvas), breast


def place_breast(image: BreastImage, mask: NDArray[np.bool_]) -> Placement:
    """Where the box of the breast goes on the square: chest wall at the edge, centred in y."""
    box = breast_box(mask)
    rows_mm, columns_mm = _spacing_mm(image, box)
    side = CONFIG.input_px[0]
    height = box.height * rows_mm / WORKING_SPACING_MM
    width = box.width * columns_mm / WORKING_SPACING_MM
    shrink = min(1.0, side / max(height, width))
    resized = (
        min(side, max(1, round(height * shrink))),
        min(side, max(1, round(width * shrink))),
    )
    left = 0 if _chest_wall_is_left(mask, box) else side - resized[1]
    corner = ((side - resized[0]) // 2, left)
    rows, columns = image.pixels.shape
    crop = (box.top, box.left, box.height, box.width)
    return Placement((rows, columns), crop, resized, corner, CONFIG.input_px)


def _spacing_mm(image: BreastImage, box: Box) -> tuple[float, float]:
    low, high = PLAUSIBLE_BREAST_MM
    if image.pixel_spacing_mm is not None:
        rows_mm, columns_mm = image.pixel_spacing_mm
        if low <= max(box.height * rows_mm, box.width * columns_mm) <= high:
            return rows_mm, columns_mm
    assumed = ASSUMED_HEIGHT_MM / max(image.pixels.shape)
    return assumed, assumed


def _chest_wall_is_left(mask: NDArray[np.bool_], box: Box) -> bool:
    """The breast is tallest at the chest wall; pixels tell more than a tag that may be wrong."""
    inside = box.crop(mask)
    strip = max(1, box.width // 10)
    return bool(inside[:, :strip].sum() >= inside[:, -strip:].sum())
