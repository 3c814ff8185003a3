from __future__ import annotations

import numpy as np
import pytest

from models.contract import BreastImage, FindingKind
from models.datasets.cases import Case, Lesion, Truth
from models.evaluation.matching import ImageResult
from models.mtu_net.operating_point import froc, summary, threshold

CLUSTER = FindingKind.CALCIFICATION_CLUSTER
PATIENTS = 10


def unread() -> BreastImage:
    raise AssertionError("pictures are not needed here")


def case(patient: int, lesions: int) -> Case:
    disc = Lesion(CLUSTER, np.ones((3, 3), np.bool_), (0, 0))
    label = "benign" if lesions else "normal"
    truth = Truth(label, (disc,) * lesions)
    return Case(f"image{patient}", "MG", truth, unread, f"patient{patient}")


def result(patient: int, found: list[float], false: list[float]) -> ImageResult:
    return ImageResult(
        f"image{patient}",
        "benign" if found else "normal",
        {},
        tuple((CLUSTER, score) for score in found),
        tuple((CLUSTER, score) for score in false),
        None,
    )


def test_the_threshold_is_the_lowest_that_keeps_the_limit() -> None:
    """Of false scores 0.9, 0.6 and 0.3 in two images, one per image leaves the upper two."""
    found, false = [[0.5], [0.7]], [[0.9, 0.3], [0.6]]
    assert threshold(found, false, 1.0) == 0.5
    assert threshold(found, false, 2.0) == 0.3
    assert threshold(found, false, 0.5) == 0.7


def test_a_lesion_that_nothing_hit_stays_missed() -> None:
    """A score of 0 counts at no threshold."""
    assert froc([[0.0], [0.8]], [[], []]) == [[at, 0.5] for at in (0.25, 0.5, 1.0, 2.0, 4.0)]


def test_figures_are_those_of_thresholds_chosen_elsewhere() -> None:
    """Where every patient looks alike, each fold's threshold finds what it should."""
    cases = [case(patient, lesions=1) for patient in range(PATIENTS)]
    results = [result(patient, [0.8], [0.2, 0.1]) for patient in range(PATIENTS)]
    figures = summary(cases, results, limit=1.0)
    assert figures["clusters"] == PATIENTS
    assert figures["cross_fitted"]["sensitivity"] == 1.0
    assert figures["cross_fitted"]["false_positives_per_image"] == pytest.approx(1.0)
    assert figures["threshold"] == 0.2


def test_an_image_has_no_say_in_its_own_threshold() -> None:
    """A patient full of false marks is judged at the low threshold that the others allow."""
    cases = [case(patient, lesions=1) for patient in range(PATIENTS)]
    results = [result(patient, [0.5], []) for patient in range(PATIENTS - 1)]
    results.append(result(PATIENTS - 1, [0.5], [0.9] * 40))
    figures = summary(cases, results, limit=2.0)
    assert figures["cross_fitted"]["false_positives_per_image"] == pytest.approx(4.0)
    assert 0.5 in figures["cross_fitted"]["thresholds"]
