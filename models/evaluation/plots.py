"""Curves of a report as SVG: FROC, ROC, confusion matrix.

In: the report and the results behind it. Out: SVG elements by name, drawn without a display. What
must hold: a curve shows its uncertainty, and the operating point where there is one.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from models.contract import ModelSpec
from models.evaluation import bootstrap
from models.evaluation.matching import ImageResult
from models.evaluation.metrics import Weight
from models.evaluation.report import (
    class_tally_of,
    classified,
    groups_of,
    judged_results,
    tally_of,
)
from models.evaluation.tally import Floats

# The FROC of a usable detector is read below this many false marks per image.
FROC_LIMIT = 8.0
_POINTS = 81

# SVG with text as text, and the same bytes for the same figures.
_STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "sentinode", "font.size": 11}


def drawings(
    spec: ModelSpec, report: dict[str, Any], results: Sequence[ImageResult]
) -> Iterator[tuple[str, str]]:
    """Name and SVG of every drawing that the results support."""
    with matplotlib.rc_context(_STYLE):
        judged, labelled = judged_results(spec, results), classified(results)
        if report["metrics"]["froc"]:
            yield "froc", _svg(_froc(spec, report, judged))
        if labelled:
            yield "roc", _svg(_roc(spec, labelled))
            yield "confusion", _svg(_confusion(report["classes"]))


def _froc(spec: ModelSpec, report: dict[str, Any], judged: Sequence[ImageResult]) -> Figure:
    points = np.array([(0.0, 0.0), *report["metrics"]["froc"]])
    limit = max(0.5, min(FROC_LIMIT, float(points[:, 0].max())))
    tally, rates = tally_of(spec, judged), np.linspace(0.0, limit, _POINTS)

    def curve(weight: Weight) -> Floats:
        return tally.sensitivity_at(rates, weight)

    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    low, high = bootstrap.band(groups_of(judged), curve)
    axes.fill_between(rates, low, high, alpha=0.2, linewidth=0, step="post", label="95 % interval")
    axes.plot(points[:, 0], points[:, 1], drawstyle="steps-post", color="C0", label="all kinds")
    if len(report["by_kind"]) > 1:
        for number, (kind, own) in enumerate(report["by_kind"].items(), start=1):
            if own["froc"]:
                x, y = np.array([(0.0, 0.0), *own["froc"]]).T
                name = kind.replace("_", " ")
                axes.plot(x, y, "--", drawstyle="steps-post", color=f"C{number + 1}", label=name)
    metrics = report["metrics"]
    axes.plot(
        metrics["false_positives_per_image"],
        metrics["sensitivity"],
        "o",
        color="C1",
        label="operating point",
    )
    axes.set(xlabel="false marks per image", ylabel="sensitivity (lesions)", ylim=(0, 1.02))
    axes.set_xlim(0, limit)
    axes.set_title("FROC")
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    return figure


def _roc(spec: ModelSpec, results: Sequence[ImageResult]) -> Figure:
    """One curve per class against the rest, the band of the first that is not normal."""
    tally, rates = class_tally_of(spec, results), np.linspace(0.0, 1.0, _POINTS)
    once = np.ones(len(results))
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for number, (name, ranking) in enumerate(tally.rankings.items()):
        area = ranking.auc(once)
        if not np.isfinite(area):
            continue
        if name == "malignant":
            low, high = bootstrap.band(groups_of(results), partial(ranking.sensitivity_at, rates))
            axes.fill_between(rates, low, high, alpha=0.2, linewidth=0, color=f"C{number}")
        axes.plot(*ranking.curve(once), color=f"C{number}", label=f"{name}: AUC {area:.3f}")
    axes.plot([0, 1], [0, 1], ":", color="grey")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", title="ROC, each class")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    return figure


def _confusion(classes: dict[str, Any]) -> Figure:
    counts, names = np.array(classes["confusion"]), classes["names"]
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(names))
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    for row in ticks:
        for column in ticks:
            colour = "white" if shares[row, column] > 0.6 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour)
    axes.set(xlabel="most probable class", ylabel="true class", title="Confusion matrix (images)")
    return figure


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
