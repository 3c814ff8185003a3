"""Free-response figures of a trained network on real mammograms, before it is exported.

In: a torch network and cases with known lesions. Out: what was seen of each image, and figures:
sensitivity at so many false positives per image, the score that gives them, AUC over images (mass
or none: the ROC of paper 000, figure 4), mean Dice of the masses that were found (its DSI), and how
many of them were told apart as benign and malignant.
A hit is one by the rule of `models.evaluation.matching`; the path is that of service.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from models.contract import FindingKind, ModelInputError, Region
from models.datasets.cases import Case
from models.evaluation.matching import dice, match
from models.evaluation.metrics import auc
from models.mask_rcnn import detections, tensors
from models.mask_rcnn.network import MaskRCNN
from models.mask_rcnn_mg.model import MODEL
from models.mask_rcnn_mg.spec import CONFIG, SPEC

FALSE_POSITIVES = {"1": 1.0, "half": 0.5, "quarter": 0.25}
_BOOTSTRAP_SAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Seen:
    """One image. `found`: best score on each mass, 0 where none hit; `false`: scores of others.

    `dice`: for each mass that was hit, with the region of the best score. `group`: the patient.
    `told`: true and given class of each mass that was hit and whose class is known.
    """

    name: str
    group: str
    found: tuple[float, ...]
    false: tuple[float, ...]
    dice: tuple[float, ...]
    told: tuple[tuple[str, str], ...] = ()


def predict(network: MaskRCNN, cases: Sequence[Case], grey_only: bool = False) -> list[Seen]:
    """Run every case whose lesions are known and whose breast is found."""
    device = next(network.parameters()).device
    whole = MaskRCNN(replace(network.config, input_px=CONFIG.input_px)).to(device).eval()
    whole.load_state_dict(network.state_dict())
    # Of what this network gives, which need not be the served one, down to the lowest score.
    spec = replace(
        SPEC,
        outputs=tensors.outputs(whole.config),
        classes=SPEC.classes
        if whole.config.classes == len(SPEC.classes)
        else ("background", "mass"),
        thresholds={"mass": 0.0},
    )
    seen = []
    for case in cases:
        try:
            prepared = MODEL.preprocess(case.read())
        except ModelInputError:
            continue
        image = torch.from_numpy(prepared.tensors[tensors.INPUT]).to(device)
        if grey_only:
            image = image[:, :1].expand(-1, 3, -1, -1)
        with torch.inference_mode():
            outputs = [tensor.float().cpu().numpy() for tensor in whole(image)]
        named = {
            one.name: values.astype(np.int32 if one.datatype == "INT32" else np.float32)
            for one, values in zip(spec.outputs, outputs, strict=True)
        }
        regions = detections.postprocess(spec, named, prepared).regions
        seen.append(judge(case, regions))
    return seen


def judge(case: Case, regions: Sequence[Region]) -> Seen:
    """Compare the regions of one image with its masses; other lesions are ignored."""
    masses = [item for item in case.truth.lesions or () if item.kind is FindingKind.MASS]
    found, false = match(regions, masses)
    hits = [
        (mass, max((r for r in regions if r.score == score), key=lambda r: dice(r, mass)))
        for mass, (_, score) in zip(masses, found, strict=True)
        if score > 0
    ]
    return Seen(
        case.name,
        case.group,
        tuple(score for _, score in found),
        tuple(score for _, score in false),
        tuple(dice(region, mass) for mass, region in hits),
        tuple((mass.label, region.label) for mass, region in hits if mass.label and region.label),
    )


def figures(seen: Sequence[Seen]) -> dict[str, float]:
    """Figures over all images, at the thresholds that these images themselves give."""
    result: dict[str, float] = {"images": len(seen)}
    found = np.array([score for image in seen for score in image.found])
    result["masses"] = len(found)
    for name, limit in FALSE_POSITIVES.items():
        threshold = threshold_at(seen, limit)
        result[f"threshold_at_{name}_fp"] = threshold
        result[f"sensitivity_at_{name}_fp"] = _share(found >= threshold)
    actual = np.array([bool(image.found) for image in seen])
    top = np.array([max((*image.found, *image.false), default=0.0) for image in seen])
    result["auc"] = float(auc(actual, top))
    overlaps = [value for image in seen for value in image.dice]
    result["dice_of_hits"] = float(np.mean(overlaps)) if overlaps else 0.0
    return result | _told_apart([pair for image in seen for pair in image.told])


def _told_apart(pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """`classed` masses, the share whose class was told rightly, and the mean of it over classes."""
    right = {
        name: [given == actual for actual, given in pairs if actual == name]
        for name in sorted({actual for actual, _ in pairs})
    }
    if not right:
        return {}
    return {
        "classed": len(pairs),
        "class_accuracy": float(np.mean([given == actual for actual, given in pairs])),
        "class_balanced_accuracy": float(np.mean([np.mean(own) for own in right.values()])),
    }


def at_threshold(seen: Sequence[Seen], threshold: float) -> dict[str, float]:
    """Sensitivity and false positives per image at an operating point chosen elsewhere."""
    found = np.array([score for image in seen for score in image.found])
    false = np.array([score for image in seen for score in image.false])
    return {
        "sensitivity": _share(found >= threshold),
        "false_positives_per_image": float((false >= threshold).sum()) / max(1, len(seen)),
    }


def threshold_at(seen: Sequence[Seen], false_positives: float) -> float:
    """The lowest score at which there are no more false positives per image than that."""
    false = np.sort([score for image in seen for score in image.false])[::-1]
    allowed = int(false_positives * len(seen))
    above = float(false[allowed]) if allowed < len(false) else 0.0
    return float(np.nextafter(above, 1.0))


def intervals(seen: Sequence[Seen], seed: int = 0) -> Mapping[str, tuple[float, float]]:
    """95 % bounds of `figures` over resampled patients; all images of a patient go together."""
    rng = np.random.default_rng(seed)
    by_group: dict[str, list[Seen]] = {}
    for image in seen:
        by_group.setdefault(image.group or image.name, []).append(image)
    groups = list(by_group.values())
    drawn: dict[str, list[float]] = {}
    for _ in range(_BOOTSTRAP_SAMPLES):
        picked = [groups[number] for number in rng.integers(0, len(groups), len(groups))]
        for name, value in figures([image for group in picked for image in group]).items():
            drawn.setdefault(name, []).append(value)
    bounds = {name: np.nanpercentile(values, (2.5, 97.5)) for name, values in drawn.items()}
    return {name: (float(low), float(high)) for name, (low, high) in bounds.items()}


def _share(hits: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float:
    return float(hits.mean()) if len(hits) else float("nan")
