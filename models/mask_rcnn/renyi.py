"""The Renyi entropy of box residuals (Kumar et al., equations 2 and 3).

Kumar et al. put H_alpha(t - t*) in the place of smooth L1, with H_alpha(P) = log(sum_k P_k^alpha) /
(1 - alpha). As printed it takes a box's four signed residuals for a probability distribution, and
after any normalisation it would not know a large residual from a small one. Ours is the entropy of
the distribution that residuals have over a batch, estimated with Gaussian kernels (Erdogmus and
Principe, "Generalized Information Potential Criterion for Adaptive System Training"), with as many
zeros appended, which anchor its mode at zero error. That reading is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor

_KERNEL_WIDTH = 0.5  # in encoded units, where residuals of a trained box head have variance near 1
_SHANNON = 1e-3  # as near to order 1 as the general formula is computed
_LARGEST_ORDER = 100.0  # beyond it, the limit for infinite order


def renyi_entropy(residuals: Tensor, used: Tensor, alpha: float = 2.0) -> Tensor:
    """Entropy of order `alpha` of residuals (k, 4) where `used` bool (k), mean over coordinates.

    With the density at a residual p_i = 1/m sum_j G(e_i - e_j), G a Gaussian kernel of peak 1:
    H = log(1/m sum_i p_i^(alpha - 1)) / (1 - alpha); -1/m sum_i log p_i for alpha 1; -log max p_i
    for infinite alpha. Smallest, 0, when every residual is 0; 0 also without used rows.
    Raises ValueError unless `alpha` is above 0.
    """
    if not alpha > 0:
        raise ValueError(f"Renyi entropy has an order above 0, not {alpha}")
    weight = torch.cat([used, used]).to(residuals.dtype)
    points = torch.cat([residuals, torch.zeros_like(residuals)])
    distance2 = (points.unsqueeze(0) - points.unsqueeze(1)) ** 2
    kernel = torch.exp(-distance2 / (2 * _KERNEL_WIDTH**2))
    count = weight.sum().clamp(min=1)
    density = (kernel * weight.reshape(1, -1, 1)).sum(dim=1) / count
    # The rows that are not used count nothing, but a power of zero would still spoil gradients.
    density = density.clamp(min=1e-6)
    share = weight.unsqueeze(-1) / count
    if alpha > _LARGEST_ORDER:
        entropy = -torch.log((density * weight.unsqueeze(-1)).amax(dim=0).clamp(min=1e-6))
    elif abs(alpha - 1) < _SHANNON:
        entropy = -(share * torch.log(density)).sum(dim=0)
    else:
        information = (share * density ** (alpha - 1)).sum(dim=0).clamp(min=1e-30)
        entropy = torch.log(information) / (1 - alpha)
    return torch.where(weight.sum() > 0, entropy.mean(), entropy.sum() * 0)
