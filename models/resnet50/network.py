"""ResNet50 for three classes of mammogram, with optional clinical inputs.

In: uint8 images (N, 2, rows, columns) as `preprocess` makes them, clinical facts (N, 8). Out:
logits (N, 3), and with `ServedResNet50` probabilities. The residual network is He et al. 2016 with
the stride in the 3x3 convolution ("v1.5"); Ben Miled and Cherif 2025 tune one pretrained on
photographs, with clinical data beside the image (II.E). No pretrained weights are at hand, so three
things help a start from random ones: a channel of local contrast (vendors' grey curves differ), a
second output that says where lesions are (a place teaches more than a label), and the attributes
`deep` and `rows_px`, which training sets: False leaves out the blocks that start as the identity
until the others have learnt (Chen et al. 2016, Net2Net); fewer rows than are given cost less.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import torch
from monai.networks.nets.resnet import ResNetBottleneck, resnet50
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from models.resnet50.spec import CHANNELS, CLASSES, CLINICAL, SERVED_ROWS_PX

WIDTHS = (256, 512, 1024, 2048)
CONTRAST_SHARE = 1 / 6  # of the rows: wider than most masses, narrower than the gland
CONTRAST_FLOOR = 6.0  # grey levels: below this a deviation is noise
CLINICAL_WIDTH = 16
DROPOUT = 0.2
EVIDENCE_GAIN = 0.05  # one step of Adam moves all of 4097 weights, so a logit by their sum


class ResNet50(nn.Module):
    """Images uint8 or float (N, 2, H, W) in [0, 255] and facts (N, 8) to float32 logits (N, 3)."""

    def __init__(self) -> None:
        super().__init__()
        # conv1_t_stride and bias_downsample: MONAI's defaults are not the published network.
        self.backbone = resnet50(
            spatial_dims=2,
            n_input_channels=CHANNELS + 1,
            feed_forward=False,
            conv1_t_stride=2,
            bias_downsample=False,
        )
        self.lesion = nn.Conv2d(WIDTHS[2], 1, 1)
        evidence = 2 * WIDTHS[3] + 1
        self.evidence: nn.Module = Evidence(evidence, affine=False)
        self.image_head = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(evidence, len(CLASSES)))
        self.clinical_head = nn.Sequential(
            nn.Linear(len(CLINICAL), CLINICAL_WIDTH),
            nn.ReLU(),
            nn.Linear(CLINICAL_WIDTH, len(CLASSES)),
        )
        self.deep, self.rows_px = True, SERVED_ROWS_PX
        for block in self.backbone.modules():
            # Zero gain at the end of each residual branch: every block starts as the identity,
            # which is worth several epochs of warm-up (Goyal et al. 2017, section 5.1).
            if isinstance(block, ResNetBottleneck):
                nn.init.zeros_(cast(Tensor, block.bn3.weight))
        nn.init.zeros_(cast(Tensor, self.image_head[1].weight))

    def forward(self, images: Tensor, clinical: Tensor) -> Tensor:
        return self.parts(images, clinical)[0]

    def parts(self, images: Tensor, clinical: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, 3), and lesion logits (N, 1, H/16, W/16)."""
        images = shrunk(images.float(), self.rows_px)
        body = self.backbone
        flow = body.maxpool(body.act(body.bn1(body.conv1(channels(images)))))
        for layer in (body.layer1, body.layer2, body.layer3):
            flow = self._through(layer, flow)
        lesion = self.lesion(flow)
        last = self._through(body.layer4, flow)
        evidence = [last.mean((2, 3)), last.amax((2, 3)), lesion.amax((2, 3))]
        logits = self.image_head(self.evidence(torch.cat(evidence, dim=1).float()))
        return logits + self.from_clinical(clinical), lesion

    def from_clinical(self, clinical: Tensor) -> Tensor:
        """What the facts add to the logits (N, 3); exactly zero where nothing is known."""
        nothing = torch.zeros_like(clinical)
        added: Tensor = self.clinical_head(clinical) - self.clinical_head(nothing)
        return added

    def _through(self, layer: nn.Module, flow: Tensor) -> Tensor:
        blocks = cast(Sequence[nn.Module], layer)
        for block in blocks if self.deep else blocks[:1]:
            flow = block(flow)
        return flow


def shrunk(images: Tensor, rows: int) -> Tensor:
    """Scaled to `rows`, each pixel the mean of those it covers; as they are if they have as many.

    Two matrices, because ONNX has no averaging by a factor that is no integer.
    """
    height, width = int(images.shape[2]), int(images.shape[3])
    if height == rows:
        return images
    down = _averaging(height, rows).to(images)
    across = _averaging(width, round(width * rows / height)).to(images)
    return down @ images @ across.T


def _averaging(before: int, after: int) -> Tensor:
    """The matrix (after, before) whose rows take means of neighbours."""
    matrix: Tensor = interpolate(torch.eye(before)[:, None], size=after, mode="area")[:, 0].T
    return matrix


def channels(images: Tensor) -> Tensor:
    """Grey, detail and local contrast, float32 (N, 3, H, W), each about in [-1, 1]."""
    grey = images[:, :1]
    side = round(int(images.shape[2]) * CONTRAST_SHARE) // 2 * 2 + 1
    inside = (grey > 0).float()
    share = _blurred(inside, side).clamp(min=1e-3)
    mean = _blurred(grey, side) / share
    variance = (_blurred(grey * grey, side) / share - mean * mean).clamp(min=0.0)
    contrast = (grey - mean) / (torch.sqrt(variance) + CONTRAST_FLOOR) * inside
    return torch.cat([images / 127.5 - 1.0, 0.5 * contrast], dim=1)


def _blurred(plane: Tensor, side: int) -> Tensor:
    rows = avg_pool2d(plane, (side, 1), stride=1, padding=(side // 2, 0))
    return avg_pool2d(rows, (1, side), stride=1, padding=(0, side // 2))


class Evidence(nn.BatchNorm1d):
    """Averages and maxima differ by an order of magnitude; normalised, they count alike."""

    def forward(self, values: Tensor) -> Tensor:
        return EVIDENCE_GAIN * super().forward(values)


def folded(network: ResNet50) -> ResNet50:
    """A copy in which the linear head has taken up the normalisation before it."""
    result = copy.deepcopy(network).eval()
    norm, head = cast(Evidence, result.evidence), cast(nn.Linear, result.image_head[1])
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with torch.no_grad():
        head.weight.mul_(EVIDENCE_GAIN / torch.sqrt(norm.running_var + norm.eps))
        head.bias.sub_(head.weight @ norm.running_mean)
    result.evidence = nn.Identity()
    return result


class ServedResNet50(nn.Module):
    """What is exported: probabilities, one row per image, rows adding up to one."""

    def __init__(self, network: ResNet50) -> None:
        super().__init__()
        self.network = folded(network)

    def forward(self, images: Tensor, clinical: Tensor) -> Tensor:
        return torch.softmax(self.network(images, clinical), dim=1)
