"""Numbers of headers, which devices may have written badly."""

from __future__ import annotations

import math
from typing import Any


def finite_number(value: Any) -> float | None:
    """The value as a number, or None where it is none or not finite."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def rounded(value: float) -> float:
    """A size to two decimals, or two digits where it is smaller: what is there is never 0."""
    return round(value, max(2, 1 - math.floor(math.log10(value)))) if value > 0 else value
