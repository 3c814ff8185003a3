"""How values look on a page."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi.templating import Jinja2Templates

from node.job import ACTIVE, RECEIVING
from node.status import no_findings, score

_KINDS = {
    "mass": "Mass",
    "calcification_cluster": "Calcification cluster",
    "arterial_calcification": "Arterial calcification",
}


# What a person asks who sees the word, and how it goes on.
_STATES = {
    "receiving": "Images are coming; it is analysed once no more have come for a while.",
    "queued": "Waits for a worker, or for what the timeline names.",
    "running": "The models look at its images.",
    "delivering": "Analysed; its results are on their way to the archives.",
    "done": "Analysed; nothing is left to deliver.",
    "failed": "Ended without all results; once the reason is mended, an operator retries it.",
    "skipped": "Not analysed: no model reads any of its images.",
    "removed": "Kept no longer on this node.",
}
_DELIVERIES = {
    "pending": "to be sent",
    "sent": "the archive took it",
    "asked": "the archive is to confirm it",
    "confirmed": "the archive has it",
    "refused": "the archive will not take it",
    "dead": "given up",
    "replaced": "taken back, a newer one is there",
    "kept": "no destination wants it",
}

_PARTS = {
    "database": "Holds what was received and found; without it images are refused and sent again.",
    "broker": "Tells workers at once what to do; without it nothing is lost, and nothing begins.",
    "receive": "Takes images from modalities.",
    "sweep": "Sees which studies are complete, and what has waited too long.",
    "worker": "Analyses studies and delivers results.",
    "disk": "Keeps images and results; without room images are refused and sent again.",
}


def environment(templates: Jinja2Templates) -> Jinja2Templates:
    """Give the templates their filters; everything they print is escaped."""
    filters = (
        *(moment, score, area, kind, moving, sentence),
        *(state_means, delivery_means, part_means, no_findings),
    )
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


def state_means(state: str) -> str:
    """A study's state in a sentence."""
    return _STATES.get(state, "")


def delivery_means(state: str) -> str:
    """The state of one result at one destination in a few words."""
    return _DELIVERIES.get(state, "")


def part_means(name: str) -> str:
    """What a part that health checks name is for."""
    return _PARTS.get(name, "")


def sentence(text: str) -> str:
    """The text of an error as a sentence."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def moving(state: str) -> bool:
    """Whether a study in this state will change by itself."""
    return state in ACTIVE or state == RECEIVING
