from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: extra `train`")
from torch import nn  # noqa: E402 - only where torch is

from models.contract import TensorSpec  # noqa: E402
from models.evaluation.torched import example  # noqa: E402
from models.export import to_onnx  # noqa: E402
from models.mtu_net.spec import SPEC as MTU_NET  # noqa: E402
from models.restore import restore  # noqa: E402

SPEC = replace(
    MTU_NET,
    inputs=(TensorSpec("x", "FP32", (1, 12, 12)),),
    outputs=(TensorSpec("y", "FP32", (2,)),),
)


class Small(nn.Module):
    """What our networks have: norms behind convolutions, a layer called twice, equal heads."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.body = nn.ModuleDict({"0": nn.Conv2d(4, 4, 3, padding=1), "norm": nn.BatchNorm2d(4)})
        self.heads = nn.ModuleList([nn.Linear(4, 1), nn.Linear(4, 1)])
        for head in self.heads:
            nn.init.constant_(head.bias, 0.25)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x / 255.0)
        for _ in range(2):
            x = self.body["norm"](self.body["0"](x))
        pooled = x.mean(dim=(2, 3))
        return torch.cat([head(pooled) for head in self.heads], dim=1)


def made(seed: int) -> nn.Module:
    """A network with statistics of its own in every normalisation."""
    torch.manual_seed(seed)
    module = Small()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for value in (layer.weight, layer.running_var):
                nn.init.uniform_(value, 0.5, 1.5)
            for value in (layer.bias, layer.running_mean):
                nn.init.uniform_(value, -0.2, 0.2)
    return module.eval()


def test_an_exported_network_comes_back(tmp_path: Path) -> None:
    """Another network with the file's weights gives the exported one's answers."""
    original, other, inputs = made(0), made(1), example(SPEC)
    to_onnx(original, SPEC, tmp_path / "a.onnx")
    with torch.inference_mode():
        assert not torch.allclose(original(*inputs), other(*inputs), atol=1e-2)
        restore(other, tmp_path / "a.onnx", inputs)
        torch.testing.assert_close(original(*inputs), other(*inputs), atol=1e-5, rtol=1e-5)


def test_another_network_is_refused(tmp_path: Path) -> None:
    """Weights that the file lacks are named."""
    to_onnx(made(0), SPEC, tmp_path / "a.onnx")
    larger = nn.Sequential(nn.Conv2d(1, 7, 3))
    with pytest.raises(ValueError, match="holds no 0 of size"):
        restore(larger, tmp_path / "a.onnx", example(SPEC))
