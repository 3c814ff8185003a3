from __future__ import annotations

import numpy as np
import pytest

from models.datasets.cases import LABELS, Label
from models.evaluation.classes import ClassTally, by_breast, by_group, shortcuts
from models.evaluation.matching import ImageResult

ROWS: list[tuple[Label, tuple[float, float, float]]] = [
    ("normal", (0.7, 0.2, 0.1)),
    ("benign", (0.5, 0.4, 0.1)),
    ("malignant", (0.1, 0.2, 0.7)),
    ("malignant", (0.2, 0.5, 0.3)),
]


def result(label: Label, row: tuple[float, ...], group: str = "", **clinical: float) -> ImageResult:
    probabilities = dict(zip(LABELS, row, strict=True))
    return ImageResult("x", label, probabilities, *[None] * 3, group=group, clinical=clinical)


def test_figures_by_hand() -> None:
    """Malignant against the rest at one half; accuracy over three classes; an area per class."""
    tally = ClassTally([result(*row) for row in ROWS], LABELS, 0.5)
    figures = tally.figures(np.ones(4))
    assert figures["accuracy"] == pytest.approx(0.5)
    assert figures["balanced_accuracy"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert figures["sensitivity"] == figures["recall"] == pytest.approx(0.5)
    assert figures["specificity"] == 1.0
    assert figures["auc"] == figures["auc_malignant"] == 1.0
    assert figures["auc_normal"] == 1.0
    assert figures["auc_benign"] == pytest.approx(2 / 3)
    assert tally.confusion() == [[1, 0, 0], [1, 0, 0], [0, 1, 1]]


def test_classes_that_do_not_occur_may_be_guessed_wrongly() -> None:
    """A folder without benign images: who calls one benign is wrong, and not asked again."""
    rows = [("normal", (0.3, 0.6, 0.1)), ("malignant", (0.2, 0.3, 0.5))]
    tally = ClassTally([result(label, row) for label, row in rows], LABELS, 0.5)  # type: ignore[arg-type]
    assert tally.figures(np.ones(2))["accuracy"] == 0.5
    assert tally.confusion() == [[0, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert np.isnan(tally.figures(np.ones(2))["auc_benign"])


def test_one_class_alone_is_not_right_by_itself() -> None:
    """Malignant images that the model calls normal: accuracy 0, no area, no specificity."""
    rows = [(0.8, 0.1, 0.1), (0.6, 0.3, 0.1)]
    figures = ClassTally([result("malignant", row) for row in rows], LABELS, 0.5).figures(
        np.ones(2)
    )
    assert (figures["accuracy"], figures["balanced_accuracy"], figures["sensitivity"]) == (0, 0, 0)
    assert np.isnan([figures["auc"], figures["specificity"], figures["bcr"]]).all()


def test_weights_are_repetitions() -> None:
    """An image that counts twice is an image that stands there twice."""
    results = [result(*row) for row in ROWS]
    weight = np.array([1.0, 2.0, 3.0, 1.0])
    repeated = [r for r, n in zip(results, weight, strict=True) for _ in range(int(n))]
    figures = ClassTally(results, LABELS, 0.2).figures(weight)
    assert figures == pytest.approx(ClassTally(repeated, LABELS, 0.2).figures(np.ones(7)))


def test_a_patient_is_as_grave_as_her_gravest_image() -> None:
    """One result per group, with the most suspicious probabilities."""
    first = [result("normal", (0.8, 0.1, 0.1), "a"), result("malignant", (0.2, 0.2, 0.6), "a")]
    patients = by_group([*first, result("benign", (0.3, 0.4, 0.3), "b")], LABELS)
    assert [(patient.name, patient.label) for patient in patients] == [
        ("a", "malignant"),
        ("b", "benign"),
    ]
    assert patients[0].probabilities == {"normal": 0.2, "benign": 0.2, "malignant": 0.6}


def test_a_breast_is_the_mean_of_its_images() -> None:
    """One result per patient and side, which stays the patient's; without a side there is none."""
    rows = [
        result("normal", (0.8, 0.1, 0.1), "a", laterality="L"),
        result("malignant", (0.2, 0.2, 0.6), "a", laterality="L"),
        result("normal", (0.6, 0.2, 0.2), "a", laterality="R"),
        result("normal", (0.6, 0.2, 0.2), "a"),
        result("normal", (0.6, 0.2, 0.2), laterality="R"),
    ]
    left, right = by_breast(rows, LABELS)
    assert [(each.name, each.group, each.label) for each in (left, right)] == [
        ("a L", "a", "malignant"),
        ("a R", "a", "normal"),
    ]
    assert left.probabilities == pytest.approx({"normal": 0.5, "benign": 0.15, "malignant": 0.35})


def test_what_a_machine_alone_tells_is_worth_nothing() -> None:
    """Scores that only repeat the machine: a good area over all, one half within machines."""
    rng = np.random.default_rng(2)
    results = []
    for _ in range(400):
        machine = int(rng.integers(2))
        label: Label = "malignant" if rng.random() < (0.8 if machine else 0.2) else "normal"
        score = 0.5 * machine + 0.1 * rng.random()
        results.append(
            result(label, (1 - score, 0.0, score), machine=machine, age=50 + 10 * machine)
        )
    figures = shortcuts(results)
    overall = ClassTally(results, LABELS, 0.5).figures(np.ones(400))["auc"]
    assert overall > 0.75
    assert figures["auc_within_machine"] == pytest.approx(0.5, abs=0.07)
    assert figures["auc_of_age_alone"] > 0.75
    assert "auc_within_view" not in figures
