from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: extra `train`")

from models.mtu_net.network import MTUNet, ServedMTUNet, negative_dice, objectives  # noqa: E402
from models.mtu_net.spec import CLASSES  # noqa: E402


def test_negative_dice_follows_equation_1() -> None:
    """Half of the truth marked and nothing else: -2 * 50 / (50 + 100), but for the added pixel."""
    truth = torch.zeros(1, 20, 20)
    truth[:, :10, :10] = 1.0
    marked = torch.zeros(1, 20, 20)
    marked[:, :10, :5] = 1.0
    assert float(negative_dice(marked, truth)) == pytest.approx(-101.0 / 151.0)


def test_an_absent_class_that_is_not_marked_is_perfect() -> None:
    """Empty truth and empty prediction give -1, not a division by zero."""
    empty = torch.zeros(2, 8, 8)
    assert float(negative_dice(empty, empty)) == -1.0


def test_each_class_has_its_own_objective() -> None:
    """The objectives are three, and the gradient of one reaches only its own output node."""
    network = MTUNet()
    logits = network(torch.zeros(1, 1, 64, 64, dtype=torch.uint8))
    parts = objectives(logits, torch.zeros(1, 3, 64, 64))
    assert set(parts) == set(CLASSES)
    parts["mc"].backward()
    assert network.heads["mc"].weight.grad is not None
    assert network.heads["bac"].weight.grad is None or not network.heads["bac"].weight.grad.any()


def test_the_served_network_answers_bytes() -> None:
    """Probabilities leave as uint8 of the tile's size, one plane per class."""
    served = ServedMTUNet(MTUNet()).eval()
    tiles = torch.randint(0, 256, (2, 1, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        answer = served(tiles)
        logits = served.network(tiles)
    assert answer.dtype == torch.uint8
    assert answer.shape == (2, 3, 64, 64)
    assert (answer.float() / 255 - torch.sigmoid(logits)).abs().max() < 0.003
