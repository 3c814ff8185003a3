"""The content of `report.json`: every figure of one evaluation, with its interval.

In: the specification, what was evaluated, and the outcome. Out: one object of plain values. What
must hold: a figure that is undefined is null; names of design.md stay.

`metrics`, of a model that marks findings: `sensitivity` counts lesions, `false_positives_per_image`
marks that hit nothing, `froc` holds (false marks per image, sensitivity) over all thresholds;
`dice` and `jaccard` are means over images with lesions, `dice_detected` and `jaccard_detected` over
the lesions that were found; `precision` to `mcc` and `auc` judge whole images: is anything there?
Of a classifier the same names judge "malignant" against the rest. `accuracy` is over all classes
that the model tells apart. `classes` holds what there is to say of normal, benign and malignant,
`lesion_classes` of the lesions that were marked, one by one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from models.contract import FindingKind, ModelSpec
from models.evaluation import bootstrap
from models.evaluation.classes import ClassTally, by_breast, by_group, shortcuts
from models.evaluation.lesions import NATURES, LesionTally, tells_classes
from models.evaluation.matching import HIT_IOU, ImageResult
from models.evaluation.run import Outcome, thresholds_by_kind
from models.evaluation.tally import Figures, Tally

NOTICE = "For research use only. Not a medical device."

# Names that every report has, defined or not.
NAMES = (
    *("sensitivity", "false_positives_per_image", "dice", "jaccard", "auc", "accuracy"),
    *("precision", "recall", "specificity", "f1", "bcr", "youden", "mcc"),
)
# False marks per image at which the FROC is read, as challenges do.
FROC_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)

Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Subject:
    """What was evaluated. `data` names the folder, `layout` its kind, never a patient.

    `part`: all, training or validation side of the folder. `through`: onnx, torch or served.
    `weights_sha256`: of the exported file, empty where other weights were evaluated. `limit`: at
    most so many images of that side were looked at. `n_other_modality`: images of the folder that
    are not this model's. `left_out`: how often each reason made a file or line of a table no image.
    `may_have_seen`: whether the weights may have been trained on some of them; None: nobody knows.
    """

    data: str
    layout: str = ""
    part: str = "all"
    through: str = "onnx"
    weights_sha256: str = ""
    limit: int | None = None
    n_other_modality: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    may_have_seen: bool | None = None


def make_report(spec: ModelSpec, subject: Subject, outcome: Outcome) -> Report:
    """The content of report.json."""
    judged = judged_results(spec, outcome.results)
    classes = _classes(spec, outcome.results)
    figures, bounds = _main(spec, judged)
    if classes is not None and figures:
        # A model that tells classes apart is judged by them, and not by whether it marks anything.
        for source, target in (("figures", figures), ("intervals", bounds)):
            target["accuracy"] = classes[source]["accuracy"]
    metrics: Report = dict.fromkeys(NAMES) | _plain(figures)
    metrics["froc"] = _froc(spec, judged)
    return {
        "model": spec.name,
        "version": spec.version,
        "data": subject.data,
        "layout": subject.layout,
        "part": subject.part,
        "may_have_seen": subject.may_have_seen,
        "through": subject.through,
        "weights_sha256": subject.weights_sha256,
        "n_images": len(judged),
        "n_groups": len({result.group or result.name for result in judged}),
        "n_without_truth": len(outcome.results) - len(judged),
        "n_refused": len(outcome.refused),
        "n_unreadable": len(outcome.unreadable),
        "n_other_modality": subject.n_other_modality,
        "left_out": dict(subject.left_out),
        "limit": subject.limit,
        "thresholds": dict(spec.thresholds),
        "matching": f"same kind, and IoU >= {HIT_IOU} or centre of mass inside the lesion",
        "metrics": metrics,
        "intervals": {name: bounds.get(name) for name in metrics if name != "froc"},
        "image_counts": _image_counts(spec, judged),
        "sensitivity_at": _sensitivity_at(spec, judged),
        "by_kind": _by_kind(spec, judged),
        "classes": classes,
        "lesion_classes": _lesion_classes(judged),
        "confusion": None if classes is None else classes["confusion"],
        "notice": NOTICE,
    }


def judged_results(spec: ModelSpec, results: Sequence[ImageResult]) -> list[ImageResult]:
    """Those whose truth is known as far as this model's main figures need it."""
    if spec.task == "classification":
        return classified(results)
    return [result for result in results if result.found is not None]


def classified(results: Sequence[ImageResult]) -> list[ImageResult]:
    """Those with a label, and with probabilities beside it."""
    return [result for result in results if result.label is not None and result.probabilities]


def tally_of(
    spec: ModelSpec, results: Sequence[ImageResult], kind: FindingKind | None = None
) -> Tally:
    """Of all kinds that the model reports, or of one."""
    thresholds = thresholds_by_kind(spec)
    return Tally(results, thresholds, frozenset(thresholds if kind is None else (kind,)))


def class_tally_of(spec: ModelSpec, results: Sequence[ImageResult]) -> ClassTally:
    """`results` are not empty. A model without a threshold for images takes one half."""
    threshold = spec.thresholds.get("malignant", 0.5)
    return ClassTally(results, list(results[0].probabilities), threshold)


def groups_of(results: Sequence[ImageResult]) -> list[str]:
    return [result.group for result in results]


def _main(spec: ModelSpec, judged: list[ImageResult]) -> tuple[Figures, dict[str, Any]]:
    if not judged:
        return {}, {}
    classifier = spec.task == "classification"
    tally = class_tally_of(spec, judged) if classifier else tally_of(spec, judged)
    figures = tally.figures(np.ones(len(judged)))
    return figures, bootstrap.intervals(groups_of(judged), tally.figures)


def _image_counts(spec: ModelSpec, judged: list[ImageResult]) -> dict[str, int] | None:
    """The table of four behind `precision` to `mcc`."""
    if not judged:
        return None
    classifier = spec.task == "classification"
    tally = class_tally_of(spec, judged) if classifier else tally_of(spec, judged)
    return {name: int(value) for name, value in asdict(tally.counts()).items()}


def _froc(spec: ModelSpec, judged: list[ImageResult]) -> list[tuple[float, float]] | None:
    return None if spec.task == "classification" else tally_of(spec, judged).froc()


def _sensitivity_at(
    spec: ModelSpec, judged: list[ImageResult], kind: FindingKind | None = None
) -> Report | None:
    """Sensitivity and its interval at each of FROC_RATES, and their mean."""
    if spec.task == "classification":
        return None
    tally, rates = tally_of(spec, judged, kind), np.array(FROC_RATES)
    if not len(tally.found.score):
        return None
    values = tally.sensitivity_at(rates, np.ones(len(judged)))
    bounds = bootstrap.band(groups_of(judged), lambda w: tally.sensitivity_at(rates, w))
    at = {
        str(rate): {"value": _number(value), "interval": _interval(column)}
        for rate, value, column in zip(FROC_RATES, values, bounds.T, strict=True)
    }
    return {"false_positives_per_image": at, "mean": _number(float(values.mean()))}


def _by_kind(spec: ModelSpec, judged: list[ImageResult]) -> Report:
    """The same figures of each kind that the model reports, and those of its pixels.

    Each over the images where that kind was outlined.
    """
    if spec.task == "classification":
        return {}
    report: Report = {}
    for kind in thresholds_by_kind(spec):
        known = [result for result in judged if result.kinds is None or kind in result.kinds]
        tally, once = tally_of(spec, known, kind), np.ones(len(known))
        groups = groups_of(known)
        report[kind.value] = {
            "images": len(known),
            "lesions": len(tally.found.score),
            **_plain(tally.figures(once)),
            "intervals": bootstrap.intervals(groups, tally.figures) if known else {},
            "pixels": _plain(tally.pixel_figures(once)),
            "pixel_intervals": bootstrap.intervals(groups, tally.pixel_figures) if known else {},
            "sensitivity_at": _sensitivity_at(spec, known, kind),
            "froc": tally.froc(),
        }
    return report


def _classes(spec: ModelSpec, results: Sequence[ImageResult]) -> Report | None:
    """Three classes, by image and by patient; None where the model or the truth tells none."""
    known = classified(results)
    if not known:
        return None
    tally = class_tally_of(spec, known)
    patients = by_group(known, tally.names)
    of_patients = class_tally_of(spec, patients)
    return {
        "names": list(tally.names),
        "n_images": len(known),
        "figures": _plain(tally.figures(np.ones(len(known)))),
        "intervals": bootstrap.intervals(groups_of(known), tally.figures),
        "confusion": tally.confusion(),
        "n_patients": len(patients),
        "by_patient": _plain(of_patients.figures(np.ones(len(patients)))),
        "by_patient_intervals": bootstrap.intervals([""] * len(patients), of_patients.figures),
        **_breasts(spec, by_breast(known, tally.names)),
        "shortcuts": _plain(shortcuts(known)),
    }


def _lesion_classes(judged: list[ImageResult]) -> Report | None:
    """Marked lesions as benign or malignant; None where the model or the truth tells none."""
    if not tells_classes(judged):
        return None
    tally = LesionTally(judged)
    return {
        "names": list(NATURES),
        "n_lesions": len(tally.actual),
        "figures": _plain(tally.figures(np.ones(len(judged)))),
        "intervals": bootstrap.intervals(groups_of(judged), tally.figures),
        "confusion": tally.confusion(),
    }


def _breasts(spec: ModelSpec, breasts: list[ImageResult]) -> Report:
    """Nothing where the set does not tell sides or patients."""
    if not breasts:
        return {"n_breasts": 0, "by_breast": {}, "by_breast_intervals": {}}
    tally = class_tally_of(spec, breasts)
    return {
        "n_breasts": len(breasts),
        "by_breast": _plain(tally.figures(np.ones(len(breasts)))),
        "by_breast_intervals": bootstrap.intervals(groups_of(breasts), tally.figures),
    }


def _plain(figures: Figures) -> dict[str, float | None]:
    return {name: _number(value) for name, value in figures.items()}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _interval(bounds: Any) -> list[float] | None:
    return [float(bound) for bound in bounds] if np.isfinite(bounds).all() else None
