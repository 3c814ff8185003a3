from __future__ import annotations

import pytest
from google.protobuf import text_format

service = pytest.importorskip(
    "tritonclient.grpc.model_config_pb2", reason="tritonclient is not installed: extra `worker`"
)

from models.registry import MODELS  # noqa: E402
from models.serving.configuration import OVERLAYS, Overlay, render  # noqa: E402

DIGEST = "ab" * 32


@pytest.mark.parametrize("name", sorted(MODELS))
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_triton_can_parse_every_overlay(name: str, overlay: Overlay) -> None:
    """Each text is a ModelConfig with the spec's tensors and the digests."""
    spec = MODELS[name].spec
    parsed = text_format.Parse(render(spec, DIGEST, overlay), service.ModelConfig())
    assert parsed.name == name
    assert parsed.max_batch_size == spec.max_batch_size
    for served, tensors in ((parsed.input, spec.inputs), (parsed.output, spec.outputs)):
        found = [(item.name, tuple(item.dims)) for item in served]
        assert found == [(tensor.name, tensor.shape) for tensor in tensors]
    assert parsed.parameters["preprocessing_digest"].string_value == spec.preprocessing_digest()
    assert parsed.parameters["sha256"].string_value == DIGEST
    assert parsed.dynamic_batching.max_queue_delay_microseconds <= 2000
    assert parsed.model_warmup


def test_only_the_backend_differs() -> None:
    """Overlays name other backends for the same contract."""
    spec = MODELS["mtu_net"].spec
    parsed = [text_format.Parse(render(spec, DIGEST, o), service.ModelConfig()) for o in OVERLAYS]
    assert [config.backend for config in parsed] == ["python", "onnxruntime", "onnxruntime"]
    for config in parsed:
        config.backend = ""
        config.ClearField("instance_group")
        config.ClearField("optimization")
    assert parsed[0] == parsed[1] == parsed[2]
