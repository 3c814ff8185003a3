"""The value between decoding and everything after it: one source image, header and pixels.

Made by `workers.dicom.decoding.read_source`; read by inference, segmentation, report and pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pydicom

from models.contract import BreastImage

SpacingSource = Literal[
    "PixelSpacing", "ImagerPixelSpacing", "ImagerPixelSpacing/magnification", "US region"
]


@dataclass(frozen=True, slots=True)
class SourceImage:
    """One received image.

    `dataset`: as received, without PixelData. `image`: the decoded frame. `spacing_source`: where
    `image.pixel_spacing_mm` comes from, None where that is None. `frame_number`: which frame the
    pixels are, 1-based; 1 for a single-frame object (PS3.3 C.7.6.6).
    """

    dataset: pydicom.Dataset
    image: BreastImage
    spacing_source: SpacingSource | None
    frame_number: int = 1
