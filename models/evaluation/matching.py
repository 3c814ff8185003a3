"""Which findings hit which lesions.

In: the regions of one image and its true lesions. Out: an `ImageResult`, from which every figure is
computed. The rule: a region hits a lesion of its own kind if they overlap by IoU >= 0.2, or if the
region's centre of mass lies inside the lesion's outline. A lesion that several regions hit counts
once, with the best score; a second hit is neither a find nor a false positive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from models.contract import FindingKind, ModelOutput, Region
from models.datasets.cases import Case, Label, Lesion
from models.evaluation.metrics import Counts
from models.imaging.regions import intersection_px

HIT_IOU = 0.2  # lenient on outlines, as is usual where the question is whether a lesion was found

Shape = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ImageResult:
    """What one image contributes.

    `found`: for each true lesion its kind and the best score that hit it, 0 if none did. `false`:
    kind and score of each region that hit nothing. `pixels`: union of marked against union of true
    pixels. All three are None where nobody outlined the lesions.

    `overlaps`: for each true lesion the Dice coefficient with the best-scored region that hit it, 0
    if none did. `pixels_by_kind`: as `pixels`, of one kind each. `group`: images of equal group are
    not independent; empty means that the image stands for itself. `clinical`: as in `Case`.
    `kinds`: those of which the truth is known, the others are not judged; None for all. `told`: for
    each true lesion its own class, None where nobody tells it, and the class of the best-scored
    region that marks it at the operating point, empty if none does or the model tells no classes.
    """

    name: str
    label: Label | None
    probabilities: dict[str, float]
    found: tuple[tuple[FindingKind, float], ...] | None
    false: tuple[tuple[FindingKind, float], ...] | None
    pixels: Counts | None
    overlaps: tuple[float, ...] = ()
    pixels_by_kind: Mapping[FindingKind, Counts] = field(default_factory=dict)
    group: str = ""
    clinical: Mapping[str, float | str] = field(default_factory=dict)
    kinds: frozenset[FindingKind] | None = None
    told: tuple[tuple[Label | None, str], ...] = ()


def judge(
    case: Case,
    output: ModelOutput,
    shape: Shape,
    kinds: frozenset[FindingKind],
    thresholds: dict[FindingKind, float],
) -> ImageResult:
    """Compare one output, which may reach below the operating point, with the truth.

    `shape`: (rows, columns) of the image. `kinds`: those that the model can report; other lesions
    are ignored. `thresholds`: operating point of each kind, for `pixels`.
    """
    probabilities = dict(output.classification)
    known = ImageResult(
        *(case.name, case.truth.label, probabilities, None, None, None),
        group=case.group,
        clinical=case.clinical,
    )
    kinds = frozenset(kind for kind in kinds if case.truth.knows(kind))
    if not kinds:
        return known
    lesions = [lesion for lesion in case.truth.lesions or () if lesion.kind in kinds]
    regions = [region for region in output.regions if region.kind in kinds]
    found, false = match(regions, lesions)
    marked = [region for region in regions if region.score >= thresholds[region.kind]]
    return replace(
        known,
        found=found,
        false=false,
        pixels=Counts.of(paint(lesions, shape), paint(marked, shape)),
        overlaps=tuple(_overlap(regions, lesion) for lesion in lesions),
        pixels_by_kind={
            kind: Counts.of(
                paint([lesion for lesion in lesions if lesion.kind == kind], shape),
                paint([region for region in marked if region.kind == kind], shape),
            )
            for kind in kinds
        },
        kinds=kinds,
        told=tuple((lesion.label, _class_of(marked, lesion)) for lesion in lesions),
    )


def match(
    regions: Sequence[Region], lesions: Sequence[Lesion]
) -> tuple[tuple[tuple[FindingKind, float], ...], tuple[tuple[FindingKind, float], ...]]:
    """`found` and `false` of ImageResult."""
    best = [0.0] * len(lesions)
    false = []
    for region in regions:
        hits = [index for index, lesion in enumerate(lesions) if is_hit(region, lesion)]
        for index in hits:
            best[index] = max(best[index], region.score)
        if not hits:
            false.append((region.kind, region.score))
    found = tuple((lesion.kind, score) for lesion, score in zip(lesions, best, strict=True))
    return found, tuple(false)


def is_hit(region: Region, lesion: Lesion) -> bool:
    """The matching rule."""
    if region.kind != lesion.kind:
        return False
    overlap = intersection_px(region, lesion)
    union = int(region.mask.sum()) + int(lesion.mask.sum()) - overlap
    return overlap >= HIT_IOU * union or _centre_inside(region, lesion)


def dice(region: Region, lesion: Lesion) -> float:
    """Dice coefficient of two masks."""
    areas = int(region.mask.sum()) + int(lesion.mask.sum())
    return 2.0 * intersection_px(region, lesion) / areas if areas else 0.0


def _overlap(regions: Sequence[Region], lesion: Lesion) -> float:
    """Dice with the mark of the lesion."""
    mark = _mark(regions, lesion)
    return dice(mark, lesion) if mark else 0.0


def _class_of(regions: Sequence[Region], lesion: Lesion) -> str:
    mark = _mark(regions, lesion)
    return mark.label if mark else ""


def _mark(regions: Sequence[Region], lesion: Lesion) -> Region | None:
    """The best-scored region that hits the lesion: the one that a reader would follow."""
    hits = [region for region in regions if is_hit(region, lesion)]
    return max(hits, key=lambda region: region.score, default=None)


def paint(items: Iterable[Region | Lesion], shape: Shape) -> NDArray[np.bool_]:
    """Union of masks on an image of `shape`; what reaches beyond it is cut off."""
    canvas = np.zeros(shape, np.bool_)
    for item in items:
        top, left = item.offset_px
        place = canvas[top : top + item.mask.shape[0], left : left + item.mask.shape[1]]
        place |= item.mask[: place.shape[0], : place.shape[1]]
    return canvas


def _centre_inside(region: Region, lesion: Lesion) -> bool:
    rows, columns = np.nonzero(region.mask)
    row = round(float(rows.mean())) + region.offset_px[0] - lesion.offset_px[0]
    column = round(float(columns.mean())) + region.offset_px[1] - lesion.offset_px[1]
    height, width = lesion.mask.shape
    return 0 <= row < height and 0 <= column < width and bool(lesion.mask[row, column])
