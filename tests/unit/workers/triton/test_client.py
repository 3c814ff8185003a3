from __future__ import annotations

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from models.mtu_net.spec import SPEC
from node.errors import ModelRefusedError, ModelUnavailableError
from workers.triton.client import TritonClient, _checked, _disposition


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("StatusCode.UNAVAILABLE", ModelUnavailableError),
        ("StatusCode.DEADLINE_EXCEEDED", ModelUnavailableError),
        ("StatusCode.INTERNAL", ModelUnavailableError),
        (None, ModelUnavailableError),
        ("StatusCode.INVALID_ARGUMENT", ModelRefusedError),
    ],
)
def test_what_triton_says_decides_the_class(status: str | None, expected: type[Exception]) -> None:
    """Only a wrong request is permanent; everything else is tried again."""
    error = _disposition("mtu_net", InferenceServerException("why", status=status))
    assert type(error) is expected
    assert "mtu_net" in str(error)


@pytest.mark.parametrize(
    "tiles",
    [
        np.zeros((2, 1, 256, 255), np.uint8),
        np.zeros((2, 1, 256, 256), np.float32),
        np.zeros((0, 1, 256, 256), np.uint8),
    ],
)
def test_wrong_tensors_are_refused_before_they_are_sent(tiles: np.ndarray) -> None:
    """Size, type and an empty batch are checked against the spec."""
    with pytest.raises(ModelRefusedError, match="tiles"):
        _checked(SPEC, {"tiles": tiles})


def test_a_silent_server_is_unavailable() -> None:
    """Nothing listens: the error is transient."""
    client = TritonClient("127.0.0.1:1", timeout_seconds=2.0)
    with pytest.raises(ModelUnavailableError):
        client.infer(SPEC, {"tiles": np.zeros((1, 1, 256, 256), np.uint8)})
    client.close()
