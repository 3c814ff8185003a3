"""The clinical form as numbers."""

from __future__ import annotations

import numpy as np
import pytest

from models.contract import BreastImage
from models.resnet50.clinical import vector
from models.resnet50.spec import CLINICAL, SPEC

PIXELS = np.zeros((64, 64), np.float32)


def known(image: BreastImage) -> dict[str, float]:
    """What is not zero, by name."""
    return {name: float(x) for name, x in zip(CLINICAL, vector(image), strict=True) if x}


def test_everything_known() -> None:
    """Age counts in decades from the centre; view and density each light one place."""
    image = BreastImage(PIXELS, "MG", view="MLO", patient_age_years=68.0, density="C")
    assert known(image) == {"age_known": 1.0, "age": 1.0, "mlo": 1.0, "density_c": 1.0}
    assert vector(image).shape == SPEC.inputs[1].shape


@pytest.mark.parametrize(
    ("age", "view", "density"),
    [(None, None, None), (0.0, "XCCL", "E"), (float("nan"), "", ""), (250.0, "AT", "1")],
)
def test_what_is_unknown_or_impossible_is_zero(
    age: float | None, view: str | None, density: str | None
) -> None:
    """A missing fact, an impossible age and a word outside the form all count as not known."""
    image = BreastImage(PIXELS, "MG", view=view, patient_age_years=age, density=density)
    assert known(image) == {}
