"""What lesions a breast is given when nobody says."""

from __future__ import annotations

import numpy as np
import pytest

from phantoms.plans import complete, draw_plans
from phantoms.truth import LesionRequest


def test_about_a_third_of_the_breasts_are_normal() -> None:
    """Counted over four hundred seeds."""
    empty = sum(not draw_plans(seed, "L") for seed in range(400))
    assert empty / 400 == pytest.approx(0.35, abs=0.08)


def test_malignant_masses_are_mostly_spiculated() -> None:
    """And benign ones mostly circumscribed, with exceptions on both sides."""
    plans = [plan for seed in range(400) for plan in draw_plans(seed, "R") if plan.kind == "mass"]
    agree = [plan.malignant == (plan.margin == "spiculated") for plan in plans]
    assert 0.85 < np.mean(agree) < 0.99


@pytest.mark.parametrize("margin", ["circumscribed", "spiculated"])
def test_what_is_asked_for_is_kept(margin: str) -> None:
    """Only open fields are drawn."""
    request = LesionRequest("mass", margin, True, 12.0, 0.3, 0.6, -0.2)  # type: ignore[arg-type]
    plan = complete(request, np.random.default_rng(0))
    assert (plan.margin, plan.malignant, plan.size_mm) == (margin, True, 12.0)
    assert (plan.conspicuity, plan.depth, plan.height) == (0.3, 0.6, -0.2)


def test_fixing_one_field_leaves_the_others_as_drawn() -> None:
    """The number of draws does not depend on the request."""
    free = complete(LesionRequest("mass"), np.random.default_rng(3))
    fixed = complete(LesionRequest("mass", size_mm=9.0), np.random.default_rng(3))
    assert (fixed.depth, fixed.conspicuity, fixed.margin) == (
        free.depth,
        free.conspicuity,
        free.margin,
    )


def test_arterial_calcification_is_never_malignant() -> None:
    """Whatever is asked for."""
    request = LesionRequest("arterial_calcification", malignant=True)
    assert not complete(request, np.random.default_rng(0)).malignant
