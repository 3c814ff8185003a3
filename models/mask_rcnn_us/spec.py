"""What the ultrasound Mask R-CNN takes and gives, and the numbers of its preprocessing."""

from __future__ import annotations

from models.contract import ModelSpec
from models.imaging import speckle
from models.mask_rcnn import tensors
from models.mask_rcnn.configuration import NetworkConfig

CONFIG = NetworkConfig(input_px=(512, 512))
"""512 px over the usual 40 to 60 mm of depth is 0.1 mm: finer than the probe's resolution."""

SMALLEST_IMAGE_PX = 64
WINDOW_PERCENTILES = (0.5, 99.5)

SPEC = ModelSpec(
    name="mask_rcnn_us",
    version="1",
    modality="US",
    task="detection",
    inputs=tensors.inputs(CONFIG),
    outputs=tensors.outputs(CONFIG),
    classes=("background", "mass"),
    thresholds={"mass": 0.8},
    preprocessing={
        "smallest_image_px": SMALLEST_IMAGE_PX,
        "window_percentiles": list(WINDOW_PERCENTILES),
        "despeckle_window_px": speckle.WINDOW_PX,
        "clahe_clip": speckle.CLAHE_CLIP,
        "clahe_tiles": speckle.CLAHE_TILES,
        "channels": ["grey", "despeckled", "local_contrast"],
    },
    max_batch_size=8,
)
