"""ResNet and feature pyramid from MONAI's blocks.

In: normalised images (n, 3, height, width). Out: five maps P2 to P6 at strides 4 to 64, each with
`channels` channels. `conv1_t_stride=2, bias_downsample=False` make MONAI's ResNet the usual one
(its own defaults keep full resolution in the first convolution, four times the work).
"""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.blocks.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool
from monai.networks.nets.resnet import resnet18, resnet34, resnet50, resnet101
from torch import Tensor, nn

_RESNETS = {18: resnet18, 34: resnet34, 50: resnet50, 101: resnet101}
STRIDES_PX = (4, 8, 16, 32, 64)


class Backbone(nn.Module):
    """Images to feature pyramid."""

    def __init__(self, depth: int, channels: int) -> None:
        super().__init__()
        self.resnet: Any = _RESNETS[depth](
            spatial_dims=2,
            n_input_channels=3,
            conv1_t_stride=2,
            bias_downsample=False,
            feed_forward=False,
        )
        widths = [64, 128, 256, 512] if depth < 50 else [256, 512, 1024, 2048]
        self.pyramid = FeaturePyramidNetwork(2, widths, channels, LastLevelMaxPool(2))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return P2 ... P6, finest first."""
        x = self.resnet.act(self.resnet.bn1(self.resnet.conv1(images)))
        x = self.resnet.maxpool(x)
        stages: dict[str, Tensor] = {}
        for name in ("layer1", "layer2", "layer3", "layer4"):
            x = getattr(self.resnet, name)(x)
            stages[name] = x
        maps: dict[str, Tensor] = self.pyramid(stages)
        return list(maps.values())


def normalise(images: Tensor) -> Tensor:
    """Grey values 0 to 255 become 0 to 4; background stays 0, which convolutions pad with."""
    return images.to(torch.float32) * (4.0 / 255.0)
