"""What the mammography Mask R-CNN takes and gives, and the numbers of its preprocessing."""

from __future__ import annotations

from typing import Literal

from models.contract import ModelSpec
from models.imaging import sifting
from models.mask_rcnn import tensors
from models.mask_rcnn.configuration import NetworkConfig

CONFIG = NetworkConfig(input_px=(1024, 1024), classes=3, shared_mask=True)

SMALLEST_IMAGE_PX = 64
WINDOW_PERCENTILES = (0.2, 99.8)  # of the breast's grey values (Min et al.)
ASSUMED_HEIGHT_MM = 240.0
"""Long side of an image whose spacing is unknown: the field of a 24 x 30 cm or 18 x 24 cm detector
as most archives export it. Half the true size still leaves masses within the anchors' range."""

PLAUSIBLE_BREAST_MM = (30.0, 400.0)
"""Long side of a breast. A spacing that puts it outside is wrong and is treated as unknown."""

DENOISING: Literal["none", "anscombe"] = "none"
"""Paper 004 denoises mammograms ("anscombe": `models.imaging.anscombe`). Reduced to 0.28 mm, the
noise of a pixel is already averaged over ten detector pixels; we train and serve without."""

SPEC = ModelSpec(
    name="mask_rcnn_mg",
    version="2.0",
    modality="MG",
    task="detection",
    inputs=tensors.inputs(CONFIG),
    outputs=tensors.outputs(CONFIG),
    classes=("background", "benign", "malignant"),
    thresholds={"mass": 0.73},
    preprocessing={
        "smallest_image_px": SMALLEST_IMAGE_PX,
        "window_percentiles": list(WINDOW_PERCENTILES),
        "working_spacing_mm": sifting.WORKING_SPACING_MM,
        "line_px": list(sifting.LINE_PX),
        "directions": sifting.DIRECTIONS,
        "assumed_height_mm": ASSUMED_HEIGHT_MM,
        "plausible_breast_mm": list(PLAUSIBLE_BREAST_MM),
        "for_processing": "thickness_evened",
        "denoising": DENOISING,
        "channels": ["grey", "sifted_small", "sifted_large"],
    },
    max_batch_size=4,
)
