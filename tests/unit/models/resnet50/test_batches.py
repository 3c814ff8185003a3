"""What a step is trained on: shares, missing facts, drawn lesions, movement."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: extra `train`")

from models.resnet50.augment import augment  # noqa: E402
from models.resnet50.batches import FACTS, counts, some_missing  # noqa: E402
from models.resnet50.drawn_lesions import draw  # noqa: E402
from models.resnet50.objective import class_loss, lesion_loss  # noqa: E402
from models.resnet50.samples import LESION, NO_CLASS, UNKNOWN  # noqa: E402
from models.resnet50.settings import AugmentConfig, Data  # noqa: E402


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tissue(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Grey halves of 96 x 60 px without detail, and maps without lesions."""
    images = torch.zeros(count, 2, 96, 60)
    images[:, 0, :, :40] = 100.0
    return images, torch.zeros(count, 96, 60, dtype=torch.uint8)


def test_folders_share_a_batch_by_the_root_of_their_sizes() -> None:
    """Ten times the images get about three times the places; phantoms get their share."""
    settings = Data(batch=32, phantom_share=0.1)
    found = counts({"rsna": 2100, "mini_mias": 190, "phantom": 500}, settings)
    assert found == {"rsna": 22, "mini_mias": 7, "phantom": 3}
    assert counts({"phantom": 500}, settings) == {"phantom": 32}
    assert counts({"rsna": 5}, settings) == {"rsna": 32}


def test_facts_go_missing_row_by_row_and_one_by_one() -> None:
    """About half of the rows lose everything; age and its flag go together."""
    facts = torch.ones(4000, 8)
    found = some_missing(facts, Data(clinical_missing=0.5, fact_missing=0.3), generator())
    assert float((found.sum(dim=1) == 0).float().mean()) == pytest.approx(
        0.5 + 0.5 * 0.027, abs=0.03
    )
    for columns in FACTS:
        part = found[:, list(columns)]
        assert torch.equal(part.amin(dim=1), part.amax(dim=1))
        assert float(part[:, 0].mean()) == pytest.approx(0.35, abs=0.03)


def test_a_drawn_lesion_lies_in_the_tissue_where_the_map_says() -> None:
    """Grey or detail rises inside the marked disc, the background stays black, seeds repeat."""
    images, lesions = tissue(24)
    drawn, marks = draw(images, lesions, generator())
    again, _ = draw(images, lesions, generator())
    assert torch.equal(drawn, again)
    rise = (drawn - images).amax(dim=1)
    assert bool((marks == LESION).flatten(1).any(dim=1).all())
    assert bool((rise.flatten(1).amax(dim=1) > 5.0).all())
    assert float(rise[:, :, 40:].abs().max()) == 0.0
    inside = rise[marks == LESION].mean()
    assert float(inside) > 10.0 * float(rise[marks != LESION].mean())


def test_image_and_map_move_together() -> None:
    """After moving, the bright square is still where the map says; the same seed repeats."""
    images, lesions = tissue(16)
    images[:, 0, 30:50, 10:30] = 250.0
    lesions[:, 30:50, 10:30] = LESION
    config = AugmentConfig(gamma=0.0, gain=0.0, noise=0.0)
    moved, marks = augment(images, lesions, config, generator())
    again, _ = augment(images, lesions, config, generator())
    assert torch.equal(moved, again)
    bright = moved[:, 0] > 200.0
    agreement = (bright & (marks == LESION)).sum() / (bright | (marks == LESION)).sum()
    assert float(agreement) > 0.85
    assert not torch.equal(moved, images)


def test_what_is_not_known_adds_nothing_to_the_loss() -> None:
    """Rows without a class and images with an unknown map do not count; none at all gives zero."""
    logits, labels = torch.tensor([[2.0, 0.0, 0.0], [9.0, 0.0, 0.0]]), torch.tensor([0, NO_CLASS])
    alone = class_loss(logits[:1], labels[:1], 0.0)
    assert torch.allclose(class_loss(logits, labels, 0.0), alone)
    assert float(class_loss(logits, torch.full((2,), NO_CLASS), 0.0)) == 0.0
    maps, places = torch.zeros(2, 32, 32, dtype=torch.uint8), torch.randn(2, 1, 2, 2)
    maps[1] = UNKNOWN
    assert torch.allclose(lesion_loss(places, maps, 4.0), lesion_loss(places[:1], maps[:1], 4.0))
    assert float(lesion_loss(places, torch.full_like(maps, UNKNOWN), 4.0)) == 0.0
