"""`docs/models/README.md`: what all models do, on one page.

In: the reports below a folder. Out: a table of the figures that are looked for first, with links
and the pictures that may be shown. What must hold: every figure is read from a report.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.datasets.catalogue import SETS
from models.evaluation.page import ENVIRONMENT
from models.registry import MODELS

# Title, where the figure stands in a report, and where its interval does.
COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("sensitivity (lesions)", "metrics/sensitivity", "intervals/sensitivity"),
    (
        "false marks per image",
        "metrics/false_positives_per_image",
        "intervals/false_positives_per_image",
    ),
    ("Dice, found lesions", "metrics/dice_detected", "intervals/dice_detected"),
    ("accuracy, 3 classes", "classes/figures/accuracy", "classes/intervals/accuracy"),
    ("AUC malignant", "classes/figures/auc_malignant", "classes/intervals/auc_malignant"),
    ("AUC normal", "classes/figures/auc_normal", "classes/intervals/auc_normal"),
)
# Of a classifier `sensitivity` is that for malignant images, which is another figure.
_LESIONS = "metrics/"


def write_index(out: Path) -> Path:
    """Write README.md into `out` from `out/MODEL/SET/report.json`. Returns its path."""
    rows, pictures = [], []
    for name in sorted(MODELS):
        for path in sorted((out / name).glob("*/report.json")):
            report, place = json.loads(path.read_text()), f"{name}/{path.parent.name}"
            rows.append((place, report, [_cell(report, name, *column) for column in COLUMNS]))
            facts = SETS.get(report["layout"])
            if facts and (path.parent / "examples.png").is_file():
                pictures.append((place, facts))
    text = ENVIRONMENT.get_template("index.md").render(
        titles=[title for title, _, _ in COLUMNS],
        rows=rows,
        pictures=pictures,
        models=sorted(MODELS),
        comparisons=list(_comparisons(out)),
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / "README.md").write_text(text.rstrip() + "\n", encoding="utf-8")
    return out / "README.md"


def _comparisons(out: Path) -> Iterator[tuple[str, str]]:
    """Title and place of every page beside the reports: what papers compare."""
    for name in sorted(MODELS):
        for path in sorted((out / name).glob("*/*.md")):
            if path.name != "report.md":
                title = path.read_text(encoding="utf-8").partition("\n")[0]
                yield title.removeprefix("# "), path.relative_to(out).as_posix()


def _cell(report: Mapping[str, Any], name: str, title: str, figure: str, interval: str) -> str:
    """`0.900 (0.850 to 0.940)`, or nothing where the figure is undefined or of another kind."""
    if MODELS[name].spec.task == "classification" and figure.startswith(_LESIONS):
        return ""
    value, bounds = look_up(report, figure), look_up(report, interval)
    if value is None:
        return ""
    return f"{value:.3f}" + (f" ({bounds[0]:.3f} to {bounds[1]:.3f})" if _is_pair(bounds) else "")


def look_up(report: Any, path: str) -> Any:
    """A value in nested objects by names with slashes; None where a part is missing."""
    for part in path.split("/"):
        if not isinstance(report, Mapping) or part not in report:
            return None
        report = report[part]
    return report


def _is_pair(bounds: Any) -> bool:
    return isinstance(bounds, Sequence) and len(bounds) == 2
