"""Which lesions a breast has, when the caller does not say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from phantoms.streams import stream
from phantoms.truth import Laterality, LesionRequest

NORMAL_SHARE = 0.35


def draw_requests(seed: int, laterality: Laterality) -> list[LesionRequest]:
    """Lesions of one breast, the same for both of its views; empty for about a third."""
    rng = stream(seed, laterality, "requests")
    if rng.random() < NORMAL_SHARE:
        return []
    requests: list[LesionRequest] = []
    if rng.random() < 0.70:
        requests += [LesionRequest("mass")] * (2 if rng.random() < 0.2 else 1)
    if rng.random() < 0.40:
        requests.append(LesionRequest("calcification_cluster"))
    if not requests or rng.random() < 0.18:
        requests.append(LesionRequest("arterial_calcification"))
    return [complete(request, rng) for request in requests]


def complete(request: LesionRequest, rng: np.random.Generator) -> LesionRequest:
    """Draw whatever the request leaves open, but where it lies across the breast.

    Always uses the same number of draws, so that fixing one field leaves the others alone.
    """
    chance, type_chance, size, plain, depth = rng.random(5)
    malignant, margin = _nature(request, chance, type_chance)
    drawn = LesionRequest(
        request.kind,
        margin if request.kind == "mass" else None,
        malignant,
        _size_mm(request.kind, size),
        float(0.15 + 0.85 * plain),
        float(0.15 + 0.7 * depth),
    )
    given = {
        name: getattr(request, name)
        for name in ("size_mm", "conspicuity", "depth", "height")
        if getattr(request, name) is not None
    }
    return replace(drawn, **given)


def _nature(
    request: LesionRequest, chance: float, type_chance: float
) -> tuple[bool, str | None]:
    """Malignancy and margin that go together as they mostly do."""
    if request.kind == "arterial_calcification":
        return False, None
    malignant = request.malignant
    if malignant is None:
        if request.margin is None:
            malignant = chance < 0.5
        else:
            malignant = chance < (0.92 if request.margin == "spiculated" else 0.08)
    usual = "spiculated" if malignant else "circumscribed"
    other = "circumscribed" if malignant else "spiculated"
    margin = request.margin or (usual if type_chance < 0.92 else other)
    return malignant, margin


def _size_mm(kind: str, chance: float) -> float:
    """Size from a chance in [0, 1]; small ones are more common."""
    low, high = {
        "mass": (7.0, 26.0),
        "calcification_cluster": (5.0, 20.0),
        "arterial_calcification": (25.0, 80.0),
    }[kind]
    return float(low + (high - low) * chance**1.3)
