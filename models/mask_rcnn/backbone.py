"""ResNet and feature pyramid from MONAI's blocks.

In: normalised images (n, 3, height, width). Out: five maps P2 to P6, each at twice the stride of
the one before, with `channels` channels. `conv1_t_stride=2, bias_downsample=False` make MONAI's
ResNet the usual one (its own defaults keep full resolution in the first convolution, four times the
work).
"""

from __future__ import annotations

from typing import Any

from monai.networks.blocks.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool
from monai.networks.nets.resnet import ResNet
from torch import Tensor, nn

from models.mask_rcnn.configuration import NetworkConfig

_BLOCKS = {
    18: ("basic", [2, 2, 2, 2]),
    34: ("basic", [3, 4, 6, 3]),
    50: ("bottleneck", [3, 4, 6, 3]),
    101: ("bottleneck", [3, 4, 23, 3]),
}
"""Blocks per stage (He et al., "Deep Residual Learning for Image Recognition", table 1)."""

_WIDTHS = [64, 128, 256, 512]
_STAGES = ("layer1", "layer2", "layer3", "layer4")


class Backbone(nn.Module):
    """Images to feature pyramid."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        block, layers = _BLOCKS[config.depth]
        widths = [round(width * config.width) for width in _WIDTHS]
        self.resnet: Any = ResNet(
            block,
            layers,
            widths,
            spatial_dims=2,
            n_input_channels=3,
            conv1_t_stride=2,
            no_max_pool=config.finest_stride_px == 2,
            bias_downsample=False,
            feed_forward=False,
        )
        expansion = 4 if block == "bottleneck" else 1
        self.pyramid = FeaturePyramidNetwork(
            2, [width * expansion for width in widths], config.channels, LastLevelMaxPool(2)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return P2 ... P6, finest first."""
        x = self.resnet.act(self.resnet.bn1(self.resnet.conv1(images)))
        if not self.resnet.no_max_pool:
            x = self.resnet.maxpool(x)
        stages: dict[str, Tensor] = {}
        for name in _STAGES:
            x = getattr(self.resnet, name)(x)
            stages[name] = x
        maps: dict[str, Tensor] = self.pyramid(stages)
        return list(maps.values())


def normalise(images: Tensor) -> Tensor:
    """Grey values 0 to 255 become 0 to 4; background stays 0, which convolutions pad with."""
    return images.float() * (4.0 / 255.0)
