"""A client that looks at each model's contract before its first image.

What must hold: a worker never sends an image to a model other than the one it was written for, also
after Triton went away and came back, perhaps with another repository.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from models.contract import ModelSpec
from node.errors import ModelUnavailableError
from workers.triton.client import TritonClient
from workers.triton.contract import check_model


class VerifiedClient:
    """`TritonClient.infer`, behind `check_model`."""

    def __init__(self, client: TritonClient) -> None:
        self._client = client
        self._verified: set[str] = set()

    def infer(
        self, spec: ModelSpec, tensors: Mapping[str, NDArray[Any]]
    ) -> tuple[Mapping[str, NDArray[Any]], str]:
        """As TritonClient.infer; also raises ModelMismatchError."""
        try:
            if spec.name not in self._verified:
                check_model(self._client, spec)
                self._verified.add(spec.name)
            return self._client.infer(spec, tensors)
        except ModelUnavailableError:
            self._verified.clear()
            raise
