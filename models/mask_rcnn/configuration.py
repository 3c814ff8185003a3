"""The sizes of one Mask R-CNN, without torch: specs, training and export read the same values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MASK_PX = 28
"""Side of a predicted mask, in cells over its box (He et al., figure 4)."""

IMAGE_CLASSES = ("normal", "benign", "malignant")
"""Index order of the image's own probabilities, where a network has such a head."""


@dataclass(frozen=True, slots=True)
class AnchorPlan:
    """Anchors of pyramid levels P3 to P6, whose strides follow from that of P2.

    `sizes_px`: per level, the square roots of anchor areas; two per level, half an octave apart.
    `ratios`: height / width. P2 has none: the smallest mass looked for, 15 mm2, is 15 px wide in
    the mammogram's input, and P2 would quadruple the anchors. P2 still feeds boxes and masks.
    """

    sizes_px: tuple[tuple[float, ...], ...] = ((16, 24), (32, 48), (64, 96), (128, 192))
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)

    @property
    def per_cell(self) -> int:
        return len(self.sizes_px[0]) * len(self.ratios)


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """One network. `input_px`: (height, width). `classes` counts the background.

    The options of Kumar et al. ("refined") against He et al. ("original"):
    `finest_stride_px`: stride of P2. 4 is original; 2, without the ResNet's max pooling, sees edges
    twice as finely (Kumar et al., section II-C, change a, which names no value).
    `roi_levels` "assigned": each box reads the one level that fits its size (Lin et al., equation
    1); "all": the mean over all four levels, multi-scale RoIs (change b; the fusion is that of Liu
    et al., "Path Aggregation Network for Instance Segmentation", section 3.2, with a mean).
    `mask_head` "original": four 3x3 convolutions of `channels` and one transposed convolution (He
    et al.). "refined": four convolutions and two transposed ones, 64 channels each (II-C-2).
    The third change, the Renyi entropy, is a loss: `models.mask_rcnn.losses.LossConfig`.

    Ours: `width` scales the ResNet's channels; `shared_mask`: one mask for all classes;
    `semantic`: a map of lesion against background is predicted first and read by every box (Chen
    et al., "Hybrid Task Cascade for Instance Segmentation", section 3.3); `image_head`: the
    image's probability of each of `IMAGE_CLASSES`.

    `before_nms`: proposals kept per level; `proposals`: kept after suppression; `detections`: rows
    of the outputs; `score_floor`: below it a detection is not reported at all.
    """

    input_px: tuple[int, int]
    depth: Literal[18, 34, 50, 101] = 18
    width: float = 1.0
    channels: int = 128
    hidden: int = 256
    classes: int = 2
    finest_stride_px: Literal[2, 4] = 4
    roi_levels: Literal["assigned", "all"] = "assigned"
    mask_head: Literal["original", "refined"] = "refined"
    shared_mask: bool = False
    semantic: bool = False
    image_head: bool = False
    anchors: AnchorPlan = AnchorPlan()
    before_nms: int = 200
    proposals: int = 128
    proposal_overlap: float = 0.7
    detections: int = 32
    detection_overlap: float = 0.3
    score_floor: float = 0.05

    def __post_init__(self) -> None:
        if any(side % self.strides_px[-1] for side in self.input_px):
            raise ValueError(f"{self.input_px} px are no multiples of {self.strides_px[-1]}")
        if self.classes < 2:
            raise ValueError("a detector needs the background and at least one class")

    @property
    def strides_px(self) -> tuple[int, ...]:
        """Strides of P2 to P6."""
        return tuple(self.finest_stride_px * 2**level for level in range(5))

    @property
    def mask_classes(self) -> int:
        """Masks per box."""
        return 1 if self.shared_mask else self.classes - 1
