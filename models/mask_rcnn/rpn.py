"""Region proposal network (Ren et al., "Faster R-CNN"): pyramid to candidate boxes.

In: maps P3 to P6. Out: objectness logits and box offsets per anchor, and from them a fixed number
of proposals per image. Levels share one head, so that a mass is recognised at any size.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from models.mask_rcnn.anchors import anchors
from models.mask_rcnn.boxes import PROPOSAL_WEIGHTS, clip, decode, take
from models.mask_rcnn.configuration import NetworkConfig
from models.mask_rcnn.nms import suppress


class RegionProposals(nn.Module):
    """The head, its anchors, and the choice of proposals."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        per_cell = config.anchors.per_cell
        self.convolution = nn.Conv2d(config.channels, config.channels, 3, padding=1)
        self.objectness = nn.Conv2d(config.channels, per_cell, 1)
        self.offsets = nn.Conv2d(config.channels, 4 * per_cell, 1)
        for layer in (self.convolution, self.objectness, self.offsets):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(cast(Tensor, layer.bias))
        self.lay_anchors(config)

    def lay_anchors(self, config: NetworkConfig) -> None:
        """Take the input size of `config`; the weights do not depend on it."""
        self.config = config
        device = self.objectness.weight.device
        for level, boxes in enumerate(anchors(config)):
            self.register_buffer(f"anchors_{level}", boxes.to(device), persistent=False)

    def level_anchors(self) -> list[Tensor]:
        """Anchors (a, 4) per level."""
        return [
            cast(Tensor, getattr(self, f"anchors_{level}"))
            for level in range(len(self.config.anchors.sizes_px))
        ]

    def forward(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Per level: logits (n, a) and offsets (n, a, 4), in the anchors' order."""
        logits, offsets = [], []
        for features in maps:
            hidden = torch.relu(self.convolution(features))
            logits.append(self.objectness(hidden).permute(0, 2, 3, 1).flatten(1).float())
            moved = self.offsets(hidden).permute(0, 2, 3, 1)
            offsets.append(moved.reshape(moved.shape[0], -1, 4).float())
        return logits, offsets

    def propose(self, logits: list[Tensor], offsets: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Boxes (n, proposals, 4) and their validity, float (n, proposals), best first.

        Suppression runs over all levels at once: a mass seen on two levels is one candidate.
        """
        boxes, scores = [], []
        for level_logits, level_offsets, reference in zip(
            logits, offsets, self.level_anchors(), strict=True
        ):
            count = min(self.config.before_nms, reference.shape[0])
            score, index = level_logits.topk(count, dim=1)
            flat = reference.index_select(0, index.reshape(-1)).reshape(-1, count, 4)
            boxes.append(decode(flat, take(level_offsets, index), PROPOSAL_WEIGHTS))
            scores.append(score)
        return self._best(
            clip(torch.cat(boxes, dim=1), self.config.input_px), torch.cat(scores, dim=1)
        )

    def _best(self, boxes: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        # By logits: sigmoids of many good candidates round to the same number, and every runtime
        # would put those in an order of its own.
        count = int(logits.shape[1])  # a constant of the graph: TensorRT before 8.6 needs it
        _, order = logits.topk(count, dim=1)
        boxes = take(boxes, order)
        large = (boxes[..., 2] - boxes[..., 0] >= 2.0) & (boxes[..., 3] - boxes[..., 1] >= 2.0)
        kept = suppress(boxes, large.to(torch.float32), self.config.proposal_overlap)
        # What is kept by its rank, which is above zero; zero marks what was suppressed.
        rank = torch.arange(count, 0, -1, device=boxes.device, dtype=torch.float32)
        score, order = (rank * kept).topk(min(self.config.proposals, count), dim=1)
        return take(boxes, order), (score > 0).to(torch.float32)
