"""The whole network: it learns, it is padded, and its ONNX file gives the same answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from models.mask_rcnn import tensors
from models.mask_rcnn.configuration import NetworkConfig
from models.mask_rcnn.export import PORTABLE_OPERATORS, export, open_sizes, parity
from models.mask_rcnn.labelled import MALIGNANT
from models.mask_rcnn.losses import LossConfig, losses
from models.mask_rcnn.network import MaskRCNN
from models.mask_rcnn.targets import truth_of
from tests.unit.models.mask_rcnn.small import spec_of

SMALL = NetworkConfig(
    (128, 128), width=0.25, channels=32, hidden=64, before_nms=40, proposals=24, detections=8
)
FULL = replace(
    SMALL,
    classes=3,
    finest_stride_px=2,
    roi_levels="all",
    semantic=True,
    image_head=True,
)
"""Every option at once: the refined network of Kumar et al., three classes, both extra heads."""


@pytest.fixture
def network() -> MaskRCNN:
    return _spread(SMALL)


def _spread(config: NetworkConfig) -> MaskRCNN:
    """Return an untrained network whose logits are spread, so that it detects something."""
    torch.manual_seed(2)
    network = MaskRCNN(config).eval()
    with torch.no_grad():
        for layer in (network.proposals.objectness, network.box_head.classes):
            layer.weight.normal_(std=0.3)
    return network


@pytest.fixture
def images() -> np.ndarray:
    """Return three different images of bytes as float32 (3, 3, 128, 128)."""
    return np.random.default_rng(0).integers(0, 256, (3, 3, 128, 128)).astype(np.float32)


def test_outputs_are_padded_sorted_and_inside_the_image(
    network: MaskRCNN, images: np.ndarray
) -> None:
    """Rows beyond `num` are zero; scores fall; boxes lie in the image; masks are probabilities."""
    with torch.inference_mode():
        boxes, scores, labels, masks, num = network(torch.from_numpy(images))
    for tensor, spec in zip(
        (boxes, scores, labels, masks, num), tensors.outputs(SMALL), strict=True
    ):
        assert tensor.shape == (3, *spec.shape)
    assert (num > 0).all()
    assert (scores.diff(dim=1) <= 0).all()
    assert boxes.min() >= 0
    assert boxes.max() <= 128
    assert masks.min() >= 0
    assert masks.max() <= 1
    for row in range(3):
        padding = slice(int(num[row]), None)
        assert not boxes[row, padding].any()
        assert not labels[row, padding].any()
        assert not masks[row, padding].any()
        assert (labels[row, : int(num[row])] == 1).all()


def test_exported_file_is_portable_and_agrees(
    network: MaskRCNN, images: np.ndarray, tmp_path: Path
) -> None:
    """Opset 13, IR 8 at most, portable operators only, the same detections in a batch."""
    path = tmp_path / "model.onnx"
    export(network, spec_of(SMALL), path)
    model = onnx.load(str(path))
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 13)]
    assert model.ir_version <= 8
    assert {node.op_type for node in model.graph.node} <= PORTABLE_OPERATORS
    assert not open_sizes(model)
    found = parity(network, path, images)
    assert found.detections > 0
    assert found.close, found


def test_refined_network_of_three_classes_is_portable_too(
    images: np.ndarray, tmp_path: Path
) -> None:
    """Stride 2, all levels, semantic map and image head export with the same answers."""
    network = _spread(FULL)
    path = tmp_path / "model.onnx"
    export(network, spec_of(FULL), path)
    assert not open_sizes(onnx.load(str(path)))
    found = parity(network, path, images)
    assert found.detections > 0
    assert found.close, found
    with torch.inference_mode():
        *_, labels, masks, _, image = network(torch.from_numpy(images))
    assert set(labels.unique().tolist()) <= {0, 1, 2}
    assert masks.max() <= 1
    assert torch.allclose(image.sum(dim=1), torch.ones(3))


def test_original_mask_head_has_the_same_outputs(images: np.ndarray) -> None:
    """The head of He et al. can be chosen; the tensors stay as they are."""
    torch.manual_seed(0)
    config = replace(SMALL, mask_head="original")
    with torch.inference_mode():
        masks = MaskRCNN(config).eval()(torch.from_numpy(images))[3]
    assert masks.shape == (3, 8, 28, 28)


@pytest.mark.parametrize("config", [SMALL, FULL], ids=["two classes", "everything"])
def test_loss_falls_on_one_image(config: NetworkConfig) -> None:
    """Some steps on one bright square lower the loss by 40 %, and every part is finite.

    The last ones together: one alone depends on the order in which a processor adds up.
    """
    torch.manual_seed(0)
    network = MaskRCNN(replace(config, input_px=(64, 64))).train()
    classes = torch.full((2, 7), MALIGNANT, dtype=torch.uint8)
    labels = torch.zeros(2, 64, 64, dtype=torch.uint8)
    labels[:, 20:40, 15:40] = 1
    images = (labels > 0).float().unsqueeze(1).repeat(1, 3, 1, 1) * 200
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3)
    totals = []
    for _ in range(32):
        parts = losses(network, images, truth_of(labels, classes), LossConfig(renyi=0.25))
        extra = {"semantic", "image"} if config.semantic else set()
        assert set(parts) == {"objectness", "proposal", "class", "box", "renyi", "mask"} | extra
        total = torch.stack(list(parts.values())).sum()
        assert torch.isfinite(total)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert sum(totals[-4:]) / 4 < 0.6 * totals[0]


def test_image_without_mass_teaches_only_the_background() -> None:
    """A normal image gives no box and no mask loss, and finite gradients."""
    torch.manual_seed(0)
    network = MaskRCNN(replace(SMALL, input_px=(64, 64))).train()
    empty = truth_of(torch.zeros(2, 64, 64, dtype=torch.uint8))
    parts = losses(network, torch.rand(2, 3, 64, 64) * 255, empty, LossConfig())
    assert parts["proposal"].item() == parts["box"].item() == parts["mask"].item() == 0
    torch.stack(list(parts.values())).sum().backward()
    assert all(
        torch.isfinite(parameter.grad).all()
        for parameter in network.parameters()
        if parameter.grad is not None
    )
