from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.contract import BreastImage, ModelSpec
from models.datasets.cases import Case, Truth
from models.datasets.pictures import read_picture
from models.evaluation.run import evaluate
from models.registry import get_model


class Constant:
    """Answers every request with the same probabilities."""

    def infer(
        self, spec: ModelSpec, tensors: Mapping[str, NDArray[Any]]
    ) -> tuple[dict[str, NDArray[Any]], str]:
        rows = len(next(iter(tensors.values())))
        row = np.array([0.2, 0.3, 0.5], np.float32)
        return {spec.outputs[0].name: np.tile(row, (rows, 1))}, "1"


def breast(path: Path) -> Path:
    """A picture with a bright half disc."""
    y, x = np.mgrid[:200, :160]
    cv2.imwrite(str(path), (200 * ((y - 100) ** 2 + x**2 < 6400)).astype(np.uint8))
    return path


def test_missing_and_unfit_images_are_listed(tmp_path: Path) -> None:
    """A missing file, a broken one and an empty image do not end the run, and are not judged."""
    good = breast(tmp_path / "good.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    empty = BreastImage(np.zeros((200, 160), np.float32), "MG")
    truth = Truth("malignant", None)
    cases = [
        Case("good", "MG", truth, partial(read_picture, good, "MG"), "patient", {"age": 50.0}),
        Case("missing", "MG", truth, partial(read_picture, tmp_path / "none.png", "MG")),
        Case("broken", "MG", truth, partial(read_picture, tmp_path / "broken.png", "MG")),
        Case("empty", "MG", truth, lambda: empty),
    ]
    seen: list[int] = []
    outcome = evaluate(get_model("resnet50"), Constant(), cases, lambda: seen.append(1))
    assert [name for name, _ in outcome.unreadable] == ["missing", "broken"]
    assert [name for name, _ in outcome.refused] == ["empty"]
    (result,) = outcome.results
    assert (result.name, result.group, result.clinical) == ("good", "patient", {"age": 50.0})
    assert sum(result.probabilities.values()) > 0.99
    assert len(seen) == 4
