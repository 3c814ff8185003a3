"""What the five papers report of their own systems, for the column beside ours.

In: `papers.toml`. Out: their figures by model. What must hold: every value is one that the paper
prints, with the place where it stands; none of them was measured here, and none was measured on the
data of our reports.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Paper:
    """`figures`: by the name that the same figure has in our reports."""

    key: str
    title: str
    data: str
    where: str
    note: str
    models: tuple[str, ...]
    figures: Mapping[str, float]


def papers_of(model: str) -> tuple[Paper, ...]:
    """Those whose system `model` follows, in the order of the file."""
    return tuple(paper for paper in _papers() if model in paper.models)


def _papers() -> list[Paper]:
    path = Path(__file__).with_name("papers.toml")
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["paper"]
    return [Paper(**{**entry, "models": tuple(entry["models"])}) for entry in entries]
