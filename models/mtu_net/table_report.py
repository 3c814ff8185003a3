"""Table I in the paper's form, ours beside the paper's, from the folds that are done.

In: `METHOD.fold_N.json` of `table`. Out: `table.json` and `table.md`. What must hold: the paper's
figures stand in columns of their own and are called what they are, reported by the paper on other
images; a spread is over folds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.evaluation import metrics
from models.evaluation.metrics import Counts
from models.mtu_net.baselines import FOREGROUND, METHODS
from models.mtu_net.data import TILES
from models.mtu_net.fold import Recipe

METRICS: Mapping[str, Callable[[Counts], float]] = {
    "accuracy": metrics.accuracy,
    "sensitivity": metrics.sensitivity,
    "specificity": metrics.specificity,
    "f1": metrics.f1,
    "jaccard": metrics.jaccard,
    "mcc": metrics.mcc,
}
"""The six of Table I, over pixels (Alghamdi 2024, section III.C)."""

# In percent, in the order of METRICS. Two of the paper's own rows do not agree with its text (90.7
# and 91.2 for the sensitivity of MC, 83.9 and 83.96 for its MCC); these are the table's.
REPORTED: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "single_class": {
        "bac": (59.6, 54.8, 62.5, 53.2, 59.4, 58.6),
        "mc": (61.2, 56.0, 65.9, 55.9, 61.2, 58.9),
    },
    "multi_class": {
        "bac": (68.9, 72.1, 67.1, 67.5, 63.8, 61.8),
        "mc": (71.5, 74.2, 67.2, 69.9, 65.2, 62.9),
    },
    "mtu_net": {
        "bac": (89.3, 89.3, 89.4, 90.4, 82.7, 80.9),
        "mc": (91.2, 90.7, 93.4, 92.6, 83.9, 83.9),
    },
}

TITLES = {
    "single_class": "Single-class U-Net",
    "multi_class": "Multi-class U-Net",
    "mtu_net": "MTU-Net",
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """How backgrounds become tiles: insertions into each, and whether it is squeezed to one."""

    variants: int = 2
    whole: bool = False

    @property
    def tiles(self) -> int:
        return 1 if self.whole else TILES


def write(out: Path, images: int, drawing: Drawing, recipe: Recipe) -> None:
    """Write both files from whatever folds are done."""
    rows = {name: _row(_folds(out, name)) for name in METHODS}
    facts = {
        "images": images,
        "insertions_per_image": drawing.variants,
        "whole_images": drawing.whole,
        "recipe": {name: getattr(recipe, name) for name in Recipe.__slots__},
        "unit": "percent of pixels of the held-out tiles; mean and standard deviation over folds",
        "methods": rows,
        "reported_by_the_paper": REPORTED,
    }
    (out / "table.json").write_text(json.dumps(facts, indent=2) + "\n")
    (out / "table.md").write_text(_markdown(rows, images, drawing, recipe))


def _folds(out: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(out.glob(f"{name}.fold_*.json"))]


def _row(folds: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and spread in percent of each metric of each class, and the arteries marked as MC."""
    row: dict[str, Any] = {"folds": len(folds)}
    for kind in FOREGROUND:
        counts = [Counts(**fold["counts"][kind]) for fold in folds]
        row[kind] = {name: _spread([m(c) for c in counts]) for name, m in METRICS.items()}
    for name in ("artery_as_mc", "artery_as_mc_suppressed"):
        row[name] = _spread([fold[name] / max(1.0, fold["artery_pixels"]) for fold in folds])
    return row


def _spread(values: list[float]) -> dict[str, float | None]:
    finite = 100.0 * np.array([value for value in values if math.isfinite(value)])
    if not finite.size:
        return {"mean": None, "spread": None}
    spread = float(finite.std(ddof=1)) if finite.size > 1 else None
    return {"mean": float(finite.mean()), "spread": spread}


def _markdown(rows: Mapping[str, Any], images: int, drawing: Drawing, recipe: Recipe) -> str:
    read = "whole mammograms squeezed to" if drawing.whole else "whole tiles of"
    lines = [
        "# Table I of Alghamdi 2024 on inserted calcium",
        "",
        f"{images} normal mammograms, {drawing.variants} insertions each, folds by patient, "
        f"{recipe.steps} steps of {recipe.batch} windows of {recipe.window_px} px for each network "
        f"({recipe.width} channels at the top), read on {read} 256 x 256 px. In percent of "
        "pixels: mean and standard deviation over folds. *Paper*: as reported by the paper, on "
        "other images; its figures and ours are not comparable with each other.",
        "",
        "| Method | | folds | "
        + " | ".join(f"{name.replace('_', ' ')} | *paper*" for name in METRICS)
        + " |",
        "|---|---|---|" + "---|---|" * len(METRICS),
    ]
    for name, row in rows.items():
        for kind in reversed(FOREGROUND):
            cells = [
                f"{_text(row[kind][metric])} | *{reported:.1f}*"
                for metric, reported in zip(METRICS, REPORTED[name][kind], strict=True)
            ]
            lines.append(
                f"| {TITLES[name]} | {kind.upper()} | {row['folds']} | {' | '.join(cells)} |"
            )
    lines += ["", "Pixels of arteries (and of no cluster) that are marked as MC, in percent:", ""]
    lines += ["| Method | as marked | where BAC is marked, MC taken away |", "|---|---|---|"]
    lines += [
        f"| {TITLES[name]} | {_text(row['artery_as_mc'])} "
        f"| {_text(row['artery_as_mc_suppressed'])} |"
        for name, row in rows.items()
    ]
    return "\n".join(lines) + "\n"


def _text(value: Mapping[str, float | None]) -> str:
    mean, spread = value["mean"], value["spread"]
    if mean is None:
        return "-"
    return f"{mean:.1f}" if spread is None else f"{mean:.1f} ± {spread:.1f}"
