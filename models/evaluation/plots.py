"""Curves of a report as inline SVG: FROC, ROC, confusion matrix.

In: the report and the results behind it. Out: SVG elements, drawn without a display.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from models.contract import ModelSpec
from models.evaluation.matching import ImageResult
from models.evaluation.metrics import roc

# The FROC of a usable detector is read below this many false marks per image.
FROC_LIMIT = 8.0

# SVG with text as text, and the same bytes for the same figures.
_STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "sentinode", "font.size": 11}


def drawings(
    spec: ModelSpec, report: dict[str, Any], results: Sequence[ImageResult]
) -> Iterator[str]:
    """Every drawing that the results support."""
    with matplotlib.rc_context(_STYLE):
        if report["metrics"]["froc"]:
            yield _svg(_froc(report))
        if report["confusion"]:
            yield _svg(_confusion(spec, report["confusion"]))
            yield from _roc(results)


def _froc(report: dict[str, Any]) -> Figure:
    points = np.array([(0.0, 0.0), *report["metrics"]["froc"]])
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(points[:, 0], points[:, 1], drawstyle="steps-post")
    metrics = report["metrics"]
    axes.plot(metrics["false_positives_per_image"], metrics["sensitivity"], "o")
    axes.annotate("operating point", (metrics["false_positives_per_image"], metrics["sensitivity"]))
    axes.set(xlabel="false positives per image", ylabel="sensitivity (lesions)", ylim=(0, 1.02))
    axes.set_xlim(0, max(0.5, min(FROC_LIMIT, float(points[:, 0].max()))))
    axes.set_title("FROC")
    axes.grid(alpha=0.3)
    return figure


def _roc(results: Sequence[ImageResult]) -> Iterator[str]:
    actual = np.array([result.label == "malignant" for result in results])
    if actual.all() or not actual.any():
        return
    score = np.array([result.probabilities["malignant"] for result in results])
    false_rate, true_rate = roc(actual, score)
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(false_rate, true_rate)
    axes.plot([0, 1], [0, 1], ":", color="grey")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", title="ROC, malignant")
    axes.grid(alpha=0.3)
    yield _svg(figure)


def _confusion(spec: ModelSpec, table: list[list[int]]) -> Figure:
    counts = np.array(table)
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0)
    ticks = range(len(spec.classes))
    axes.set_xticks(ticks, spec.classes)
    axes.set_yticks(ticks, spec.classes)
    for row in ticks:
        for column in ticks:
            axes.text(column, row, str(counts[row, column]), ha="center", va="center")
    axes.set(xlabel="predicted", ylabel="true", title="Confusion matrix (images)")
    return figure


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
