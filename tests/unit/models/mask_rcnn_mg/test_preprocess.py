"""What reaches the network, whatever the image was meant for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.contract import BreastImage
from models.mask_rcnn import tensors
from models.mask_rcnn_mg.model import MODEL
from tests.unit.models.insertion.backgrounds import SPACING_MM, background


def test_for_processing_becomes_like_for_presentation() -> None:
    """Where thickness falls towards the skin, the grey channel no longer does."""
    pixels, _ = background()
    rows, columns = np.indices(pixels.shape)
    depth = 1.0 - np.hypot(columns / 180.0, (rows - 180.0) / 165.0)
    thin = pixels * np.sqrt(np.clip(depth / 0.2, 0.0, 1.0)).astype(np.float32)
    image = BreastImage(thin, "MG", None, None, (SPACING_MM, SPACING_MM))
    raw = MODEL.preprocess(replace(image, for_processing=True))
    shown = MODEL.preprocess(image)
    grey = [prepared.tensors[tensors.INPUT][0, 0] for prepared in (raw, shown)]
    inside = grey[1] > 0
    rim = inside & (np.cumsum(inside[:, ::-1], axis=1)[:, ::-1] < 30)
    middle = inside & ~rim
    ratio = [float(levels[rim].mean() / levels[middle].mean()) for levels in grey]
    assert ratio[1] < 0.75
    assert ratio[0] > ratio[1] + 0.15
