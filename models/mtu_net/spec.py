"""What a worker and Triton must know of MTU-Net.

A tile is 256 x 256 px, the input size of Alghamdi 2024. The paper shrinks whole mammograms to it,
and a calcification of 0.3 mm to a quarter of a pixel with them; here a tile is 256 px of a grid of
fixed 0.15 mm pitch, and a mammogram is 10 to 20 overlapping tiles.
"""

from __future__ import annotations

from models.contract import ModelSpec, TensorSpec

CLASSES = ("mc", "bac", "background")

TILE_PX = 256
STRIDE_PX = 224  # 32 px of overlap: what the first two levels of the U-Net see
WORKING_SPACING_MM = 0.15  # the smallest speck worth reporting covers 2 px
MIN_BREAST_FRACTION = 0.02  # a tile with less breast than this is not sent
WINDOW_PERCENTILES = (1.0, 99.5)  # of the pixels inside the breast
WINDOW_TOP = 0.8  # where the upper one lands, so that calcium still stands out above it
# The narrowest window of an evened image For Processing: 1.3 to 1.6 units of attenuation on
# phantoms, where air and the densest tissue are 3 to 3.8 apart. A narrower one shows the noise.
PROCESSING_RANGE = 0.35
ASSUMED_BREAST_HEIGHT_MM = 165.0  # of an image that does not tell its pixel spacing

SPEC = ModelSpec(
    name="mtu_net",
    version="1.2.0",
    modality="MG",
    task="segmentation",
    inputs=(TensorSpec("tiles", "UINT8", (1, TILE_PX, TILE_PX)),),
    outputs=(TensorSpec("probabilities", "UINT8", (len(CLASSES), TILE_PX, TILE_PX)),),
    classes=CLASSES,
    thresholds={"mc": 0.72, "bac": 0.9},
    preprocessing={
        "tile_px": TILE_PX,
        "stride_px": STRIDE_PX,
        "working_spacing_mm": WORKING_SPACING_MM,
        "min_breast_fraction": MIN_BREAST_FRACTION,
        "window_percentiles": WINDOW_PERCENTILES,
        "window_top": WINDOW_TOP,
        "assumed_breast_height_mm": ASSUMED_BREAST_HEIGHT_MM,
        "for_processing": "thickness_evened",
        "processing_range": PROCESSING_RANGE,
    },
    max_batch_size=8,
)
