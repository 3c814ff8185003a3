from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: extra `train`")

from models.export import to_onnx  # noqa: E402
from models.mtu_net import warm_start  # noqa: E402
from models.mtu_net.network import MTUNet, ServedMTUNet  # noqa: E402
from models.mtu_net.spec import SPEC  # noqa: E402


def test_an_export_goes_on_training_where_it_was(tmp_path: Path) -> None:
    """Loaded back, the network answers as the exported one, in training mode as well."""
    torch.manual_seed(3)
    exported = MTUNet().eval()
    path = tmp_path / "model.onnx"
    to_onnx(ServedMTUNet(exported), SPEC, path)
    tiles = torch.randint(0, 256, (4, 1, 64, 64), dtype=torch.uint8)
    network = MTUNet()
    warm_start.load(network, path, tiles)
    with torch.inference_mode():
        wanted = torch.sigmoid(exported(tiles))
        assert network.training
        assert (torch.sigmoid(network(tiles)) - wanted).abs().max() < 0.01
        assert (torch.sigmoid(network.eval()(tiles)) - wanted).abs().max() < 0.01


def test_another_network_is_refused(tmp_path: Path) -> None:
    """Weights of another width do not fit, and that is said."""
    path = tmp_path / "model.onnx"
    to_onnx(ServedMTUNet(MTUNet(width=8).eval()), SPEC, path)
    with pytest.raises(ValueError, match="do not fit"):
        warm_start.load(MTUNet(), path, torch.zeros(1, 1, 64, 64, dtype=torch.uint8))
