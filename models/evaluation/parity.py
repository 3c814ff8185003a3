"""Is the served model the one that was trained? Two ways of inference on the same images.

In: a model, two servers, cases. Out: how far their findings are apart. What must hold: everything
after inference is the same code for both, so that what differs comes from inference alone: storage
of weights in half the bytes, order of sums, runtime.

Findings are paired where they are of one kind and their masks overlap by IoU >= 0.5. One that has
no partner is a difference, unless its score lies within the tolerance of the operating point: there
rounding alone decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from models.contract import Model, ModelInputError, ModelOutput, Region
from models.datasets.cases import Case
from models.evaluation.matching import intersection_px
from models.evaluation.run import Server, thresholds_by_kind

# Below what a reader could see. An edge lies where a probability passes one half on the network's
# grid, a pixel of which may be two of the image's; a score may differ in its second decimal.
BOX_PX = 2.0
SCORE = 0.01
MASK_SHARE = 0.02  # of the union of both masks
PROBABILITY = 0.01

_PAIR_IOU = 0.5


@dataclass(slots=True)
class Agreement:
    """Largest differences over all images; `borderline`: unpaired beside the operating point."""

    images: int = 0
    refused: int = 0
    findings: int = 0
    paired: int = 0
    borderline: int = 0
    box_px: float = 0.0
    score: float = 0.0
    mask_share: float = 0.0
    probability: float = 0.0

    @property
    def unpaired(self) -> int:
        """Findings of either side that the other lacks, beyond rounding."""
        return self.findings - 2 * self.paired - self.borderline

    @property
    def is_same(self) -> bool:
        """Whether both are the same model for every purpose."""
        return (
            self.images > 0
            and self.unpaired == 0
            and self.box_px <= BOX_PX
            and self.score <= SCORE
            and self.mask_share <= MASK_SHARE
            and self.probability <= PROBABILITY
        )

    def report(self) -> dict[str, Any]:
        """Plain values, with the tolerances beside them."""
        tolerances = {
            "box_px": BOX_PX,
            "score": SCORE,
            "mask_share": MASK_SHARE,
            "probability": PROBABILITY,
        }
        facts = asdict(self) | {"unpaired": self.unpaired, "is_same": self.is_same}
        return facts | {"tolerances": tolerances}


def compare(
    model: Model, first: Server, second: Server, cases: Iterable[Case], done: Callable[[], None]
) -> Agreement:
    """Run every case both ways; `done` is called after each. Raises what the servers raise."""
    agreement = Agreement()
    for case in cases:
        try:
            prepared = model.preprocess(case.read())
        except ModelInputError:
            agreement.refused += 1
        else:
            outputs = [
                model.postprocess(server.infer(model.spec, prepared.tensors)[0], prepared)
                for server in (first, second)
            ]
            _add(agreement, model, outputs[0], outputs[1])
        done()
    return agreement


def _add(agreement: Agreement, model: Model, first: ModelOutput, second: ModelOutput) -> None:
    agreement.images += 1
    agreement.findings += len(first.regions) + len(second.regions)
    for name, value in first.classification.items():
        apart = abs(value - second.classification[name])
        agreement.probability = max(agreement.probability, apart)
    left = list(second.regions)
    for region in first.regions:
        partner = max(left, key=lambda other: _iou(region, other), default=None)
        if partner is None or _iou(region, partner) < _PAIR_IOU:
            agreement.borderline += _is_borderline(model, region)
            continue
        left.remove(partner)
        agreement.paired += 1
        agreement.score = max(agreement.score, abs(region.score - partner.score))
        agreement.mask_share = max(agreement.mask_share, 1.0 - _iou(region, partner))
        agreement.box_px = max(agreement.box_px, _box_difference(region, partner))
    agreement.borderline += sum(_is_borderline(model, region) for region in left)


def _is_borderline(model: Model, region: Region) -> bool:
    return region.score - thresholds_by_kind(model.spec)[region.kind] <= SCORE


def _iou(a: Region, b: Region) -> float:
    if a.kind != b.kind:
        return 0.0
    shared = intersection_px(a, b)
    union = int(a.mask.sum()) + int(b.mask.sum()) - shared
    return shared / union if union else 0.0


def _box_difference(a: Region, b: Region) -> float:
    """Largest distance of equal edges, px."""
    edges = [
        (*item.offset_px, *(o + s for o, s in zip(item.offset_px, item.mask.shape, strict=True)))
        for item in (a, b)
    ]
    return float(max(abs(x - y) for x, y in zip(*edges, strict=True)))
