"""Free-response figures: thresholds, sensitivity, Dice, and intervals over patients."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: extra `train`")

from models.contract import BreastImage, FindingKind, Region
from models.datasets.cases import Case, Lesion, Truth
from models.mask_rcnn_mg.validation import (
    Seen,
    at_threshold,
    figures,
    intervals,
    judge,
    threshold_at,
)


def _seen() -> list[Seen]:
    """Four patients: two masses found at 0.9 and 0.4, one missed, and false marks."""
    return [
        Seen("a", "1", (0.9,), (0.3,), (0.8,)),
        Seen("b", "2", (0.4,), (0.6, 0.5), (0.6,)),
        Seen("c", "3", (0.0,), (), ()),
        Seen("d", "4", (), (0.7, 0.2), ()),
    ]


def test_threshold_allows_so_many_false_positives_and_no_more() -> None:
    """At a quarter per image one of five false marks may remain, the best one."""
    seen = _seen()
    for limit in (0.0, 0.25, 0.5, 1.0, 2.0):
        threshold = threshold_at(seen, limit)
        assert at_threshold(seen, threshold)["false_positives_per_image"] <= limit
    assert 0.6 < threshold_at(seen, 0.25) < 0.7
    assert threshold_at(seen, 2.0) < 0.2


def test_figures_of_a_known_case() -> None:
    """One of three masses at 0.25 false positives per image, two at 1; mean Dice of both."""
    found = figures(_seen())
    assert found["sensitivity_at_quarter_fp"] == pytest.approx(1 / 3)
    assert found["sensitivity_at_1_fp"] == pytest.approx(2 / 3)
    assert found["dice_of_hits"] == pytest.approx(0.7)
    assert (found["masses"], found["images"]) == (3, 4)
    # Images with a mass score 0.9, 0.6 and 0; the one without 0.7: one of three pairs is right.
    assert found["auc"] == pytest.approx(1 / 3)


def test_intervals_hold_the_figure() -> None:
    """Resampling patients gives bounds around the figure itself."""
    low, high = intervals(_seen() * 5)["sensitivity_at_1_fp"]
    assert low <= 2 / 3 <= high
    assert low < high


def test_judging_matches_masses_only() -> None:
    """A hit gives score and Dice; a mark elsewhere is false; a cluster is not looked for."""
    square = np.ones((10, 10), bool)
    truth = Truth(
        "benign",
        (
            Lesion(FindingKind.MASS, square, (0, 0), "malignant"),
            Lesion(FindingKind.CALCIFICATION_CLUSTER, square, (50, 50)),
        ),
    )
    image = BreastImage(np.zeros((100, 100), np.float32), "MG")
    case = Case("x", "MG", truth, lambda: image, "7")
    seen = judge(
        case,
        [
            Region(FindingKind.MASS, 0.8, square, (0, 2), "benign"),
            Region(FindingKind.MASS, 0.3, square, (80, 80)),
        ],
    )
    assert seen.found == (0.8,)
    assert seen.false == (0.3,)
    assert seen.dice == pytest.approx((0.8,))
    assert seen.told == (("malignant", "benign"),)


def test_classes_of_found_masses() -> None:
    """Two benign ones told rightly, and neither malignant one: balanced it is a half."""
    told = (("benign", "benign"), ("benign", "benign"), ("malignant", "benign"))
    found = figures([Seen("a", "1", (0.9, 0.8, 0.7), (), (0.5,) * 3, told)])
    assert found["classed"] == 3
    assert found["class_accuracy"] == pytest.approx(2 / 3)
    assert found["class_balanced_accuracy"] == 0.5
    assert "class_accuracy" not in figures(_seen())
