from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.contract import BreastImage, FindingKind, ModelSpec
from models.datasets.cases import Case, Truth
from models.datasets.pictures import read_picture
from models.evaluation.report import Subject, make_report
from models.evaluation.run import evaluate, run_case
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


class NeverAsked:
    """Work for nothing."""

    def infer(
        self, spec: ModelSpec, tensors: Mapping[str, NDArray[Any]]
    ) -> tuple[dict[str, NDArray[Any]], str]:
        raise AssertionError(spec.name)


@pytest.mark.parametrize(
    ("name", "truth"),
    [
        ("mask_rcnn_mg", Truth("malignant", None)),  # tells no classes of images
        ("mtu_net", Truth("malignant", (), frozenset({FindingKind.MASS}))),
        ("mask_rcnn_us", Truth(None, None)),
        ("resnet50", Truth(None, ())),
    ],
)
def test_nothing_is_run_where_nothing_can_be_judged(
    tmp_path: Path, name: str, truth: Truth
) -> None:
    """A set of thousands without an outline: it is said at once, and not after an hour."""
    model = get_model(name)
    read = partial(read_picture, breast(tmp_path / "a.png"), model.spec.modality)
    cases = [Case(str(number), model.spec.modality, truth, read) for number in range(3)]
    outcome = evaluate(model, NeverAsked(), cases, lambda: None)
    report = make_report(model.spec, Subject("a"), outcome)
    assert (report["n_images"], report["n_without_truth"], report["classes"]) == (0, 3, None)
    known = [*cases, Case("known", model.spec.modality, Truth("benign", ()), read)]
    with pytest.raises(AssertionError, match=name):
        evaluate(model, NeverAsked(), known, lambda: None)


class Bright:
    """A detector of one box: around what is brightest in the input, as sure as it is bright."""

    def infer(
        self, spec: ModelSpec, tensors: Mapping[str, NDArray[Any]]
    ) -> tuple[dict[str, NDArray[Any]], str]:
        grey = tensors["image"][0, 0]
        rows, columns = np.nonzero(grey >= 250)
        answer = {
            tensor.name: np.zeros(
                (1, *tensor.shape), np.int32 if tensor.datatype == "INT32" else np.float32
            )
            for tensor in spec.outputs
        }
        if len(rows) > np.ptp(rows) * np.ptp(columns) / 2:  # a spot, and not the grain everywhere
            box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            answer["boxes"][0, 0] = box
            answer["scores"][0, 0] = 0.9
            answer["labels"][0, 0] = answer["num"][0] = 1
            answer["masks"][0, 0] = 1.0
        return answer, "1"


def spotted(at: tuple[int, int]) -> BreastImage:
    """Speckled grey of 400 x 400 px with one bright disc of 16 px radius."""
    y, x = np.mgrid[:400, :400]
    grain = np.random.default_rng(0).uniform(0.2, 0.4, (400, 400))
    spot = (y - at[0]) ** 2 + (x - at[1]) ** 2 < 16**2
    return BreastImage(np.where(spot, 1.0, grain).astype(np.float32), "US")


@pytest.mark.parametrize("at", [(200, 200), (60, 330)])
def test_a_lesion_on_tiles_is_one_mark_where_it_lies(at: tuple[int, int]) -> None:
    """In the middle all four parts see it, in a corner one does; the image has it once."""
    model, image = get_model("mask_rcnn_us"), spotted(at)
    case = Case("one", "US", Truth("benign", None), lambda: image)
    output, shape = run_case(model, Bright(), case, tiled=True)
    (region,) = output.regions
    assert shape == (400, 400)
    middle = [o + s / 2 for o, s in zip(region.offset_px, region.mask.shape, strict=True)]
    assert middle == pytest.approx(at, abs=2.0)
    assert not output.classification


def test_an_image_of_which_no_part_can_be_read_is_refused() -> None:
    """Four parts of nothing are no image without a finding."""
    empty = BreastImage(np.zeros((400, 400), np.float32), "US")
    case = Case("empty", "US", Truth("normal", ()), lambda: empty)
    outcome = evaluate(get_model("mask_rcnn_us"), Bright(), [case], lambda: None, tiled=True)
    assert [name for name, _ in outcome.refused] == ["empty"]
