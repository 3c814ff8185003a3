"""The demo's findings beside what was drawn into its images.

In: a status object and the truth files of the phantom study. Out: a table. A finding counts as
right where it is of the drawn kind and either box holds the other's centre; evaluation proper, with
overlaps and intervals, is `sentinode models evaluate`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from node.status import score
from phantoms.dataset import ImageTruth, TruthLesion


def lesion_under(finding: Mapping[str, Any], truth: Mapping[str, ImageTruth]) -> TruthLesion | None:
    """The drawn lesion that a finding marks, if any."""
    image = truth.get(finding["source_sop_uid"])
    for lesion in image.lesions if image else ():
        if lesion.kind == finding["kind"] and _meet(finding["box_px"], lesion.box_px):
            return lesion
    return None


def table(status: Mapping[str, Any], truth: Mapping[str, ImageTruth]) -> Table:
    """Findings, best score first, and a caption that counts the drawn lesions that were found."""
    drawn = [lesion for image in truth.values() for lesion in image.lesions]
    shown = Table("finding", "image", "score", "area mm²", "model", "drawn there", title="Findings")
    found: set[TruthLesion] = set()
    for finding in sorted(status["findings"], key=lambda item: -float(item["score"])):
        lesion = lesion_under(finding, truth)
        if lesion is not None:
            found.add(lesion)
        shown.add_row(*_row(finding, lesion))
    shown.caption = f"{len(found)} of {len(drawn)} drawn lesions found"
    return shown


def _row(finding: Mapping[str, Any], lesion: TruthLesion | None) -> Sequence[str]:
    area = finding["area_mm2"]
    there = "[yellow]nothing"
    if lesion is not None:
        there = f"[green]{lesion.kind.replace('_', ' ')}, {lesion.area_mm2:.0f} mm²"
    return (
        finding["code"]["meaning"],
        f"{finding['laterality'] or '?'} {finding['view'] or ''}".strip(),
        score(finding["score"]),
        "-" if area is None else f"{area:.0f}",
        f"{finding['model']} {finding['model_version']}",
        there,
    )


def _meet(first: Sequence[float], second: Sequence[float]) -> bool:
    return _holds_centre(first, second) or _holds_centre(second, first)


def _holds_centre(outer: Sequence[float], inner: Sequence[float]) -> bool:
    """Whether the centre of `inner` lies in `outer`; boxes are x0, y0, x1, y1 in pixels."""
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return outer[0] <= x < outer[2] and outer[1] <= y < outer[3]
