"""From a mammogram to the image that the classifier sees.

In: a `BreastImage`. Out: uint8 (1, 2, ROWS_PX, COLUMNS_PX): the breast, scaled to fit with its
chest wall at the left edge. Channel 0 holds grey levels. Channel 1 holds fine bright detail, which
scaling to a millimetre would average away: specks of calcium, spicules. The thickness of an image
For Processing is evened out first. Training and serving both come through here. Only numpy and
OpenCV.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.contract import BreastImage, ModelInputError, Prepared
from models.foreground import Box, breast_box, breast_mask, windowed
from models.imaging.intensity import thickness_evened
from models.resnet50.clinical import vector
from models.resnet50.spec import (
    COLUMNS_PX,
    DETAIL_FACTOR,
    DETAIL_GAIN,
    DETAIL_RADIUS_PX,
    ROWS_PX,
    SPEC,
    WINDOW_PERCENTILES,
    WINDOW_TOP,
)

# Below this the network would look at interpolation, not at a breast.
MIN_BREAST_PX = 48


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the breast stands in the image and how it reaches the network's grid."""

    mask: NDArray[np.bool_]
    box: Box
    mirrored: bool

    def place(self, array: NDArray[np.uint8], factor: int = 1) -> NDArray[np.uint8]:
        """Crop, mirror and fit an image-sized array (rows, columns) to `factor` times the input."""
        crop = self.box.crop(array)
        turned = crop[:, ::-1] if self.mirrored else crop
        return letterbox(turned, (ROWS_PX * factor, COLUMNS_PX * factor))


def preprocess(image: BreastImage) -> Prepared:
    """The inputs of one mammogram. Raises ModelInputError; the answer is read without geometry."""
    _, tensor = framed(image)
    facts = vector(image)[np.newaxis]
    return Prepared({SPEC.inputs[0].name: tensor[np.newaxis], SPEC.inputs[1].name: facts}, None)


def framed(image: BreastImage) -> tuple[Frame, NDArray[np.uint8]]:
    """The frame, and the image as the network sees it: uint8 (2, rows, columns)."""
    mask, box = find_breast(image)
    levels = np.zeros(mask.shape, np.uint8)
    box.crop(levels)[:] = windowed(
        box.crop(thickness_evened(image, mask)), box.crop(mask), WINDOW_PERCENTILES, WINDOW_TOP
    )
    frame = Frame(mask, box, chest_wall_is_right(image, box.crop(levels)))
    fine = frame.place(levels, DETAIL_FACTOR)
    grey = cv2.resize(fine, (COLUMNS_PX, ROWS_PX), interpolation=cv2.INTER_AREA)
    return frame, np.stack([grey, detail(fine)])


def find_breast(image: BreastImage) -> tuple[NDArray[np.bool_], Box]:
    """Mask and box of the breast. Raises ModelInputError where `preprocess` would."""
    mask = breast_mask(image.pixels)
    box = breast_box(mask)
    if box.height < MIN_BREAST_PX or box.width < MIN_BREAST_PX:
        raise ModelInputError(f"a breast of {box.height} x {box.width} px is too small")
    return mask, box


def chest_wall_is_right(image: BreastImage, levels: NDArray[np.uint8]) -> bool:
    """By the image itself, for tags may be wrong: the breast is tallest at the chest wall."""
    heights = np.count_nonzero(levels, axis=0)
    quarter = max(1, len(heights) // 4)
    left, right = heights[:quarter].sum(), heights[-quarter:].sum()
    if left == right and image.laterality is not None:
        return image.laterality == "R"
    return bool(right > left)


def letterbox(levels: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale (rows, columns) to fit `shape`, aspect kept, at the left edge, centred in rows."""
    scale = min(shape[0] / levels.shape[0], shape[1] / levels.shape[1])
    rows = min(shape[0], max(1, round(levels.shape[0] * scale)))
    columns = min(shape[1], max(1, round(levels.shape[1] * scale)))
    method = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
    framed = np.zeros(shape, np.uint8)
    top = (shape[0] - rows) // 2
    framed[top : top + rows, :columns] = cv2.resize(levels, (columns, rows), interpolation=method)
    return framed


def detail(fine: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Brightest fine structure under each output pixel: white top-hat, then maximum."""
    side = 2 * DETAIL_RADIUS_PX + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    bright = cv2.morphologyEx(fine, cv2.MORPH_TOPHAT, disc)
    blocks = bright.reshape(ROWS_PX, DETAIL_FACTOR, COLUMNS_PX, DETAIL_FACTOR)
    peak = blocks.max(axis=(1, 3)).astype(np.float32)
    result: NDArray[np.uint8] = np.minimum(peak * DETAIL_GAIN, 255.0).astype(np.uint8)
    return result
