"""ResNet50 for three classes of mammogram.

In: uint8 images (N, C, rows, columns) as `preprocess` makes them. Out: logits (N, 3), and with
`ServedResNet50` probabilities. The residual network is He et al. 2016 with the stride in the 3x3
convolution ("v1.5"); Ben Miled and Cherif 2025 use it with transfer learning, we train it from
random weights because no pretrained ones are at hand.
"""

from __future__ import annotations

import torch
from monai.networks.nets.resnet import ResNetBottleneck, resnet50
from torch import nn

from models.resnet50.spec import CHANNELS, CLASSES


class ResNet50(nn.Module):
    """uint8 images to float32 logits (N, 3) in the order of the spec's classes."""

    def __init__(self) -> None:
        super().__init__()
        # conv1_t_stride and bias_downsample: MONAI's defaults are not the published network.
        self.backbone = resnet50(
            spatial_dims=2,
            n_input_channels=CHANNELS,
            num_classes=len(CLASSES),
            conv1_t_stride=2,
            bias_downsample=False,
        )
        for block in self.backbone.modules():
            # Zero gain at the end of each residual branch: every block starts as the identity,
            # which is worth several epochs of warm-up (Goyal et al. 2017, section 5.1).
            if isinstance(block, ResNetBottleneck):
                nn.init.zeros_(block.bn3.weight)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.backbone(images.float() / 127.5 - 1.0)
        return logits


class ServedResNet50(nn.Module):
    """What is exported: probabilities, one row per image, rows adding up to one."""

    def __init__(self, network: ResNet50) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.network(images), dim=1)
