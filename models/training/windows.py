"""Training on windows of the images: what makes training without a GPU affordable.

In: images uint8 (n, 3, h, w) and label maps uint8 (n, h, w). Out: the same, cut to `side_px`. The
networks are convolutional (and anchors are laid per pyramid level), so weights learnt on windows
serve on whole images of the same scale; only the share of background differs, which the operating
point, chosen on whole images, takes up.
"""

from __future__ import annotations

import torch
from torch import Tensor

_ON_LESION = 0.7  # of the windows of images with one; the others look anywhere in the tissue
_STRIDE_PX = 8  # of the search for tissue


def cut(images: Tensor, labels: Tensor, side_px: int) -> tuple[Tensor, Tensor]:
    """One random window per image, drawn from torch's generator."""
    pieces = [_window(image, label, side_px) for image, label in zip(images, labels, strict=True)]
    return torch.stack([image for image, _ in pieces]), torch.stack([mark for _, mark in pieces])


def _window(image: Tensor, label: Tensor, side_px: int) -> tuple[Tensor, Tensor]:
    height, width = label.shape
    row, column = _centre(image, label)
    jitter = torch.randint(-side_px // 3, side_px // 3 + 1, (2,))
    top = min(max(0, row + int(jitter[0]) - side_px // 2), height - side_px)
    left = min(max(0, column + int(jitter[1]) - side_px // 2), width - side_px)
    rows, columns = slice(top, top + side_px), slice(left, left + side_px)
    return image[:, rows, columns], label[rows, columns]


def _centre(image: Tensor, label: Tensor) -> tuple[int, int]:
    """A pixel of a lesion, else of the tissue, else of the image."""
    places, stride = label.nonzero(), 1
    if not len(places) or float(torch.rand(())) > _ON_LESION:
        places, stride = (image[0, ::_STRIDE_PX, ::_STRIDE_PX] > 0).nonzero(), _STRIDE_PX
    if not len(places):
        return label.shape[0] // 2, label.shape[1] // 2
    chosen = places[int(torch.randint(len(places), ()))] * stride
    return int(chosen[0]), int(chosen[1])
