"""Medians and ratios over the rounds of one comparison.

In: the measurements of each round, taken one variant after the other. Out: one row per size,
number of associations and variant. A ratio is the median of the ratios within each round, so that
what slowed a whole round down cancels out.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from benchmarks.measure import Cell, Measurement

# What the others are compared with.
REFERENCES = ("orthanc", "storescp")

Round = Mapping[str, Measurement]  # by name of the variant


@dataclass(frozen=True, slots=True)
class Row:
    """One variant in one cell; `rounds` holds what the medians come from."""

    size: str
    associations: int
    variant: str
    median: Measurement
    ratios: Mapping[str, float]  # objects per second, by name of the reference
    rounds: Sequence[Measurement]

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return asdict(self)


def rows(cell: Cell, rounds: Sequence[Round]) -> list[Row]:
    """The rows of one cell, in the order of the first round."""
    return [
        Row(
            cell.size,
            cell.associations,
            variant,
            median([each[variant] for each in rounds]),
            ratios(variant, rounds),
            [each[variant] for each in rounds],
        )
        for variant in rounds[0]
    ]


def median(measurements: Sequence[Measurement]) -> Measurement:
    """The median of each figure; a variant that was rejected once stays rejected."""
    for measurement in measurements:
        if measurement.rejected:
            return measurement
    return Measurement(
        **{
            field.name: statistics.median(getattr(each, field.name) for each in measurements)
            for field in fields(Measurement)
            if field.name != "rejected"
        }
    )


def ratios(variant: str, rounds: Sequence[Round]) -> dict[str, float]:
    """How many times the objects per second of each reference, within the same round."""
    found = {}
    for reference in REFERENCES:
        within = [
            each[variant].objects_per_second / each[reference].objects_per_second
            for each in rounds
            if reference in each and each[reference].objects_per_second
        ]
        if within:
            found[reference] = statistics.median(within)
    return found


def order(names: Sequence[str], round_number: int) -> list[str]:
    """The order within a round: each begins with the next, so that no place is always one's."""
    start = round_number % len(names)
    return [*names[start:], *names[:start]]
