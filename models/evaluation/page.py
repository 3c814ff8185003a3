"""`report.html` and `report.md`: the figures of `report.json` for people.

In: the report, drawings, a picture. Out: the page as one self-contained document, and as Markdown
beside its drawings. What must hold: both say the same; our figures and those that papers report
stand in columns of their own.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from models.contract import ModelSpec
from models.datasets.catalogue import SETS
from models.evaluation import bootstrap, plots
from models.evaluation.matching import ImageResult
from models.evaluation.papers import Paper, papers_of
from models.evaluation.report import Report

ENVIRONMENT = Environment(
    loader=PackageLoader("models.evaluation"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_SKIPPED = ("froc",)
_DRAWINGS = ("froc.svg", "roc.svg", "confusion.svg", "examples.png")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure; texts are empty where there is none."""

    name: str
    value: str
    interval: str
    papers: tuple[str, ...] = ()


def write_pages(
    folder: Path,
    spec: ModelSpec,
    report: Report,
    results: Sequence[ImageResult],
    picture: bytes | None = None,
) -> None:
    """Write report.json, report.html, report.md and their drawings into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
    for name in _DRAWINGS:  # those of an earlier evaluation may not be made again
        (folder / name).unlink(missing_ok=True)
    drawn = dict(plots.drawings(spec, report, results))
    for name, svg in drawn.items():
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    if picture is not None:
        (folder / "examples.png").write_bytes(picture)
    encoded = None if picture is None else base64.b64encode(picture).decode()
    for name, facts in (
        ("report.html", {"drawings": drawn, "picture": encoded}),
        ("report.md", {"drawings": list(drawn), "picture": picture is not None}),
    ):
        text = ENVIRONMENT.get_template(name).render(**_facts(report), **facts)
        (folder / name).write_text(text, encoding="utf-8")


def as_text(name: str) -> str:
    """A file's name that can be written in UTF-8: of another encoding its bytes, escaped."""
    return name.encode("utf-8", "backslashreplace").decode()


def table(report: Report) -> list[tuple[str, str, str]]:
    """(figure, value, interval) as text, for figures that are defined."""
    rows = _rows(report["metrics"], report["intervals"])
    return [(row.name, row.value, row.interval) for row in rows]


def _facts(report: Report) -> dict[str, Any]:
    """What both templates show."""
    papers = papers_of(report["model"])
    return {
        "report": report,
        "set": SETS.get(report["layout"]),
        "share": f"{bootstrap.CONFIDENCE:.0%}",
        "samples": bootstrap.SAMPLES,
        "papers": papers,
        "rows": _compared(report, papers),
        "at": _sensitivities(report),
        "kinds": {kind: list(_kind_rows(own)) for kind, own in report["by_kind"].items()},
        "classes": _class_rows(report["classes"]),
        "lesions": _lesion_rows(report["lesion_classes"]),
    }


def _compared(report: Report, papers: Sequence[Paper]) -> list[Row]:
    """Every figure of `metrics`, then those of kinds that only papers name."""
    rows = list(_rows(report["metrics"], report["intervals"], papers=papers))
    for kind, own in report["by_kind"].items():
        prefix = f"{kind}.pixels."
        if any(name.startswith(prefix) for paper in papers for name in paper.figures):
            rows += _rows(own["pixels"], own["pixel_intervals"], prefix, papers)
    return rows


def _rows(
    figures: Mapping[str, Any],
    bounds: Mapping[str, Any],
    prefix: str = "",
    papers: Sequence[Paper] = (),
) -> Iterator[Row]:
    for name, value in figures.items():
        reported = tuple(_text(paper.figures.get(prefix + name)) for paper in papers)
        if name not in _SKIPPED and (value is not None or any(reported)):
            shown = f"{prefix}{name}".replace("_", " ").replace(".", ", ")
            yield Row(shown, _text(value), _interval(bounds.get(name)), reported)


def _kind_rows(own: Mapping[str, Any]) -> Iterator[Row]:
    names = ("sensitivity", "false_positives_per_image", "dice_detected", "lesion_precision")
    yield Row("lesions", str(own["lesions"]), "")
    yield from _rows({name: own[name] for name in names}, own["intervals"])
    yield from _rows(own["pixels"], own["pixel_intervals"], "pixels.")


def _class_rows(classes: Mapping[str, Any] | None) -> dict[str, list[Row]]:
    if classes is None:
        return {}
    sections = {
        f"{classes['n_images']} images": _rows(classes["figures"], classes["intervals"]),
        "shortcuts": _rows(classes["shortcuts"], {}),
    }
    if classes["n_patients"] < classes["n_images"]:
        patients = _rows(classes["by_patient"], classes["by_patient_intervals"])
        sections[f"{classes['n_patients']} patients or groups of alike pictures"] = patients
    if 0 < classes["n_breasts"] < classes["n_images"]:
        breasts = _rows(classes["by_breast"], classes["by_breast_intervals"])
        sections[f"{classes['n_breasts']} breasts, mean over the images of each"] = breasts
    return {title: found for title, rows in sections.items() if (found := list(rows))}


def _lesion_rows(classes: Mapping[str, Any] | None) -> list[Row]:
    return [] if classes is None else list(_rows(classes["figures"], classes["intervals"]))


def _sensitivities(report: Report) -> list[Row]:
    at = report["sensitivity_at"]
    if at is None:
        return []
    return [
        Row(rate, _text(entry["value"]), _interval(entry["interval"]))
        for rate, entry in at["false_positives_per_image"].items()
    ]


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _interval(bounds: Sequence[float] | None) -> str:
    return f"{bounds[0]:.3f} to {bounds[1]:.3f}" if bounds else ""
