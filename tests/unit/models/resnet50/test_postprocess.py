from __future__ import annotations

import numpy as np
import pytest

from models.contract import ModelOutputError
from models.resnet50.postprocess import postprocess


def test_probabilities_by_name() -> None:
    """Classes come in the spec's order and add up to one."""
    output = postprocess({"probabilities": np.array([[0.2, 0.3, 0.5]], np.float32)})
    assert list(output.classification) == ["normal", "benign", "malignant"]
    assert sum(output.classification.values()) == pytest.approx(1.0, abs=1e-12)
    assert output.regions == ()


@pytest.mark.parametrize("row", [[0.2, 0.3, 0.6], [np.nan, 0.5, 0.5], [-0.1, 0.6, 0.5], [0.5, 0.5]])
def test_what_is_no_distribution_is_refused(row: list[float]) -> None:
    """Sums other than one, NaN, negative values and other sizes raise ModelOutputError."""
    with pytest.raises(ModelOutputError):
        postprocess({"probabilities": np.array([row], np.float32)})


def test_a_missing_tensor_is_refused() -> None:
    """An answer without our output raises ModelOutputError."""
    with pytest.raises(ModelOutputError):
        postprocess({})
