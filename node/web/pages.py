"""How values look on a page."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi.templating import Jinja2Templates

from node.job import ACTIVE, RECEIVING
from node.status import score

_KINDS = {
    "mass": "Mass",
    "calcification_cluster": "Calcification cluster",
    "arterial_calcification": "Arterial calcification",
}


def environment(templates: Jinja2Templates) -> Jinja2Templates:
    """Give the templates their filters; everything they print is escaped."""
    filters = (moment, score, area, kind, moving, sentence)
    templates.env.filters.update({each.__name__: each for each in filters})
    templates.env.trim_blocks = templates.env.lstrip_blocks = True
    return templates


def moment(value: datetime | str | None) -> str:
    """A time in UTC to the second; a dash for none."""
    if value is None:
        return "–"
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def area(value: float | None) -> str:
    """An area in mm², or a dash where the image has no trustworthy spacing."""
    return "–" if value is None else f"{value:.0f} mm²"


def kind(value: str) -> str:
    """A finding kind in words."""
    return _KINDS.get(value, value.replace("_", " ").capitalize())


def sentence(text: str) -> str:
    """The text of an error as a sentence."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def moving(state: str) -> bool:
    """Whether a study in this state will change by itself."""
    return state in ACTIVE or state == RECEIVING
