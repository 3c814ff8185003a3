"""The ablation as a table that can be read.

In: figures, intervals, the runs behind them. Out: Markdown, and the runs as JSON. What must hold:
an interval of a difference that holds zero is called no difference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from models.mask_rcnn.validation import Found, Seen
from models.training.settings import FitSettings

ROWS = (
    "sensitivity_at_1_fp",
    "sensitivity_at_half_fp",
    "sensitivity_at_quarter_fp",
    "dice_of_hits",
    "accuracy",
)

_TITLES = {
    "sensitivity_at_1_fp": "sensitivity at 1 FP",
    "sensitivity_at_half_fp": "at 1/2 FP",
    "sensitivity_at_quarter_fp": "at 1/4 FP",
    "dice_of_hits": "Dice of hits",
    "accuracy": "accuracy, 3 classes",
}

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Trial:
    """One run: what it saw of each validation image, its length, the size of its network."""

    seen: tuple[Seen, ...]
    steps: int
    seconds: float
    parameters: int

    def to_json(self) -> str:
        """Text for `from_json`."""
        return json.dumps(asdict(self)) + "\n"

    @staticmethod
    def from_json(text: str) -> Trial:
        """What `to_json` wrote."""
        facts = json.loads(text)
        seen = tuple(
            Seen(tuple(Found(**found) for found in one["found"]), one["masses"], one["right"])
            for one in facts.pop("seen")
        )
        return Trial(seen=seen, **facts)


def markdown(
    result: Mapping[str, Any], trials: Mapping[str, Sequence[Trial]], fit: FitSettings
) -> str:
    """Two tables: figures, and differences to the first variant."""
    rows = [row for row in ROWS if row in next(iter(result["figures"].values()))]
    titles = [_TITLES[row] for row in rows]
    runs = next(iter(trials.values()))
    masses = sum(seen.masses for seen in runs[0].seen)
    lines = [
        "# Original and refined Mask R-CNN",
        "",
        f"{len(runs[0].seen)} images with {masses} masses that no run was trained on; {len(runs)} "
        f"run(s) per variant, each of {_budget(fit)}. Means over the runs; in brackets 95 % "
        "intervals of a bootstrap over images.",
        "",
        *_header(["variant", "parameters", "steps", "s per step", *titles]),
    ]
    for name, figures in result["figures"].items():
        between = result["intervals"][name]
        cells = [
            f"{figures[row]:.3f} [{between[row][0]:.3f}, {between[row][1]:.3f}]" for row in rows
        ]
        lines.append(_line([name, *_cost(trials[name]), *cells]))
    lines += ["", "Differences to the first:", "", *_header(["variant", *titles])]
    for name, differences in result["differences"].items():
        lines.append(_line([name, *(_difference(differences[row]) for row in rows)]))
    return "\n".join(lines) + "\n"


def _budget(fit: FitSettings) -> str:
    parts = [
        f"{fit.steps} steps" if fit.steps else "",
        f"{fit.minutes:g} min" if fit.minutes else "",
    ]
    return " or ".join(part for part in parts if part)


def _cost(trials: Sequence[Trial]) -> list[str]:
    steps = float(np.mean([trial.steps for trial in trials]))
    seconds = float(np.mean([trial.seconds / max(1, trial.steps) for trial in trials]))
    return [f"{trials[0].parameters / 1e6:.2f} M", f"{steps:.0f}", f"{seconds:.2f}"]


def _difference(interval: Interval) -> str:
    low, high = interval
    verdict = "none shown" if low <= 0.0 <= high else "better" if low > 0 else "worse"
    return f"[{low:+.3f}, {high:+.3f}] {verdict}"


def _header(titles: Sequence[str]) -> list[str]:
    return [_line(titles), _line(["---"] * len(titles))]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
