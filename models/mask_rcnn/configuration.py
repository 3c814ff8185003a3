"""The sizes of one Mask R-CNN, without torch: specs, training and export read the same values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MASK_PX = 28
"""Side of a predicted mask, in cells over its box (He et al., figure 4)."""

DOWNSAMPLING = 64
"""Stride of the coarsest pyramid level: both input sides are multiples of it."""


@dataclass(frozen=True, slots=True)
class AnchorPlan:
    """Anchors of pyramid levels P3 to P6.

    `sizes_px`: per level, the square roots of anchor areas; two per level, half an octave apart.
    `ratios`: height / width. P2 has none: the smallest mass looked for, 15 mm2, is 15 px wide in
    the mammogram's input, and P2 would quadruple the anchors. P2 still feeds boxes and masks.
    """

    strides_px: tuple[int, ...] = (8, 16, 32, 64)
    sizes_px: tuple[tuple[float, ...], ...] = ((16, 24), (32, 48), (64, 96), (128, 192))
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)

    @property
    def per_cell(self) -> int:
        return len(self.sizes_px[0]) * len(self.ratios)


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """One network. `input_px`: (height, width). `classes` counts the background.

    `mask_head` "original": four 3x3 convolutions of `channels` and one transposed convolution (He
    et al.). "refined": four convolutions and two transposed ones, 64 channels each (Kumar et al.,
    "Refined Mask R-CNN" for mammography and ultrasound on an embedded computer).
    `before_nms`: proposals kept per level; `proposals`: kept after suppression; `detections`: rows
    of the outputs; `score_floor`: below it a detection is not reported at all.
    """

    input_px: tuple[int, int]
    depth: Literal[18, 34, 50, 101] = 18
    channels: int = 128
    hidden: int = 256
    classes: int = 2
    mask_head: Literal["original", "refined"] = "refined"
    anchors: AnchorPlan = AnchorPlan()
    before_nms: int = 200
    proposals: int = 128
    proposal_overlap: float = 0.7
    detections: int = 32
    detection_overlap: float = 0.3
    score_floor: float = 0.05

    def __post_init__(self) -> None:
        if any(side % DOWNSAMPLING for side in self.input_px):
            raise ValueError(f"input sides {self.input_px} are not multiples of {DOWNSAMPLING}")
        if self.classes < 2:
            raise ValueError("a detector needs the background and at least one class")
