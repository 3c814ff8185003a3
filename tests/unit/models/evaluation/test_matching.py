from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.contract import BreastImage, FindingKind, ModelOutput, Region
from models.datasets.cases import Case, Lesion, Truth
from models.evaluation.matching import ImageResult, is_hit, judge, match, paint
from models.imaging.regions import intersection_px

MASS, CLUSTER = FindingKind.MASS, FindingKind.CALCIFICATION_CLUSTER


def lesion(top: int, left: int, side: int, kind: FindingKind = MASS) -> Lesion:
    return Lesion(kind, np.ones((side, side), bool), (top, left))


def region(top: int, left: int, side: int, score: float = 0.9, kind: FindingKind = MASS) -> Region:
    return Region(kind, score, np.ones((side, side), bool), (top, left))


def test_intersection_of_shifted_squares() -> None:
    """Two 10 px squares, 4 px apart in both directions, share 36 px."""
    assert intersection_px(region(0, 0, 10), lesion(4, 4, 10)) == 36
    assert intersection_px(region(0, 0, 10), lesion(10, 0, 10)) == 0


def test_overlap_or_centre_makes_a_hit() -> None:
    """IoU of 36/164 hits; a small region inside hits by its centre; a neighbour does not."""
    assert is_hit(region(0, 0, 10), lesion(4, 4, 10))
    assert is_hit(region(20, 20, 3), lesion(0, 0, 50))
    assert not is_hit(region(0, 0, 10), lesion(8, 8, 10))


def test_another_kind_is_no_hit() -> None:
    """A mass marked as a cluster is a false positive."""
    assert not is_hit(region(0, 0, 10, kind=CLUSTER), lesion(0, 0, 10))


def test_a_lesion_counts_once() -> None:
    """Two regions on one lesion: one find with the better score, no false positive."""
    found, false = match([region(0, 0, 10, 0.6), region(1, 1, 10, 0.8)], [lesion(0, 0, 10)])
    assert found == ((MASS, 0.8),)
    assert false == ()


def test_missed_and_false() -> None:
    """A lesion nobody marked has score 0, a mark on nothing is false."""
    found, false = match([region(50, 50, 10, 0.7)], [lesion(0, 0, 10)])
    assert found == ((MASS, 0.0),)
    assert false == ((MASS, 0.7),)


def test_painting_cuts_what_reaches_beyond_the_image() -> None:
    """A truth circle that leaves the image is cut at its border."""
    assert paint([lesion(95, 95, 10)], (100, 100)).sum() == 25


def test_judging_pixels_at_the_operating_point() -> None:
    """Regions below the operating point count for the FROC but not for the pixels."""
    image = BreastImage(np.zeros((100, 100), np.float32), "MG")
    case = Case("a", "MG", Truth("malignant", (lesion(0, 0, 10),)), lambda: image)
    output = ModelOutput((region(0, 0, 10, 0.9), region(50, 50, 10, 0.3)))
    result = judge(case, output, (100, 100), frozenset({MASS}), {MASS: 0.5})
    assert result.pixels is not None
    assert (result.pixels.tp, result.pixels.fp) == (100, 0)
    assert result.false == ((MASS, 0.3),)


def test_the_class_of_the_best_mark_counts() -> None:
    """Below the operating point a mark has no say; a lesion that nothing marks was told nothing."""
    image = BreastImage(np.zeros((100, 100), np.float32), "MG")
    lesions = (replace(lesion(0, 0, 10), label="malignant"), lesion(40, 40, 10))
    case = Case("a", "MG", Truth("malignant", lesions), lambda: image)
    marks = [(0, 0.7, "benign"), (1, 0.9, "malignant"), (40, 0.3, "benign")]
    output = ModelOutput(
        tuple(replace(region(place, place, 10, score), label=name) for place, score, name in marks)
    )
    result = judge(case, output, (100, 100), frozenset({MASS}), {MASS: 0.5})
    assert result.told == (("malignant", "malignant"), (None, ""))


def test_without_outlines_nothing_is_counted() -> None:
    """A case whose lesions nobody outlined contributes no detection figures."""
    image = BreastImage(np.zeros((100, 100), np.float32), "MG")
    case = Case("a", "MG", Truth("malignant", None), lambda: image)
    result = judge(case, ModelOutput(), (100, 100), frozenset({MASS}), {MASS: 0.5})
    assert (result.found, result.false, result.pixels) == (None, None, None)


def test_a_kind_that_nobody_looked_for_is_not_judged() -> None:
    """An artery on a film whose readers circle clusters only: neither right nor wrong."""
    cluster, artery = FindingKind.CALCIFICATION_CLUSTER, FindingKind.ARTERIAL_CALCIFICATION
    square = np.ones((4, 4), np.bool_)
    regions = (Region(cluster, 0.9, square, (0, 0)), Region(artery, 0.9, square, (20, 20)))
    kinds, thresholds = frozenset({cluster, artery}), {cluster: 0.5, artery: 0.5}

    def judged(outlined: frozenset[FindingKind] | None) -> ImageResult:
        truth = Truth("normal", (), outlined)
        case = Case("x", "MG", truth, lambda: BreastImage(np.zeros((30, 30), np.float32), "MG"))
        return judge(case, ModelOutput(regions), (30, 30), kinds, thresholds)

    assert len(judged(None).false or ()) == 2
    partly = judged(frozenset({cluster}))
    assert (partly.false, partly.kinds) == (((cluster, 0.9),), frozenset({cluster}))
    assert partly.pixels is not None
    assert partly.pixels.fp == 16
    assert list(partly.pixels_by_kind) == [cluster]
    assert judged(frozenset({FindingKind.MASS})).found is None
