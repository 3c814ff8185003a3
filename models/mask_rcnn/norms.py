"""Normalisation in a network that goes on training from a served file.

`models.restore` brings the weights back; export has folded each batch normalisation into the
convolution before it, so that its four vectors are lost, and any four that give the same function
will do in service. Training normalises by the batch instead: `calibrate` measures the statistics
of the data and leaves the function as it is; `settle` keeps them as they are in training, too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.mask_rcnn.network import MaskRCNN


def calibrate(network: MaskRCNN, images: Tensor) -> None:
    """Give every normalisation the statistics of `images` (n, 3, height, width), grey 0 to 255.

    What the network computes in evaluation stays the same.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(_measure) for norm in norms]
    training = network.training
    with torch.inference_mode():
        network.eval().features(images)
    for hook in hooks:
        hook.remove()
    network.train(training)


def settle(network: MaskRCNN) -> None:
    """Keep the statistics of every normalisation in training, too.

    For fine-tuning on a few images a step: what they would measure is noisier than what is known.
    """
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.BatchNorm2d:
                settled = _Settled(child.num_features, child.eps)
                settled.load_state_dict(child.state_dict())
                setattr(parent, name, settled.eval())


class _Settled(nn.BatchNorm2d):
    """A normalisation that never goes into training: a scale and a shift that are learnt."""

    def train(self, mode: bool = True) -> _Settled:
        super().train(False)
        return self


@torch.no_grad()
def _measure(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Same line y = scale * x + shift, written with the mean and variance of x."""
    assert isinstance(norm, nn.BatchNorm2d)
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    shift = norm.bias - scale * mean
    seen = inputs[0].float()
    mean.copy_(seen.mean(dim=(0, 2, 3)))
    variance.copy_(seen.var(dim=(0, 2, 3)))
    norm.weight.copy_(scale * torch.sqrt(variance + norm.eps))
    norm.bias.copy_(shift + scale * mean)
