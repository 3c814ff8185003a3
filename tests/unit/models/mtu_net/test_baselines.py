from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: extra `train`")

from models.mtu_net.baselines import METHODS, categorical_cross_entropy  # noqa: E402
from models.mtu_net.spec import CLASSES  # noqa: E402

TILES = torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8)


def test_categorical_cross_entropy_divides_sigmoids_by_their_sum() -> None:
    """Sigmoids of 1/2, 1/2 and 3/4 give the third class 3/7."""
    logits = torch.tensor([0.0, 0.0, math.log(3.0)]).view(1, 3, 1, 1)
    truth = torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1)
    loss = categorical_cross_entropy(logits, truth)
    assert float(loss) == pytest.approx(-math.log(3.0 / 7.0), abs=1e-6)


def test_methods_differ_in_heads_and_objectives_only() -> None:
    """Two single-class networks, one multi-class and one multi-task, on the same backbone."""
    counted = {
        name: [sum(p.numel() for p in method.build(4).backbone.parameters()) for method in networks]
        for name, networks in METHODS.items()
    }
    assert {name: len(numbers) for name, numbers in counted.items()} == {
        "single_class": 2,
        "multi_class": 1,
        "mtu_net": 1,
    }
    assert len({number for numbers in counted.values() for number in numbers}) == 1


@pytest.mark.parametrize("name", list(METHODS))
def test_a_method_marks_what_it_reports(name: str) -> None:
    """Marks are bool planes, one for each class the method reads; together both kinds."""
    reported: tuple[str, ...] = ()
    for method in METHODS[name]:
        logits = method.build(4)(TILES)
        marks = method.marks(logits)
        assert marks.dtype == torch.bool
        assert marks.shape == (2, len(method.reports), 32, 32)
        reported += method.reports
        truth = torch.zeros(2, len(CLASSES), 32, 32)
        assert all(torch.isfinite(loss) for loss in method.losses(logits, truth).values())
    assert reported == ("mc", "bac")


def test_a_pixel_of_the_multi_class_network_has_one_class() -> None:
    """The likeliest class takes the pixel, and the background may win."""
    logits = torch.tensor([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [1.0, 1.0, 3.0]]).view(3, 3, 1, 1)
    marks = METHODS["multi_class"][0].marks(logits)
    assert marks.flatten(1).tolist() == [[True, False], [False, True], [False, False]]
