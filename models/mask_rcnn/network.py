"""Mask R-CNN, composed: images to boxes, scores, labels and masks of fixed size.

In: FP32 (n, 3, height, width), grey values 0 to 255. Out, zero-padded to `detections` rows, best
first: boxes (n, d, 4) in input pixels, scores (n, d), labels int32 (n, d) with 0 for padding, masks
(n, d, 28, 28) as probabilities over each box, num int32 (n, 1).
What must hold: every operator exists in ONNX opset 13 and TensorRT 8.2, no size depends on data.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.mask_rcnn.backbone import Backbone, normalise
from models.mask_rcnn.boxes import DETECTION_WEIGHTS, clip, decode, take
from models.mask_rcnn.configuration import MASK_PX, NetworkConfig
from models.mask_rcnn.heads import BoxHead, MaskHead
from models.mask_rcnn.nms import suppress
from models.mask_rcnn.roi import sample
from models.mask_rcnn.rpn import RegionProposals

Outputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


class MaskRCNN(nn.Module):
    """The two stages and, in `forward`, what becomes of them when serving."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config.depth, config.channels)
        self.proposals = RegionProposals(config)
        self.box_head = BoxHead(config)
        self.mask_head = MaskHead(config)

    def features(self, images: Tensor) -> list[Tensor]:
        """Maps P2 to P6 of images (n, 3, height, width), grey values 0 to 255."""
        maps: list[Tensor] = self.backbone(normalise(images))
        return maps

    def forward(self, images: Tensor) -> Outputs:
        """Detect. Returns (boxes, scores, labels, masks, num) as the module docstring has them."""
        maps = self.features(images)
        logits, offsets = self.proposals(maps[1:])
        candidates, valid = self.proposals.propose(logits, offsets)
        boxes, scores, labels = self._detect(maps, candidates, valid)
        found = (scores > 0).to(torch.float32)
        masks = self._masks(maps, boxes, labels) * found.unsqueeze(-1).unsqueeze(-1)
        num = found.sum(dim=1, keepdim=True).to(torch.int32)
        return (
            boxes * found.unsqueeze(-1),
            scores,
            (labels * found).to(torch.int32),
            masks,
            num,
        )

    def _detect(
        self, maps: list[Tensor], candidates: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (n, d, 4), scores (n, d) with 0 for padding, labels as float (n, d)."""
        count = candidates.shape[1]
        logits, offsets = self.box_head(sample(maps, candidates).flatten(0, 1))
        # A proposal counts for its likeliest class only: one region is one finding.
        best, label = torch.softmax(logits, dim=1)[:, 1:].topk(1, dim=1)
        label = label.to(torch.float32).reshape(-1, count) + 1.0
        boxes = decode(candidates, offsets.reshape(-1, count, 4), DETECTION_WEIGHTS)
        boxes = clip(boxes, self.config.input_px)
        score = best.reshape(-1, count) * valid
        score, order = score.topk(count, dim=1)
        boxes, label = take(boxes, order), label.gather(1, order)
        confident = (score >= self.config.score_floor).to(torch.float32)
        kept = suppress(boxes, confident, self.config.detection_overlap)
        score, order = (score * kept).topk(min(self.config.detections, count), dim=1)
        return take(boxes, order), score, label.gather(1, order)

    def _masks(self, maps: list[Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
        """Probabilities (n, d, 28, 28) of the class that each detection was given."""
        logits = self.mask_head(sample(maps, boxes).flatten(0, 1))
        probability = torch.sigmoid(logits)
        number = torch.arange(1, self.config.classes, device=boxes.device, dtype=torch.float32)
        chosen = (labels.reshape(-1, 1) == number).to(torch.float32)
        mask = (probability * chosen.unsqueeze(-1).unsqueeze(-1)).sum(dim=1)
        return mask.reshape(-1, boxes.shape[1], MASK_PX, MASK_PX)
