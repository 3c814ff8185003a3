"""What happened to a study, as pages of text for an archive that shows nothing but pictures.

In: the analyses of a study revision. Out: RGB pages. What must hold: every model on every image is
listed, so that "no findings" and "not analysed" cannot be mistaken for each other; a model that
failed is said to have failed; no patient data is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from PIL import Image, ImageDraw

from workers.analyses import ImageAnalysis, StudyAnalysis, not_analysed, one_of_many, shortfall
from workers.assessment import nothing_marked
from workers.dicom import codes, equipment
from workers.findings import Finding, RunOutcome
from workers.pictures.palette import FAINT, GROUND, RGB, TEXT, WARNING_RGB
from workers.pictures.typesetting import font, wrapped

# What a 1-megapixel display of a clinic shows without scaling.
_WIDTH_PX: Final = 1024
_HEIGHT_PX: Final = 1280
_MARGIN_PX: Final = 48
_LINE_PX: Final = 34
_INDENT_PX: Final = 32
_LINES_A_PAGE: Final = (_HEIGHT_PX - 2 * _MARGIN_PX) // _LINE_PX


class _Line(NamedTuple):
    text: str
    colour: RGB = TEXT
    indent: int = 0
    size: float = 1.0


def summary_pages(study: StudyAnalysis, at: datetime) -> list[Image.Image]:
    """Draw the pages. `at`: `study.content_at` on the clock of the site."""
    body = [line for each in _body(study) for line in _fitted(each)]
    head = _head(study, at)
    room = _LINES_A_PAGE - len(head) - 1
    chunks = [body[start : start + room] for start in range(0, len(body), room)]
    return [
        _page([*head, *chunk], f"Page {number} of {len(chunks)}")
        for number, chunk in enumerate(chunks, start=1)
    ]


def _head(study: StudyAnalysis, at: datetime) -> list[_Line]:
    """Every page says whose words these are, and whether they are complete."""
    runs = [run for analysis in study.analyses for run in analysis.runs]
    state = _Line(f"Complete: all {len(runs)} analyses succeeded.")
    if incomplete := shortfall(runs):
        state = _Line(incomplete, WARNING_RGB)
    version = f"{equipment.MANUFACTURER} {equipment.software_version()}"
    written = f"{at:%Y-%m-%d %H:%M}, revision {study.revision}, {version}"
    return [
        _Line("AI analysis of this study", size=1.4),
        _Line(equipment.RESEARCH_USE_ONLY, WARNING_RGB),
        _Line(written, FAINT, size=0.85),
        state,
        _Line(""),
    ]


def _body(study: StudyAnalysis) -> list[_Line]:
    lines = [_outcome(study.analyses)]
    if loops := one_of_many(study.analyses):
        lines.append(_Line(loops))
    lines += [_Line(text) for text in not_analysed(study.left_out)]
    for number, analysis in enumerate(study.analyses, start=1):
        lines += [_Line(""), _Line(f"Image {number}: {analysis.name}")]
        for run in analysis.runs:
            lines += _run(run)
    return lines


def _outcome(analyses: Sequence[ImageAnalysis]) -> _Line:
    """The sentence that a radiologist looks for."""
    count = sum(len(analysis.findings) for analysis in analyses)
    failed = any(run.error is not None for analysis in analyses for run in analysis.runs)
    if count:
        marked = sum(bool(analysis.findings) for analysis in analyses)
        return _Line(f"{count} finding(s) on {marked} of {len(analyses)} image(s).")
    if failed:
        return _Line("Nothing was marked, but not everything was assessed.", WARNING_RGB)
    return _Line(nothing_marked(analyses))


def _run(run: RunOutcome) -> list[_Line]:
    name = f"{run.model} {run.model_version}"
    if run.error is not None:
        state = "DECLINED" if run.declined else "FAILED"
        return [_Line(f"{name}: {state}, not assessed. {run.error}", WARNING_RGB, 1)]
    probabilities = ", ".join(
        f"{label} {100 * value:.0f} %" for label, value in sorted(run.probabilities.items())
    )
    if not run.findings:
        return [_Line(f"{name}: {probabilities or 'no findings'}", indent=1)]
    found = [_Line(_finding(finding), indent=2) for finding in run.findings]
    return [_Line(f"{name}: {len(run.findings)} finding(s) {probabilities}", indent=1), *found]


def _finding(finding: Finding) -> str:
    parts = [
        f"{codes.FINDING_LABEL[finding.kind]} {finding.number}",
        f"{100 * finding.score:.0f} %",
        None if finding.long_axis_mm is None else f"{finding.long_axis_mm:.0f} mm",
    ]
    return ", ".join(part for part in parts if part)


def _fitted(line: _Line) -> list[_Line]:
    """The line as often as it takes to hold its text."""
    room = _WIDTH_PX - 2 * _MARGIN_PX - line.indent * _INDENT_PX
    return [line._replace(text=text) for text in wrapped(line.text, room, line.size)]


def _page(lines: Sequence[_Line], foot: str) -> Image.Image:
    page = Image.new("RGB", (_WIDTH_PX, _HEIGHT_PX), GROUND)
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        place = (
            _MARGIN_PX + line.indent * _INDENT_PX,
            _MARGIN_PX + (number + 0.5) * _LINE_PX,
        )
        draw.text(place, line.text, line.colour, font(line.size), anchor="lm")
    corner = (_WIDTH_PX - _MARGIN_PX, _HEIGHT_PX - _MARGIN_PX)
    draw.text(corner, foot, FAINT, font(0.85), anchor="rm")
    return page
