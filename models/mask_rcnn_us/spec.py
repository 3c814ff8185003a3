"""What the ultrasound Mask R-CNN takes and gives, and the numbers of its preprocessing."""

from __future__ import annotations

from models.contract import ModelSpec
from models.imaging import speckle
from models.mask_rcnn import tensors
from models.mask_rcnn.configuration import NetworkConfig

CONFIG = NetworkConfig(
    input_px=(256, 256),
    width=0.5,
    channels=64,
    hidden=192,
    classes=3,
    shared_mask=True,
    semantic=True,
    image_head=True,
    before_nms=100,
    proposals=64,
    detections=16,
)
"""256 px over the usual 40 to 60 mm of depth is 0.2 mm. Half of a ResNet-18's width: 600 images of
patients fill no more, and a processor without a GPU can train and serve it."""

SMALLEST_IMAGE_PX = 64
WINDOW_PERCENTILES = (0.5, 99.5)

SPEC = ModelSpec(
    name="mask_rcnn_us",
    version="3.1",
    modality="US",
    task="detection",
    inputs=tensors.inputs(CONFIG),
    outputs=tensors.outputs(CONFIG),
    classes=("background", "benign", "malignant"),
    thresholds={"mass": 0.25},
    preprocessing={
        "smallest_image_px": SMALLEST_IMAGE_PX,
        "window_percentiles": list(WINDOW_PERCENTILES),
        "despeckle_window_px": speckle.WINDOW_PX,
        "despeckle_excess": speckle.SPECKLE_EXCESS,
        "clahe_clip": speckle.CLAHE_CLIP,
        "clahe_tiles": speckle.CLAHE_TILES,
        "channels": ["grey", "despeckled", "local_contrast"],
    },
    max_batch_size=8,
)
