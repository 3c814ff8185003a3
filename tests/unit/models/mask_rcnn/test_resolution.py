"""Small images first, large ones last."""

from __future__ import annotations

import pytest
import torch

from models.mask_rcnn.resolution import shrink, side_at


@pytest.mark.parametrize(("share", "side"), [(0.0, 128), (0.39, 128), (0.4, 192), (1.0, 256)])
def test_side_follows_the_share_of_the_budget(share: float, side: int) -> None:
    """Each stage lasts until the next one's share."""
    assert side_at(share, ((0.0, 128), (0.4, 192), (0.7, 256))) == side


def test_image_and_labels_shrink_alike() -> None:
    """A square of one label keeps its place and its share of the image."""
    labels = torch.zeros(1, 64, 64, dtype=torch.uint8)
    labels[:, 16:32, 32:64] = 2
    images = (labels > 0).to(torch.uint8).unsqueeze(1).repeat(1, 3, 1, 1) * 200
    small, marks = shrink(images, labels, (32, 32))
    assert small.shape == (1, 3, 32, 32)
    assert marks.float().mean() == labels.float().mean()
    assert small[0, 0][marks[0] == 2].min() > 100
    assert shrink(images, labels, (64, 64))[0] is images
