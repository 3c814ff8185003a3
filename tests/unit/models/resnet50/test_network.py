from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from models.resnet50.network import ResNet50, ServedResNet50  # noqa: E402
from models.resnet50.spec import CHANNELS  # noqa: E402


def test_it_is_the_published_network() -> None:
    """Fifty layers: 53 convolutions (four are shortcuts) and one classifier; stride in the 3x3."""
    network = ResNet50()
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 53
    assert all(m.kernel_size == (3, 3) for m in convolutions[1:] if _halves_in_a_branch(m))
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules()) == 53


def _halves_in_a_branch(convolution: torch.nn.Conv2d) -> bool:
    shortcut = convolution.out_channels == 2 * convolution.in_channels
    return convolution.stride == (2, 2) and not shortcut


def test_rows_are_distributions() -> None:
    """The served network gives one distribution per image."""
    served = ServedResNet50(ResNet50()).eval()
    with torch.inference_mode():
        rows = served(torch.randint(0, 256, (2, CHANNELS, 96, 64), dtype=torch.uint8))
    assert rows.shape == (2, 3)
    assert torch.allclose(rows.sum(dim=1), torch.ones(2))
