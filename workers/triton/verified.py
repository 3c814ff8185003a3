"""A client that looks at each model's contract before and after every image.

What must hold: no answer counts that another model may have given than the one this worker was
written for. Nobody tells the worker of a change: gRPC connects again by itself to a Triton that was
started anew between two images, perhaps with another repository, and a running one loads another
model when it is asked to. Both looks cost a millisecond or two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from models.contract import ModelSpec
from workers.triton.client import TritonClient
from workers.triton.contract import check_model


class VerifiedClient:
    """`TritonClient.infer`, between two `check_model`."""

    def __init__(self, client: TritonClient) -> None:
        self._client = client

    def infer(
        self, spec: ModelSpec, tensors: Mapping[str, NDArray[Any]]
    ) -> tuple[Mapping[str, NDArray[Any]], str]:
        """As TritonClient.infer; also raises ModelMismatchError."""
        check_model(self._client, spec)
        answer = self._client.infer(spec, tensors)
        check_model(self._client, spec)
        return answer
