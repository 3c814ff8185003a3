"""`report.json` and `report.html` of one evaluation.

In: results and refused cases. Out: one object with every figure and its interval, and a page with
the same figures and their curves. What must hold: JSON has null where a figure is undefined, and
the page needs no file beside it and no network.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from models.contract import FindingKind, ModelSpec
from models.evaluation import plots
from models.evaluation.matching import HIT_IOU, ImageResult
from models.evaluation.run import Outcome, thresholds_by_kind
from models.evaluation.summary import (
    BOOTSTRAP_SAMPLES,
    CONFIDENCE,
    NAMES,
    classification_figures,
    detection_figures,
    froc,
    intervals,
)

NOTICE = "For research use only. Not a medical device."

Report = dict[str, Any]


def make_report(spec: ModelSpec, data: str, outcome: Outcome) -> Report:
    """The content of report.json. `data` names the folder or set, never a patient."""
    judged = judged_results(spec, outcome.results)
    thresholds = thresholds_by_kind(spec)
    if spec.task == "classification":
        summarise = partial(classification_figures, thresholds=spec.thresholds)
    else:
        summarise = partial(detection_figures, thresholds=thresholds)
    figures = summarise(judged) if judged else {}
    bounds = intervals(judged, summarise) if judged else {}
    metrics: Report = {name: _number(figures.get(name, math.nan)) for name in NAMES}
    metrics["froc"] = froc(judged) if spec.task != "classification" else None
    return {
        "model": spec.name,
        "version": spec.version,
        "data": data,
        "n_images": len(judged),
        "n_without_truth": len(outcome.results) - len(judged),
        "n_refused": len(outcome.refused),
        "thresholds": dict(spec.thresholds),
        "matching": f"same kind, and IoU >= {HIT_IOU} or centre of mass inside the lesion",
        "metrics": metrics,
        "intervals": {name: bounds.get(name) for name in NAMES},
        "by_kind": _by_kind(judged, thresholds),
        "confusion": confusion(spec, judged),
        "notice": NOTICE,
    }


def judged_results(spec: ModelSpec, results: Sequence[ImageResult]) -> list[ImageResult]:
    """Those whose truth is known as far as this model's figures need it."""
    if spec.task == "classification":
        return [result for result in results if result.label is not None]
    return [result for result in results if result.found is not None]


def confusion(spec: ModelSpec, results: Sequence[ImageResult]) -> list[list[int]] | None:
    """Rows: true class, columns: most probable class, in the spec's order; None for detectors."""
    if spec.task != "classification":
        return None
    table = [[0] * len(spec.classes) for _ in spec.classes]
    for result in results:
        guess = max(spec.classes, key=lambda name: result.probabilities[name])
        table[spec.classes.index(str(result.label))][spec.classes.index(guess)] += 1
    return table


def write_report(
    folder: Path, spec: ModelSpec, report: Report, results: Sequence[ImageResult]
) -> None:
    """Write report.json and report.html into `folder`, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
    judged = judged_results(spec, results)
    (folder / "report.html").write_text(page(spec, report, judged), encoding="utf-8")


def page(spec: ModelSpec, report: Report, results: Sequence[ImageResult]) -> str:
    """The page as one self-contained document."""
    title = f"{report['model']} {report['version']} on {report['data']}"
    share = f"{CONFIDENCE:.0%}"
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto }}
table {{ border-collapse: collapse }} td, th {{ padding: .2rem .8rem; text-align: left }}
tr:nth-child(even) {{ background: #f3f3f3 }} figure {{ margin: 2rem 0 }} svg {{ max-width: 100% }}
</style>
<h1>{html.escape(title)}</h1>
<p>{report["n_images"]} images judged, {report["n_without_truth"]} without the truth that this
needs, {report["n_refused"]} refused by the model. {share} intervals from {BOOTSTRAP_SAMPLES}
bootstrap samples of images. A finding hits a lesion if: {html.escape(report["matching"])}.</p>
<table><tr><th>figure<th>value<th>{share} interval</tr>
{_rows(report)}
</table>
{"".join(f"<figure>{drawing}</figure>" for drawing in plots.drawings(spec, report, results))}
<p>{NOTICE}</p>
</html>
"""


def table(report: Report) -> list[tuple[str, str, str]]:
    """(figure, value, interval) as text, for figures that are defined."""
    rows = []
    for name in NAMES:
        value, bounds = report["metrics"][name], report["intervals"][name]
        if value is not None:
            interval = f"{bounds[0]:.3f} to {bounds[1]:.3f}" if bounds else ""
            rows.append((name, f"{value:.3f}", interval))
    return rows


def _rows(report: Report) -> str:
    return "\n".join(
        f"<tr><td>{name}<td>{value}<td>{interval}</tr>" for name, value, interval in table(report)
    )


def _by_kind(
    results: Sequence[ImageResult], thresholds: Mapping[FindingKind, float]
) -> dict[str, Report]:
    """Lesions, sensitivity and false positives per image of each kind the model reports."""
    kinds = {}
    for kind, threshold in thresholds.items():
        found = [score for r in results for k, score in r.found or () if k == kind]
        false = [score for r in results for k, score in r.false or () if k == kind]
        hits = sum(score > 0 and score >= threshold for score in found)
        alarms = sum(score >= threshold for score in false)
        kinds[kind.value] = {
            "lesions": len(found),
            "sensitivity": hits / len(found) if found else None,
            "false_positives_per_image": alarms / len(results) if results else None,
        }
    return kinds


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
