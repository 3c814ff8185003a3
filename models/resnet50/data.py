"""Training images from phantoms, with the label of the worst lesion in each.

In: a seed. Out: the tensor that `preprocess` makes in service, and its class. What must hold: seeds
below 1,000,000 train, 5,000,000 to 8,999,999 validate, and those from 9,000,000 on are seen by
nobody before acceptance.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from models.contract import BreastImage
from models.resnet50.preprocess import preprocess
from models.resnet50.spec import CLASSES, SPEC
from phantoms.mammogram import mammogram
from phantoms.truth import Laterality, View

# From a scanner's 0.23 mm to the detector's own 0.07 mm, weighted by what drawing them costs.
SIZES_PX = ((1024, 832), (1664, 1280), (2080, 1600), (3328, 2560))
SIZE_SHARES = (0.30, 0.45, 0.15, 0.10)


def make_sample(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Image uint8 (2, 256, 160) and class index int64 (1,)."""
    rng = np.random.default_rng([seed, 0x5250])
    laterality = cast(Laterality, "LR"[rng.integers(2)])
    view: View = ("CC", "MLO")[rng.integers(2)]
    size_px = SIZES_PX[rng.choice(len(SIZES_PX), p=SIZE_SHARES)]
    phantom = mammogram(seed, laterality, view, size_px)
    image = BreastImage(phantom.pixels, "MG", laterality, view, phantom.pixel_spacing_mm)
    tensor = preprocess(image).tensors[SPEC.inputs[0].name][0]
    return tensor, np.array([CLASSES.index(phantom.label)], np.int64)
