"""Before the first image: is the served model the one this worker was written for?

In: a client and a `ModelSpec`. Out: nothing, or ModelMismatchError that names every difference.
What must hold: names, types and sizes of all tensors are equal, and the digest of the preprocessing
that the model was exported with equals the digest of the preprocessing that runs here.
"""

from __future__ import annotations

from typing import Any

from models.contract import ModelSpec, TensorSpec
from node.errors import ModelMismatchError
from workers.triton.client import TritonClient


def check_model(client: TritonClient, spec: ModelSpec) -> None:
    """Raises ModelMismatchError, or ModelUnavailableError where the model is not served."""
    wrong = differences(spec, client.model_configuration(spec.name))
    if wrong:
        raise ModelMismatchError(
            f"{spec.name}: {'; '.join(wrong)}; upgrade the older one of Triton and this worker"
        )


def differences(spec: ModelSpec, configuration: Any) -> list[str]:
    """One sentence for each fact in which Triton's ModelConfig protobuf differs from `spec`."""
    served = {
        "inputs": _tensors(configuration.input),
        "outputs": _tensors(configuration.output),
        "max_batch_size": configuration.max_batch_size,
        "spec_version": configuration.parameters["spec_version"].string_value,
        "preprocessing_digest": configuration.parameters["preprocessing_digest"].string_value,
    }
    expected = {
        "inputs": sorted(map(_facts, spec.inputs)),
        "outputs": sorted(map(_facts, spec.outputs)),
        "max_batch_size": spec.max_batch_size,
        "spec_version": spec.version,
        "preprocessing_digest": spec.preprocessing_digest(),
    }
    return [
        f"{name} is {served[name]} in Triton and {expected[name]} here"
        for name in expected
        if served[name] != expected[name]
    ]


def _tensors(tensors: Any) -> list[tuple[str, str, tuple[int, ...]]]:
    """Name, type and dims (without batch), sorted by name, of protobuf ModelInput/ModelOutput."""
    return sorted(
        (tensor.name, _type_name(tensor), tuple(int(size) for size in tensor.dims))
        for tensor in tensors
    )


def _type_name(tensor: Any) -> str:
    enum = tensor.DESCRIPTOR.fields_by_name["data_type"].enum_type
    return str(enum.values_by_number[tensor.data_type].name)


def _facts(tensor: TensorSpec) -> tuple[str, str, tuple[int, ...]]:
    return tensor.name, f"TYPE_{tensor.datatype}", tensor.shape
