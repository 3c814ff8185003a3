"""An image with its masses as the network is trained on it; numpy only.

In: an image and the outlines of its masses, in its own pixels. Out: the network's channels, through
the very preprocessing that serving uses, and a map of which pixel belongs to which mass.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.contract import BreastImage, Model
from models.imaging.geometry import Placement
from models.mask_rcnn import tensors

Bytes = NDArray[np.uint8]
Outline = tuple[NDArray[np.bool_], tuple[int, int]]
"""A bool crop (height, width) and the image pixel (row, column) of its top left corner."""


def labelled(image: BreastImage, masses: Sequence[Outline], model: Model) -> tuple[Bytes, Bytes]:
    """Channels uint8 (3, h, w) and labels uint8 (h, w): 0 background, i the i-th mass."""
    prepared = model.preprocess(image)
    placement: Placement = prepared.geometry
    labels = np.zeros(placement.resized_px, np.uint8)
    for number, (mask, (top, left)) in enumerate(masses, start=1):
        whole = np.zeros(image.pixels.shape, np.bool_)
        window = whole[top : top + mask.shape[0], left : left + mask.shape[1]]
        # A reader's circle may reach beyond the image.
        window[...] = mask[: window.shape[0], : window.shape[1]]
        labels[placement.resize_mask(whole)] = number
    return prepared.tensors[tensors.INPUT][0].astype(np.uint8), placement.place(labels)
