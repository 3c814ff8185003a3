"""The comparison as a picture: one panel per size, one group of bars per number of associations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.receivers import VARIANTS
from benchmarks.summary import Row

# Sentinode stands out, the others are told apart by hue and tone (colour-blind safe).
_COLOURS = {
    "sentinode": "#0b4f8a",
    "sentinode-postgresql": "#6aa5d8",
    "orthanc": "#d1661b",
    "storescp": "#4d4d4d",
    "storescp+B": "#a6a6a6",
    "pynetdicom": "#d8c14a",
}
_GROUP_WIDTH = 0.84


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write the PNG; the sink is left out, its bars would hide the others."""
    sizes = list(dict.fromkeys(row.size for row in rows))
    names = [name for name in _COLOURS if any(row.variant == name for row in rows)]
    figure = Figure(figsize=(4.2 * len(sizes), 3.9), layout="constrained")
    panels = figure.subplots(1, len(sizes), squeeze=False)[0]
    for panel, size in zip(panels, sizes, strict=True):
        _draw_size(panel, [row for row in rows if row.size == size], names)
        panel.set_title(f"{size} objects", loc="left", fontsize=10)
    panels[0].set_ylabel("objects per second")
    handles, labels = panels[0].get_legend_handles_labels()
    columns = min(len(names), 2 * len(sizes))
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=8
    )
    figure.savefig(path, dpi=130)


def _draw_size(panel: Any, rows: Sequence[Row], names: Sequence[str]) -> None:
    groups = list(dict.fromkeys(row.associations for row in rows))
    width = _GROUP_WIDTH / len(names)
    for place, name in enumerate(names):
        shift = (place - (len(names) - 1) / 2) * width
        heights = [_rate(rows, name, group) for group in groups]
        positions = [group + shift for group in range(len(groups))]
        panel.bar(positions, heights, width * 0.92, color=_COLOURS[name], label=_label(name))
    panel.set_xticks(range(len(groups)), [str(group) for group in groups])
    panel.set_xlabel("associations at once")
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(axis="x", length=0)


def _rate(rows: Sequence[Row], name: str, associations: int) -> float:
    for row in rows:
        if row.variant == name and row.associations == associations:
            return row.median.objects_per_second
    return 0.0


def _label(name: str) -> str:
    return VARIANTS[name].label
