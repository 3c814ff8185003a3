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
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.contract import Model, ModelInputError, ModelOutput, Region
from models.datasets.cases import Case
from models.datasets.tables import DataSetError
from models.evaluation.run import Server, thresholds_by_kind
from models.imaging.regions import intersection_px

# Of 95 % of the pairs: below what a reader could see. An edge lies where a probability passes one
# half on the network's grid, a pixel of which may be two of the image's.
BOX_PX = 2.0
MASK_SHARE = 0.02  # of the union of both masks
SCORE = 0.01
PROBABILITY = 0.01
# Of every pair: where two proposals are nearly as good, or a probability is nearly one half over a
# whole area, rounding decides which of two outlines is drawn.
WORST_MASK_SHARE = 0.10
WORST_SCORE = 0.03

_PAIR_IOU = 0.5
_TYPICAL = 95.0

Values = list[float]


@dataclass(slots=True)
class Agreement:
    """Differences over all images; `borderline`: unpaired beside the operating point."""

    images: int = 0
    refused: int = 0
    unreadable: int = 0
    findings: int = 0
    paired: int = 0
    borderline: int = 0
    box_px: Values = field(default_factory=list)
    score: Values = field(default_factory=list)
    mask_share: Values = field(default_factory=list)
    probability: Values = field(default_factory=list)

    @property
    def unpaired(self) -> int:
        """Findings of either side that the other lacks, beyond rounding."""
        return self.findings - 2 * self.paired - self.borderline

    @property
    def is_same(self) -> bool:
        """Whether both are the same model for every purpose."""
        typical = (
            (self.box_px, BOX_PX),
            (self.mask_share, MASK_SHARE),
            (self.score, SCORE),
            (self.probability, PROBABILITY),
        )
        return (
            self.images > 0
            and self.unpaired == 0
            and all(_percentile(values, _TYPICAL) <= limit for values, limit in typical)
            and max(self.mask_share, default=0.0) <= WORST_MASK_SHARE
            and max(self.score, default=0.0) <= WORST_SCORE
        )

    def report(self) -> dict[str, Any]:
        """Plain values, with the tolerances beside them."""
        differences = {
            name: {
                "median": _percentile(values, 50.0),
                "typical": _percentile(values, _TYPICAL),
                "largest": max(values, default=0.0),
            }
            for name, values in (
                ("box_px", self.box_px),
                ("mask_share", self.mask_share),
                ("score", self.score),
                ("probability", self.probability),
            )
        }
        return {
            **{name: getattr(self, name) for name in _COUNTS},
            "is_same": self.is_same,
            "differences": differences,
            "allowed_of_95_percent": {
                "box_px": BOX_PX,
                "mask_share": MASK_SHARE,
                "score": SCORE,
                "probability": PROBABILITY,
            },
            "allowed_of_all": {"mask_share": WORST_MASK_SHARE, "score": WORST_SCORE},
        }


_COUNTS = ("images", "refused", "unreadable", "findings", "paired", "unpaired", "borderline")


def _percentile(values: Values, percent: float) -> float:
    return float(np.percentile(values, percent)) if values else 0.0


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
        except (DataSetError, OSError):
            agreement.unreadable += 1
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
        agreement.probability.append(abs(value - second.classification[name]))
    left = list(second.regions)
    for region in first.regions:
        partner = max(left, key=lambda other: _iou(region, other), default=None)
        if partner is None or _iou(region, partner) < _PAIR_IOU:
            agreement.borderline += _is_borderline(model, region)
            continue
        left.remove(partner)
        agreement.paired += 1
        agreement.score.append(abs(region.score - partner.score))
        agreement.mask_share.append(1.0 - _iou(region, partner))
        agreement.box_px.append(_box_difference(region, partner))
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
