"""What facts add: the same cases in every row, patients by their most suspicious image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: extra `train`")

from models.datasets.folders import read_folder
from models.evaluation.local import LocalServer
from models.resnet50.export import export_module
from models.resnet50.facts import AGE, FORM, HEADER, IMAGE, areas, by_patient, measure
from models.resnet50.network import ResNet50


def test_patient_counts_by_her_most_suspicious_image() -> None:
    """The highest score, and positive if any image is."""
    scores = {"a": np.array([0.1, 0.9, 0.3])}
    highest, positive, names = by_patient(scores, np.array([True, False, False]), ["p", "p", "q"])
    assert names == ["p", "q"]
    assert highest["a"].tolist() == [0.9, 0.3]
    assert positive.tolist() == [True, False]


def test_gain_over_age_is_the_difference_of_areas() -> None:
    """A perfect image and a worthless age: one, a half, and a half between them."""
    actual = np.arange(40) % 2 == 0
    perfect, worthless = actual.astype(float), np.zeros(40)
    scores = {AGE: worthless, IMAGE: perfect, HEADER: perfect, FORM: worthless}
    found = areas(scores, actual, [str(n // 2) for n in range(40)])
    assert found[IMAGE] == {"auc": 1.0, "interval": [1.0, 1.0]}
    assert found[AGE]["auc"] == 0.5
    assert found[f"{IMAGE} over {AGE}"]["auc"] == 0.5
    assert found[f"{FORM} over {AGE}"]["auc"] == 0.0


def test_exported_network_is_measured_on_a_folder(rsna: Path, tmp_path: Path) -> None:
    """23 of 24 images run, the black one is counted as left out; each row has its area."""
    export_module(ResNet50(), tmp_path)
    found = measure(read_folder(rsna), LocalServer(tmp_path))
    assert (found["images"], found["left_out"], found["patients"]) == (23, 1, 12)
    assert set(found["by_image"]) >= {AGE, IMAGE, HEADER, FORM}  # type: ignore[call-overload]
