from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.contract import BreastImage, FindingKind, ModelOutput, ModelSpec, Prepared, Region
from models.datasets.cases import Case, Truth
from models.evaluation.parity import Agreement, compare
from models.mask_rcnn_us.spec import SPEC

MASS = FindingKind.MASS


def region(top: int, left: int, score: float, side: int = 100) -> Region:
    return Region(MASS, score, np.ones((side, side), bool), (top, left))


class Told:
    """Answers with what it was told; the tensors carry nothing."""

    def __init__(self, output: ModelOutput) -> None:
        self.output = output

    def infer(
        self, spec: ModelSpec, tensors: Mapping[str, NDArray[Any]]
    ) -> tuple[dict[str, Any], str]:
        return {"output": self.output}, "1"


@dataclass
class Model:
    """Takes any image and hands on what the server says."""

    spec: ModelSpec

    def preprocess(self, image: BreastImage) -> Prepared:
        return Prepared({}, None)

    def postprocess(self, outputs: Mapping[str, Any], prepared: Prepared) -> ModelOutput:
        output: ModelOutput = outputs["output"]
        return output


def agreement(first: ModelOutput, second: ModelOutput) -> Any:
    image = BreastImage(np.zeros((400, 400), np.float32), "US")
    case = Case("a", "US", Truth(None, None), lambda: image)
    model = Model(replace(SPEC, thresholds={"mass": 0.5}))
    return compare(model, Told(first), Told(second), [case], lambda: None)


def merged(a: Agreement, b: Agreement) -> Agreement:
    values = {
        item.name: getattr(a, item.name) + getattr(b, item.name) for item in fields(Agreement)
    }
    return Agreement(**values)


def test_equal_answers_are_the_same_model() -> None:
    """Same findings in another order, a score in the third decimal."""
    first = ModelOutput((region(0, 0, 0.9), region(200, 200, 0.8)), {"benign": 0.3})
    second = ModelOutput((region(200, 200, 0.803), region(0, 0, 0.9)), {"benign": 0.301})
    found = agreement(first, second)
    assert found.is_same
    assert (found.findings, found.paired, found.unpaired) == (4, 2, 0)
    assert max(found.score) == pytest.approx(0.003)
    assert found.probability == [pytest.approx(0.001)]
    assert found.report()["differences"]["score"]["largest"] == pytest.approx(0.003)


@pytest.mark.parametrize(
    ("second", "probability"),
    [
        ((region(3, 0, 0.9),), 0.3),
        ((region(0, 0, 0.85),), 0.3),
        ((), 0.3),
        ((region(0, 0, 0.9), region(200, 200, 0.7)), 0.3),
        ((region(0, 0, 0.9),), 0.35),
    ],
    ids=["moved", "other score", "missing", "one more", "other class"],
)
def test_every_difference_is_seen(second: tuple[Region, ...], probability: float) -> None:
    """Place, score, number and class of what is found."""
    first = ModelOutput((region(0, 0, 0.9),), {"benign": 0.3})
    assert not agreement(first, ModelOutput(second, {"benign": probability})).is_same


def test_one_outline_of_many_may_differ_a_little() -> None:
    """Rounding may decide between two outlines; it may not decide where the lesion is."""
    same = [region(0, 0, 0.9)] * 39
    almost = Region(MASS, 0.9, np.ones((100, 94), bool), (0, 0))
    elsewhere = region(0, 20, 0.9)
    for other, expected in ((almost, True), (elsewhere, False)):
        found = Agreement()
        for number in range(40):
            second = other if number == 39 else same[0]
            found = merged(found, agreement(ModelOutput((same[0],)), ModelOutput((second,))))
        assert found.is_same is expected


def test_rounding_at_the_operating_point_is_no_difference() -> None:
    """A finding that just reaches the threshold on one side only is counted, and allowed."""
    found = agreement(ModelOutput((region(0, 0, 0.504),)), ModelOutput())
    assert found.borderline == 1
    assert found.is_same


def test_no_image_is_no_agreement() -> None:
    """Nothing compared proves nothing."""
    found = compare(Model(SPEC), Told(ModelOutput()), Told(ModelOutput()), [], lambda: None)
    assert not found.is_same


def test_an_image_that_cannot_be_read_is_counted_and_ends_nothing() -> None:
    """One broken file in a folder of thousands; without any image nothing is the same."""

    def broken() -> BreastImage:
        raise OSError("no picture")

    image = BreastImage(np.zeros((400, 400), np.float32), "US")
    cases = [Case("a", "US", Truth(None, None), read) for read in (broken, lambda: image)]
    told, model = Told(ModelOutput()), Model(replace(SPEC, thresholds={"mass": 0.5}))
    found = compare(model, told, told, cases, lambda: None)
    assert (found.images, found.unreadable, found.is_same) == (1, 1, True)
    assert found.report()["unreadable"] == 1
    assert not compare(model, told, told, cases[:1], lambda: None).is_same
