"""Where an image lies on a network's input, and the exact way back.

Coordinates are continuous: pixel column 3 covers x = 3 to 4. Both axes scale on their own, because
a resampled size is a whole number of pixels. A placement is all that postprocessing needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Placement:
    """A crop of the image, resampled to `resized_px`, with its corner at `corner_px` of the input.

    `image_px`: (rows, columns) of the whole image. `crop_px`: (top, left, height, width) in it.
    `resized_px`: (rows, columns) of the crop on the input, whose own are `input_px`.
    """

    image_px: tuple[int, int]
    crop_px: tuple[int, int, int, int]
    resized_px: tuple[int, int]
    corner_px: tuple[int, int]
    input_px: tuple[int, int]

    def __post_init__(self) -> None:
        if min(*self.image_px, *self.crop_px[2:], *self.resized_px) < 1:
            raise ValueError(f"{self} has an empty side")
        for corner, size, limit in zip(self.corner_px, self.resized_px, self.input_px, strict=True):
            if corner < 0 or corner + size > limit:
                raise ValueError(f"{self} does not fit its input")

    @property
    def scale(self) -> tuple[float, float]:
        """Input px per image px: (rows, columns)."""
        return self.resized_px[0] / self.crop_px[2], self.resized_px[1] / self.crop_px[3]

    def resize(self, image: NDArray[Scalar]) -> NDArray[Scalar]:
        """Crop and resample a (rows, columns) array of the image: `resized_px`, not yet placed."""
        top, left, height, width = self.crop_px
        crop = np.ascontiguousarray(image[top : top + height, left : left + width])
        shrinks = self.resized_px[0] < height
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(crop, self.resized_px[::-1], interpolation=method))

    def resize_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """As `resize`, for bool: a pixel is True where at least half of its area is."""
        return self.resize(mask.astype(np.float32)) >= 0.5

    def place(self, resized: NDArray[Scalar]) -> NDArray[Scalar]:
        """Lay a resized array (rows, columns, ...) on an input of zeros."""
        canvas = np.zeros((*self.input_px, *resized.shape[2:]), resized.dtype)
        top, left = self.corner_px
        canvas[top : top + self.resized_px[0], left : left + self.resized_px[1]] = resized
        return canvas

    def box_to_image(self, box: tuple[float, float, float, float]) -> NDArray[np.float64]:
        """A box (x0, y0, x1, y1) of the input in continuous image coordinates, not clipped."""
        rows_scale, columns_scale = self.scale
        x = (np.array([box[0], box[2]], float) - self.corner_px[1]) / columns_scale
        y = (np.array([box[1], box[3]], float) - self.corner_px[0]) / rows_scale
        x += self.crop_px[1]
        y += self.crop_px[0]
        return np.array([x[0], y[0], x[1], y[1]])


def letterbox(image_px: tuple[int, int], input_px: tuple[int, int]) -> Placement:
    """The whole image, as large as the input allows with its aspect kept, in the middle."""
    scale = min(input_px[0] / image_px[0], input_px[1] / image_px[1])
    resized = (
        min(input_px[0], max(1, round(image_px[0] * scale))),
        min(input_px[1], max(1, round(image_px[1] * scale))),
    )
    corner = ((input_px[0] - resized[0]) // 2, (input_px[1] - resized[1]) // 2)
    return Placement(image_px, (0, 0, *image_px), resized, corner, input_px)
