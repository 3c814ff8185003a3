"""Stage 5's call to Triton: tensors in, tensors out, over gRPC.

In: a `ModelSpec` and arrays with a leading batch axis. Out: arrays of the same batch. What must
hold: every failure is either transient (the server, the network, time) or permanent (the request
itself), so that the pipeline knows whether to try again; and a model whose process died is loaded
again, because Triton never does that by itself.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from models.contract import ModelSpec
from node.errors import ModelRefusedError, ModelUnavailableError, PermanentError, TransientError

_DTYPES = {"FP32": np.float32, "INT32": np.int32, "UINT8": np.uint8}

# A stub process that was killed answers this for ever while server and model report READY
# (triton-inference-server/server issue 8604).
_DEAD_STUB = "is not healthy"

# gRPC status of a request that will be refused the same way next time.
_REFUSED = ("StatusCode.INVALID_ARGUMENT", "StatusCode.OUT_OF_RANGE", "StatusCode.UNIMPLEMENTED")

# Messages of any size, as tritonclient has it by itself. And no proxy: gRPC would send images to
# the one that the environment names, which Docker's client puts into every container.
_CHANNEL = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
]


class TritonClient:
    """One gRPC channel to one server; safe to share between threads, not between forks."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        """`url`: host:port. `timeout_seconds`: deadline of one `infer` with all its batches."""
        self.url = url
        self._client = triton.InferenceServerClient(url, channel_args=_CHANNEL)
        self._timeout_seconds = timeout_seconds

    def close(self) -> None:
        self._client.close()

    def infer(
        self, spec: ModelSpec, tensors: Mapping[str, NDArray[Any]]
    ) -> tuple[dict[str, NDArray[Any]], str]:
        """Return the outputs by name, same batch order as sent, and Triton's model version.

        `tensors`: by input name, (n, *shape), any n >= 1; more than `max_batch_size` rows travel as
        several requests. Raises ModelUnavailableError, ModelRefusedError.
        """
        columns = _checked(spec, tensors)
        rows = len(next(iter(columns.values())))
        deadline = time.monotonic() + self._timeout_seconds
        parts = []
        for start in range(0, rows, spec.max_batch_size):
            batch = {
                name: column[start : start + spec.max_batch_size]
                for name, column in columns.items()
            }
            parts.append(self._infer_batch(spec, batch, deadline))
        outputs = {
            tensor.name: np.concatenate([part[0][tensor.name] for part in parts])
            for tensor in spec.outputs
        }
        return outputs, parts[-1][1]

    def model_configuration(self, name: str) -> Any:
        """Triton's ModelConfig protobuf of a loaded model. Raises ModelUnavailableError."""
        try:
            response = self._client.get_model_config(name, client_timeout=self._timeout_seconds)
        except InferenceServerException as error:
            raise _disposition(name, error) from error
        return response.config

    def _infer_batch(
        self, spec: ModelSpec, batch: Mapping[str, NDArray[Any]], deadline: float
    ) -> tuple[dict[str, NDArray[Any]], str]:
        try:
            return self._request(spec, batch, deadline)
        except InferenceServerException as error:
            if _DEAD_STUB not in str(error.message()):
                raise _disposition(spec.name, error) from error
        self._load_again(spec.name, deadline)
        try:
            return self._request(spec, batch, deadline)
        except InferenceServerException as error:
            raise _disposition(spec.name, error) from error

    def _request(
        self, spec: ModelSpec, batch: Mapping[str, NDArray[Any]], deadline: float
    ) -> tuple[dict[str, NDArray[Any]], str]:
        inputs = []
        for tensor in spec.inputs:
            array = batch[tensor.name]
            item = triton.InferInput(tensor.name, list(array.shape), tensor.datatype)
            item.set_data_from_numpy(array)
            inputs.append(item)
        outputs = [triton.InferRequestedOutput(tensor.name) for tensor in spec.outputs]
        result = self._client.infer(
            spec.name, inputs, outputs=outputs, client_timeout=_remaining(deadline)
        )
        arrays = {tensor.name: result.as_numpy(tensor.name) for tensor in spec.outputs}
        return arrays, str(result.get_response().model_version)

    def _load_again(self, name: str, deadline: float) -> None:
        """Start the model's process anew; requests meanwhile are refused and tried again later.

        Unloaded first: Triton takes a model whose files have not changed for one that it has.
        """
        try:
            self._client.unload_model(name, client_timeout=_remaining(deadline))
            self._client.load_model(name, client_timeout=_remaining(deadline))
        except InferenceServerException as error:
            raise ModelUnavailableError(
                f"{name}: its process died and it cannot be loaded again: {error.message()}"
            ) from error


def _checked(spec: ModelSpec, tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Contiguous arrays of the spec's types. Raises ModelRefusedError before anything is sent."""
    columns = {}
    for tensor in spec.inputs:
        array = np.ascontiguousarray(tensors[tensor.name])
        fits = array.shape[1:] == tensor.shape and array.dtype == _DTYPES[tensor.datatype]
        if not fits or len(array) == 0:
            raise ModelRefusedError(
                f"{spec.name}: {tensor.name} is {array.dtype} {array.shape}, "
                f"the spec says {tensor.datatype} (n, {', '.join(map(str, tensor.shape))})"
            )
        columns[tensor.name] = array
    if len({len(column) for column in columns.values()}) != 1:
        raise ModelRefusedError(f"{spec.name}: its inputs differ in their number of rows")
    return columns


def _remaining(deadline: float) -> float:
    """Seconds left. Raises ModelUnavailableError where none are."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise ModelUnavailableError("the deadline passed before Triton was asked")
    return seconds


def _disposition(name: str, error: InferenceServerException) -> TransientError | PermanentError:
    """The error tree's class for what Triton or gRPC said."""
    text = f"{name}: {error.message()}"
    if error.status() in _REFUSED:
        return ModelRefusedError(text)
    return ModelUnavailableError(text)
