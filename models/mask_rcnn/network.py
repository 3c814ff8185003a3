"""Mask R-CNN, composed: images to boxes, scores, labels and masks of fixed size.

In: FP32 (n, 3, height, width), grey values 0 to 255. Out, zero-padded to `detections` rows, best
first: boxes (n, d, 4) in input pixels, scores (n, d), labels int32 (n, d) with 0 for padding, masks
(n, d, 28, 28) as probabilities over each box, num int32 (n, 1), and with an image head the image's
probabilities (n, 3).
What must hold: every operator exists in ONNX opset 13 and TensorRT 8.2, no size depends on data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.mask_rcnn.backbone import Backbone, normalise
from models.mask_rcnn.boxes import DETECTION_WEIGHTS, clip, decode, take
from models.mask_rcnn.configuration import MASK_PX, NetworkConfig
from models.mask_rcnn.heads import BoxHead, ImageHead, MaskHead, SemanticHead
from models.mask_rcnn.nms import suppress
from models.mask_rcnn.roi import sample
from models.mask_rcnn.rpn import RegionProposals

Outputs = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Features:
    """`maps`: P2 to P6. `roi_maps`: what boxes read, P2 to P5. `semantic`, `image`: logits."""

    maps: list[Tensor]
    roi_maps: list[Tensor]
    semantic: Tensor | None
    image: Tensor | None


class MaskRCNN(nn.Module):
    """The two stages and, in `forward`, what becomes of them when serving."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        self.proposals = RegionProposals(config)
        self.box_head = BoxHead(config)
        self.mask_head = MaskHead(config)
        self.semantic_head = SemanticHead(config) if config.semantic else None
        self.image_head = ImageHead(config) if config.image_head else None

    def resize(self, input_px: tuple[int, int]) -> None:
        """Take images of another size from now on; the weights do not depend on it."""
        if input_px != self.config.input_px:
            self.config = replace(self.config, input_px=input_px)
            self.proposals.lay_anchors(self.config)

    def features(self, images: Tensor) -> Features:
        """Everything that is computed once per image, of grey values 0 to 255."""
        maps: list[Tensor] = self.backbone(normalise(images))
        if self.semantic_head is None:
            return Features(maps, maps[:4], None, None)
        semantic = self.semantic_head(maps[0])
        image = None if self.image_head is None else self.image_head(maps, semantic)
        return Features(maps, _joined(maps[:4], semantic), semantic, image)

    def forward(self, images: Tensor) -> Outputs:
        """Detect. Returns (boxes, scores, labels, masks, num[, image]): the module docstring."""
        features = self.features(images)
        logits, offsets = self.proposals(features.maps[1:])
        candidates, valid = self.proposals.propose(logits, offsets)
        boxes, scores, labels = self._detect(features.roi_maps, candidates, valid)
        found = (scores > 0).to(torch.float32)
        masks = self._masks(features.roi_maps, boxes, labels) * found.unsqueeze(-1).unsqueeze(-1)
        num = found.sum(dim=1, keepdim=True).to(torch.int32)
        outputs = (
            boxes * found.unsqueeze(-1),
            scores,
            (labels * found).to(torch.int32),
            masks,
            num,
        )
        if features.image is None:
            return outputs
        return (*outputs, torch.softmax(features.image, dim=1))

    def _detect(
        self, maps: list[Tensor], candidates: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (n, d, 4), scores (n, d) with 0 for padding, labels as float (n, d).

        A score is the probability of a lesion of any class: one region is one finding, and its
        label is the likeliest class.
        """
        count = int(candidates.shape[1])  # a constant of the graph: TensorRT before 8.6 needs it
        logits, offsets = self.box_head(sample(maps, candidates, self.config).flatten(0, 1))
        probability = torch.softmax(logits, dim=1)[:, 1:]
        _, label = probability.topk(1, dim=1)
        label = label.to(torch.float32).reshape(-1, count) + 1.0
        boxes = decode(candidates, offsets.reshape(-1, count, 4), DETECTION_WEIGHTS)
        boxes = clip(boxes, self.config.input_px)
        # Rounding may carry a sum of probabilities past 1, which the reader of scores refuses.
        lesion = probability.sum(dim=1).clamp(max=1.0)
        score, order = (lesion.reshape(-1, count) * valid).topk(count, dim=1)
        boxes, label = take(boxes, order), label.gather(1, order)
        confident = (score >= self.config.score_floor).to(torch.float32)
        kept = suppress(boxes, confident, self.config.detection_overlap)
        score, order = (score * kept).topk(min(self.config.detections, count), dim=1)
        return take(boxes, order), score, label.gather(1, order)

    def _masks(self, maps: list[Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
        """Probabilities (n, d, 28, 28) of the class that each detection was given."""
        logits = self.mask_head(sample(maps, boxes, self.config).flatten(0, 1))
        mask = torch.sigmoid(logits)
        if self.config.mask_classes > 1:
            number = torch.arange(1, self.config.classes, device=boxes.device, dtype=torch.float32)
            chosen = (labels.reshape(-1, 1) == number).to(torch.float32)
            mask = mask * chosen.unsqueeze(-1).unsqueeze(-1)
        return mask.sum(dim=1).reshape(-1, int(boxes.shape[1]), MASK_PX, MASK_PX)


def _joined(maps: list[Tensor], semantic: Tensor) -> list[Tensor]:
    """Each map with the semantic logits, at its own stride, as one more channel.

    Boxes read it but do not train it: its own loss does, with every pixel of the image.
    """
    logits = semantic.detach().clamp(-8.0, 8.0)
    joined = []
    for number, features in enumerate(maps):
        if number > 0:
            logits = functional.avg_pool2d(logits, 2)
        joined.append(torch.cat([features.float(), logits], dim=1))
    return joined
