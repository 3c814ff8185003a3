"""An image with its masses as the network is trained on it; numpy only.

In: an image, the outlines of its masses in its own pixels, and what is known of them. Out: the
network's channels, through the very preprocessing that serving uses, a map of which pixel belongs
to which mass, and the classes of image and masses.
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

Sample = tuple[Bytes, Bytes, Bytes]
"""Channels uint8 (3, h, w); labels uint8 (h, w), 0 background, i the i-th mass; classes uint8
(1 + MOST_MASSES,): of the image, then of each mass."""

MOST_MASSES = 6
"""Label numbers used in a training image; phantoms hold fewer, and so do public sets."""

NORMAL, BENIGN, MALIGNANT = 0, 1, 2
LESION = 3
"""A class that is known to be benign or malignant, but not which."""
UNKNOWN = 4
CLASS_CODES = {None: LESION, "normal": NORMAL, "benign": BENIGN, "malignant": MALIGNANT}


def labelled(
    image: BreastImage,
    masses: Sequence[Outline],
    model: Model,
    image_class: int = UNKNOWN,
    mass_classes: Sequence[int] = (),
) -> Sample:
    """One sample. Masses without an entry in `mass_classes` are of an unknown class."""
    prepared = model.preprocess(image)
    placement: Placement = prepared.geometry
    labels = np.zeros(placement.resized_px, np.uint8)
    for number, (mask, (top, left)) in enumerate(masses[:MOST_MASSES], start=1):
        whole = np.zeros(image.pixels.shape, np.bool_)
        window = whole[top : top + mask.shape[0], left : left + mask.shape[1]]
        # A reader's circle may reach beyond the image.
        window[...] = mask[: window.shape[0], : window.shape[1]]
        labels[placement.resize_mask(whole)] = number
    classes = np.full(1 + MOST_MASSES, LESION, np.uint8)
    classes[0] = image_class
    known = mass_classes[:MOST_MASSES]
    classes[1 : 1 + len(known)] = known
    channels = prepared.tensors[tensors.INPUT][0].astype(np.uint8)
    return channels, placement.place(labels), classes
