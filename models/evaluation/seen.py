"""Whether weights may have been trained on the images that they are judged on.

In: what is known of the training (`card.toml` of the served weights, `config.json` of a run) and
the folder that is evaluated. Out: yes, no, or nobody knows. What must hold: a side counts as held
out only where the folder is the one that was divided in training: of another one, with a picture
more or less or under other names, others stand on the validation side.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.datasets.cases import Case
from models.datasets.catalogue import SETS
from models.datasets.splits import fingerprint
from models.evaluation.opening import Side

PHANTOMS = "phantoms"  # drawn by their seeds, which no folder tells

_MODELS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Trained:
    """`layouts`: of the sets that weights saw. `images`: fingerprints of the folders that were
    divided into the project's usual sides."""

    layouts: frozenset[str]
    images: frozenset[str]


def of_card(name: str, models: Path = _MODELS) -> Trained:
    """Of the weights that are served."""
    facts = tomllib.loads((models / name / "card.toml").read_text(encoding="utf-8"))
    return Trained(frozenset(facts["trained_on"]), frozenset(facts.get("images", {}).values()))


def of_run(weights: Path) -> Trained | None:
    """Of a training run, or of one fold of it; None where nothing is written down."""
    own, series = weights / "config.json", weights.parent / "config.json"
    path = own if own.is_file() else series
    try:
        facts = json.loads(path.read_text())
        # A fold holds out another side than the usual one.
        divided = frozenset(() if facts["folds"] else facts.get("images", ())) - {""}
        layouts = frozenset([*facts["layouts"], *facts["data"]]) & set(SETS)
        initial = facts["config"].get("initial")
        packs = facts["config"].get("data", {}).get("packs")
    except (AttributeError, KeyError, OSError, TypeError, ValueError):
        return None
    if packs and not facts["data"]:  # samples that were made elsewhere, of who knows what
        return None
    if not initial:
        return Trained(layouts, divided)
    # Held out is what neither of the two runs was trained on.
    before = of_run(Path(initial))
    return before and Trained(layouts | before.layouts, divided & before.images)


def may_have_seen(
    trained: Trained | None, layout: str, cases: Sequence[Case], part: Side
) -> bool | None:
    """`cases`: of the whole folder. None where nobody knows."""
    if trained is None or layout == PHANTOMS:
        return None
    if layout not in trained.layouts:
        return False
    return part != "validation" or fingerprint(cases) not in trained.images
