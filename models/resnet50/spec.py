"""What a worker and Triton must know of the ResNet50 classifier."""

from __future__ import annotations

from models.contract import ModelSpec, TensorSpec

CLASSES = ("normal", "benign", "malignant")

CHANNELS = 2  # grey levels, fine bright detail
ROWS_PX, COLUMNS_PX = 192, 120  # a compressed breast is taller than deep: 8:5 wastes little
# The network shrinks its input to this: what the last stage of training has seen. A run that ends
# with more rows changes it.
SERVED_ROWS_PX = 192
WINDOW_PERCENTILES = (1.0, 99.5)  # of the pixels inside the breast
WINDOW_TOP = 0.8  # where the upper one lands, so that calcium still stands out above it
DETAIL_FACTOR = 8  # detail is sought on a grid this much finer than the input
DETAIL_RADIUS_PX = 4  # of that grid, about 0.5 mm: wider than a speck, narrower than a mass
DETAIL_GAIN = 3.0

# What `clinical.vector` fills, in this order; zero where it is not known.
CLINICAL = ("age_known", "age", "cc", "mlo", "density_a", "density_b", "density_c", "density_d")
AGE_CENTRE_YEARS, AGE_SCALE_YEARS = 58.0, 10.0  # about mean and spread of a screened population

SPEC = ModelSpec(
    name="resnet50",
    version="3.1.0",
    modality="MG",
    task="classification",
    inputs=(
        TensorSpec("image", "UINT8", (CHANNELS, ROWS_PX, COLUMNS_PX)),
        TensorSpec("clinical", "FP32", (len(CLINICAL),)),
    ),
    outputs=(TensorSpec("probabilities", "FP32", (len(CLASSES),)),),
    classes=CLASSES,
    thresholds={"benign": 0.5, "malignant": 0.5},
    preprocessing={
        "rows_px": ROWS_PX,
        "columns_px": COLUMNS_PX,
        "window_percentiles": WINDOW_PERCENTILES,
        "window_top": WINDOW_TOP,
        "detail_factor": DETAIL_FACTOR,
        "detail_radius_px": DETAIL_RADIUS_PX,
        "detail_gain": DETAIL_GAIN,
        "chest_wall": "left",  # right breasts are mirrored: every image reads one way
        "clinical": CLINICAL,
        "age_centre_years": AGE_CENTRE_YEARS,
        "age_scale_years": AGE_SCALE_YEARS,
        "for_processing": "thickness_evened",
    },
    max_batch_size=4,
)
