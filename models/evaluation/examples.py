"""Pictures of what a model marks, beside the truth.

In: cases chosen evenly, not by result. Out: one PNG. What must hold: only pixels that may be shown
are drawn (`models.datasets.catalogue`); marks are those of the operating point.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from models.contract import Model, Region
from models.datasets.cases import Case, Lesion
from models.evaluation.page import as_text
from models.evaluation.run import Server, run_case, thresholds_by_kind

COLUMNS = 3
_INCHES = 3.2
_DPI = 90
_TRUTH, _MARK = "#35c46a", "#ff9d2e"


def chosen(cases: Sequence[Case], count: int) -> list[Case]:
    """`count` cases spread evenly over those with lesions, a third of them from those without."""
    with_lesions = [case for case in cases if case.truth.lesions]
    without = [case for case in cases if case.truth.lesions == ()]
    few = min(len(without), count // 3)
    return _spread(with_lesions, count - few) + _spread(without, few)


def draw(model: Model, server: Server, cases: Sequence[Case], caption: str) -> bytes:
    """A PNG with every case: truth in green, marks in orange with their scores."""
    rows = -(-len(cases) // COLUMNS)
    figure = Figure(figsize=(COLUMNS * _INCHES, rows * _INCHES + 0.5), layout="constrained")
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, case in zip(grid.flat, cases, strict=False):
        _draw(axes, model, server, case)
    figure.supxlabel(caption, fontsize=8)
    buffer = io.BytesIO()
    with matplotlib.rc_context({"savefig.dpi": _DPI}):
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _draw(axes: Any, model: Model, server: Server, case: Case) -> None:
    output, _ = run_case(model, server, case)
    thresholds = thresholds_by_kind(model.spec)
    pixels = case.read().pixels
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
    for lesion in case.truth.lesions or ():
        _outline(axes, lesion, _TRUTH)
    for region in output.regions:
        if region.score >= thresholds[region.kind]:
            _outline(axes, region, _MARK)
            top, left = region.offset_px
            axes.text(left, top, f"{region.score:.2f}", color=_MARK, fontsize=8, va="bottom")
    # A dollar sign in a name is no formula.
    axes.set_title(_title(case, output.classification), fontsize=8, parse_math=False)


def _title(case: Case, probabilities: Any) -> str:
    name = as_text(case.name)
    if not probabilities:
        return f"{name}: {case.truth.label}"
    guess = max(probabilities, key=probabilities.get)
    return f"{name}: {case.truth.label}, read as {guess} ({probabilities[guess]:.2f})"


def _outline(axes: Any, item: Lesion | Region, colour: str) -> None:
    padded = np.pad(item.mask, 1).astype(np.float32)
    top, left = item.offset_px
    rows, columns = padded.shape
    x, y = np.arange(columns) + left - 1, np.arange(rows) + top - 1
    axes.contour(x, y, padded, levels=[0.5], colors=[colour], linewidths=1.2)


def _spread(cases: Sequence[Case], count: int) -> list[Case]:
    count = min(count, len(cases))
    return [cases[index * len(cases) // count] for index in range(count)]
