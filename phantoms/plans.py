"""Which lesions a breast has: drawn at random, or asked for and completed at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phantoms.streams import stream
from phantoms.truth import Laterality, LesionKind, LesionRequest, Margin

NORMAL_SHARE = 0.35
TYPICAL_SHARE = 0.92  # malignant masses that are spiculated, benign ones that are circumscribed

SIZE_MM: dict[LesionKind, tuple[float, float]] = {
    "mass": (7.0, 26.0),
    "calcification_cluster": (5.0, 20.0),
    "arterial_calcification": (25.0, 80.0),
}


@dataclass(frozen=True, slots=True)
class LesionPlan:
    """A lesion with everything decided but its exact place; fields as in `LesionRequest`.

    `margin` is that of a mass, and means nothing for the other kinds.
    """

    kind: LesionKind
    margin: Margin
    malignant: bool
    size_mm: float
    conspicuity: float
    depth: float
    height: float | None


def draw_plans(seed: int, laterality: Laterality) -> list[LesionPlan]:
    """Lesions of one breast, the same for both of its views; empty for about a third."""
    rng = stream(seed, laterality, "plans")
    if rng.random() < NORMAL_SHARE:
        return []
    kinds: list[LesionKind] = []
    if rng.random() < 0.70:
        kinds += ["mass", "mass"] if rng.random() < 0.2 else ["mass"]
    if rng.random() < 0.40:
        kinds.append("calcification_cluster")
    if not kinds or rng.random() < 0.18:
        kinds.append("arterial_calcification")
    return [complete(LesionRequest(kind), rng) for kind in kinds]


def complete(request: LesionRequest, rng: np.random.Generator) -> LesionPlan:
    """Draw whatever the request leaves open, small sizes more often than large.

    Always uses the same number of draws, so that fixing one field leaves the others alone.
    """
    chance, typical, size, plain, depth = rng.random(5).tolist()
    malignant, margin = _nature(request, chance, typical < TYPICAL_SHARE)
    low, high = SIZE_MM[request.kind]
    return LesionPlan(
        request.kind,
        margin,
        malignant,
        _given(request.size_mm, low + (high - low) * size**1.3),
        _given(request.conspicuity, 0.15 + 0.85 * plain),
        _given(request.depth, 0.15 + 0.70 * depth),
        request.height,
    )


def _given(value: float | None, drawn: float) -> float:
    """The value asked for, or the one drawn."""
    return float(drawn) if value is None else value


def _nature(request: LesionRequest, chance: float, typical: bool) -> tuple[bool, Margin]:
    """Malignancy and margin that go together as they mostly do."""
    if request.kind == "arterial_calcification":
        return False, "circumscribed"
    malignant = request.malignant
    if malignant is None and request.margin is not None:
        malignant = typical == (request.margin == "spiculated")
    if malignant is None:
        malignant = chance < 0.5
    return malignant, request.margin or ("spiculated" if malignant == typical else "circumscribed")
