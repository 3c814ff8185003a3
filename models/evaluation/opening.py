"""What is evaluated, from a folder: cases of one side, in groups, evenly thinned.

In: the cases of a whole folder. Out: those to run. What must hold: cases that are not independent
share a group, also where the set tells no patients apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from models.contract import Modality
from models.datasets import splits
from models.datasets.cases import Case
from models.datasets.splits import Split

Side = Literal["all", "training", "validation"]


def chosen(
    cases: Sequence[Case],
    modality: Modality,
    side: Side = "all",
    limit: int | None = None,
    split: Callable[[Sequence[Case]], Split] = splits.hold_out,
) -> list[Case]:
    """Cases of a modality and a side, at most `limit`, spread evenly so that every class is met.

    `split`: the one that the model was trained with.
    """
    picked = list(cases)
    if side != "all":
        sides = split(cases)
        numbers = sides.training if side == "training" else sides.validation
        picked = [cases[number] for number in numbers]
    return thinned([case for case in picked if case.modality == modality], limit)


def grouped(cases: Sequence[Case]) -> list[Case]:
    """The same cases; those of unknown patients get the group of the pictures like theirs.

    A picture that cannot be read stands for itself.
    """
    unknown = [n for n, case in enumerate(cases) if not case.group and _is_readable(case)]
    # Names may repeat: the folders of a set often number their pictures alike.
    times = Counter(case.name for case in cases)
    group = {}
    for component in splits.groups([cases[number] for number in unknown]):
        first = unknown[component[0]]
        name = cases[first].name
        for place in component:
            group[unknown[place]] = f"like {name}" + (f" ({first})" if times[name] > 1 else "")
    return [replace(case, group=case.group or group.get(n, "")) for n, case in enumerate(cases)]


def thinned(cases: list[Case], limit: int | None) -> list[Case]:
    """At most `limit` cases, spread evenly over the list."""
    if limit is None or limit >= len(cases):
        return cases
    return [cases[index * len(cases) // limit] for index in range(limit)]


def _is_readable(case: Case) -> bool:
    try:
        case.read()
    except (OSError, ValueError):
        return False
    return True
