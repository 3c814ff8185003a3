from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: extra `train`")

from models.resnet50.network import ResNet50, ServedResNet50, channels, shrunk  # noqa: E402
from models.resnet50.spec import CHANNELS, CLINICAL, COLUMNS_PX, ROWS_PX  # noqa: E402


def images(count: int, rows: int = 96, columns: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (count, CHANNELS, rows, columns)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def facts(count: int) -> torch.Tensor:
    return torch.randn(count, len(CLINICAL), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def network() -> ResNet50:
    torch.manual_seed(0)
    network = ResNet50().eval()
    network.rows_px = 96
    torch.nn.init.normal_(network.image_head[1].weight)
    return network


def test_it_is_the_published_network(network: ResNet50) -> None:
    """53 convolutions (four are shortcuts), stride in the 3x3, a norm after each."""
    backbone = network.backbone
    convolutions = [m for m in backbone.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 53
    assert all(m.kernel_size == (3, 3) for m in convolutions[1:] if _halves_in_a_branch(m))
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in backbone.modules()) == 53


def _halves_in_a_branch(convolution: torch.nn.Conv2d) -> bool:
    shortcut = convolution.out_channels == 2 * convolution.in_channels
    return convolution.stride == (2, 2) and not shortcut


def test_rows_are_distributions(network: ResNet50) -> None:
    """The served network gives one distribution per image."""
    with torch.inference_mode():
        rows = ServedResNet50(network).eval()(images(2), facts(2))
    assert rows.shape == (2, 3)
    assert torch.allclose(rows.sum(dim=1), torch.ones(2))


def test_served_network_answers_as_the_trained_one() -> None:
    """Folding the normalisation into the head changes rounding, not answers."""
    torch.manual_seed(0)
    network = ResNet50()
    network.rows_px = 96
    torch.nn.init.normal_(network.image_head[1].weight)
    with torch.inference_mode():
        for _ in range(3):
            network.train()(images(4), facts(4))
        expected = torch.softmax(network.eval()(images(2), facts(2)), dim=1)
        found = ServedResNet50(network)(images(2), facts(2))
    assert torch.allclose(found, expected, atol=1e-4)


def test_unknown_facts_change_nothing_and_known_ones_add_up(network: ResNet50) -> None:
    """Zeros add exactly nothing; facts move the logits by the same amount whatever the image."""
    none = torch.zeros(2, len(CLINICAL))
    assert torch.equal(network.from_clinical(none), torch.zeros(2, 3))
    with torch.inference_mode():
        moved = network(images(2), facts(2)) - network(images(2), none)
    assert torch.allclose(moved, network.from_clinical(facts(2)), atol=1e-5)


def test_left_out_blocks_are_the_identity_before_they_have_learnt() -> None:
    """A new network gives the same logits with all blocks and with one of each layer."""
    torch.manual_seed(0)
    network = ResNet50().eval()
    network.rows_px = 96
    with torch.inference_mode():
        deep = network.parts(images(2), facts(2))
        network.deep = False
        shallow = network.parts(images(2), facts(2))
    assert torch.equal(deep[1], shallow[1])


def test_fewer_rows_are_scaled_inside(network: ResNet50) -> None:
    """Half the rows give a lesion map of half the size, from the same images."""
    network.rows_px = 96
    with torch.inference_mode():
        assert network.parts(images(1, 192, 120), facts(1))[1].shape == (1, 1, 6, 4)
        network.rows_px = ROWS_PX
        assert network.parts(images(1, ROWS_PX, COLUMNS_PX), facts(1))[1].shape == (1, 1, 12, 8)
    network.rows_px = 96
    plane = images(1, 192, 120).float()
    expected = torch.nn.functional.interpolate(plane, size=(128, 80), mode="area")
    assert torch.allclose(shrunk(plane, 128), expected, atol=1e-3)


def test_local_contrast_does_not_depend_on_the_grey_curve() -> None:
    """Half the gain and another offset leave the contrast channel where it was, but for noise."""
    generator = torch.Generator().manual_seed(0)
    grey = 60 + 60 * torch.rand(1, 1, 96, 64, generator=generator)
    first = channels(torch.cat([grey, grey], dim=1))[:, 2]
    second = channels(torch.cat([0.7 * grey + 40, grey], dim=1))[:, 2]
    assert (first - second).abs().mean() < 0.1 * first.abs().mean()
