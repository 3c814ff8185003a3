"""Windows cut from training images."""

from __future__ import annotations

import torch

from models.training.windows import cut


def test_windows_keep_image_and_label_together_and_mostly_show_the_mass() -> None:
    """Pixel and label of a window come from the same place; most windows hold the mass."""
    torch.manual_seed(0)
    labels = torch.zeros(20, 256, 256, dtype=torch.uint8)
    labels[:, 200:230, 20:60] = 1
    images = (labels * 200 + 30).unsqueeze(1).repeat(1, 3, 1, 1)
    pieces, marks = cut(images, labels, 96)
    assert pieces.shape == (20, 3, 96, 96)
    assert torch.equal(pieces[:, 0], marks * 200 + 30)
    assert (marks.flatten(1).amax(dim=1) > 0).float().mean() > 0.6


def test_window_of_an_empty_image_is_its_middle() -> None:
    """An image without tissue still gives a window of the right size."""
    torch.manual_seed(0)
    empty = torch.zeros(1, 128, 128, dtype=torch.uint8)
    pieces, _ = cut(empty.unsqueeze(1).repeat(1, 3, 1, 1), empty, 64)
    assert pieces.shape == (1, 3, 64, 64)
