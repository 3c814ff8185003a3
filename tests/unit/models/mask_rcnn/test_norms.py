"""A network from a served file is fit to be trained on."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch

from models.mask_rcnn.configuration import NetworkConfig
from models.mask_rcnn.export import export
from models.mask_rcnn.network import MaskRCNN
from models.mask_rcnn.norms import calibrate, settle
from models.restore import restore
from models.serving.weights import halve_weights
from tests.unit.models.mask_rcnn.small import spec_of

CONFIG = NetworkConfig(
    (128, 128), width=0.25, channels=32, hidden=64, proposals=24, detections=8, semantic=True
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[MaskRCNN, Path]:
    """A network whose normalisations have lived, and its file with weights of half the size."""
    torch.manual_seed(3)
    network = MaskRCNN(CONFIG)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias)
    path = tmp_path_factory.mktemp("served") / "model.onnx"
    export(network, spec_of(CONFIG), path)
    onnx.save(halve_weights(onnx.load(str(path))), str(path))
    return network.eval(), path


def _images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, 3, 128, 128), generator=generator).float()


def _maps(network: MaskRCNN) -> list[torch.Tensor]:
    with torch.inference_mode():
        return network.eval().features(_images()).roi_maps


def test_restored_network_computes_the_same(served: tuple[MaskRCNN, Path]) -> None:
    """Up to the half precision of the file, every map and head is as before."""
    network, path = served
    restored = MaskRCNN(CONFIG)
    restore(restored, path, [_images()])
    for mine, theirs in zip(_maps(restored), _maps(network), strict=True):
        assert (mine - theirs).abs().max() < 0.01 * theirs.abs().max()
    for name in ("proposals", "box_head", "mask_head"):
        theirs_state = getattr(network, name).state_dict()
        for key, value in getattr(restored, name).state_dict().items():
            assert torch.allclose(value, theirs_state[key], atol=1e-3), key


def test_calibration_changes_statistics_and_not_the_function(
    served: tuple[MaskRCNN, Path],
) -> None:
    """After it, a normalisation in training sees what it expects, and service is unchanged."""
    restored = MaskRCNN(CONFIG)
    restore(restored, served[1], [_images()])
    before = _maps(restored)
    calibrate(restored, _images())
    after = _maps(restored)
    for mine, theirs in zip(after, before, strict=True):
        assert (mine - theirs).abs().max() < 1e-3 * theirs.abs().max()
    with torch.no_grad():
        trained = restored.train().features(_images()).roi_maps
    for mine, theirs in zip(trained, after, strict=True):
        assert (mine - theirs).abs().mean() < 0.02 * theirs.abs().mean()


def test_settled_network_keeps_its_statistics(served: tuple[MaskRCNN, Path]) -> None:
    """In training it computes what it computes in service, and its weights can still be loaded."""
    restored = MaskRCNN(CONFIG)
    restore(restored, served[1], [_images()])
    before, state = _maps(restored), restored.state_dict()
    settle(restored)
    with torch.no_grad():
        trained = restored.train().features(_images()).roi_maps
    for mine, theirs in zip(trained, before, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)
    assert restored.state_dict().keys() == state.keys()
