"""A synthetic digital mammogram with its truth.

Order: patient and outline (`breast`), tissue (`parenchyma`), what may be mistaken for a lesion
(`distractors`), lesions (`masses`, `calcifications`), then the detector and the display
(`projection`). All lengths are in millimetres: a finer grid shows the same breast, only sharper.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from phantoms.breast import FIELD_HEIGHT_MM, Breast, draw_breast
from phantoms.calcifications import add_specks, cluster_specks, specks_region, track_specks
from phantoms.distractors import add_soft_distractors, lone_specks
from phantoms.masses import add_mass, lay, mass_patch
from phantoms.parenchyma import add_vessel, glandular_path, inside_breast, vessel_course, vessels
from phantoms.placement import Places
from phantoms.plans import LesionPlan, complete, draw_plans
from phantoms.projection import CALCIUM_PER_MM, attenuation, detect, present
from phantoms.streams import stream
from phantoms.texture import Map, as_map
from phantoms.truth import (
    Laterality,
    Lesion,
    LesionRequest,
    Phantom,
    View,
    crop_lesion,
    worst_label,
)

Mask = NDArray[np.bool_]

SHORTEST_COURSE = 8  # points of a calcified artery, 0.5 mm apart; a shorter one is left out


def mammogram(
    seed: int,
    laterality: Laterality,
    view: View,
    size_px: tuple[int, int] = (1024, 832),
    lesions: Sequence[LesionRequest] | None = None,
) -> Phantom:
    """Draw one view; the same arguments always give the same image.

    The field is 232.96 mm high at any `size_px` (rows, columns). A left breast has its chest wall
    at column 0, a right one at the last column. One seed is one patient: her four views share size,
    density and, when `lesions` is None, the lesions of each breast. `lesions` empty is a normal.

    Raises ValueError for a negative seed or a shape outside 0.6 to 1.3 columns per row.
    """
    rows, columns = size_px
    if rows < 128 or not 0.6 <= columns / rows <= 1.3:
        raise ValueError(f"cannot draw a mammogram of {rows} rows and {columns} columns")
    spacing = FIELD_HEIGHT_MM / rows
    breast = draw_breast(seed, laterality, view, columns * spacing)
    scene = _Scene(seed, laterality, view, breast, size_px, spacing)
    if lesions is None:
        plans = draw_plans(seed, laterality)
    else:
        rng = stream(seed, laterality, "requests")
        plans = [complete(request, rng) for request in lesions]
    drawn = [scene.add(lesion) for lesion in plans]
    return scene.expose([lesion for lesion in drawn if lesion is not None])


class _Scene:
    """The breast while it is being filled, on the image's own pixel grid, left frame."""

    def __init__(
        self,
        seed: int,
        laterality: Laterality,
        view: View,
        breast: Breast,
        size_px: tuple[int, int],
        spacing_mm: float,
    ) -> None:
        self.seed, self.laterality, self.view = seed, laterality, view
        self.breast, self.size_px, self.spacing_mm = breast, size_px, spacing_mm
        self.rng = stream(seed, laterality, view, "shapes")
        self.places = Places(breast)
        tissue = glandular_path(seed, laterality, view, breast)
        tissue += vessels(seed, laterality, view, breast)
        distractors = stream(seed, laterality, view, "distractors")
        add_soft_distractors(distractors, breast, tissue)
        self.tissue = tissue
        self.edge_mm = self._fine(breast.edge_mm)
        self.line_integral = self._fine(attenuation(breast.thickness_mm, tissue))
        self.calcium = np.zeros(size_px, np.float32)
        add_specks(self.calcium, lone_specks(distractors, breast), spacing_mm)

    def _fine(self, coarse: Map) -> Map:
        """Anatomy grid to pixel grid."""
        return as_map(cv2.resize(coarse, self.size_px[::-1], interpolation=cv2.INTER_CUBIC))

    def add(self, plan: LesionPlan) -> tuple[Mask, LesionPlan] | None:
        """Draw one lesion; None when no part of it falls inside the breast."""
        draw = {
            "mass": self._mass,
            "calcification_cluster": self._cluster,
            "arterial_calcification": self._artery,
        }[plan.kind]
        mask = draw(plan) & (self.edge_mm > 0.5)
        return (mask, plan) if mask.any() else None

    def _mass(self, plan: LesionPlan) -> Mask:
        centre = self.places.take(self.rng, plan, 0.55 * plan.size_mm)
        patch = mass_patch(self.rng, plan.margin, plan.size_mm)
        profile = lay(patch.profile, self.size_px, centre, self.spacing_mm)
        add_mass(self.line_integral, profile, plan.size_mm, plan.conspicuity, self.spacing_mm)
        return lay(patch.core, self.size_px, centre, self.spacing_mm) > 0.5

    def _cluster(self, plan: LesionPlan) -> Mask:
        centre = self.places.take(self.rng, plan, 0.5 * plan.size_mm)
        specks = cluster_specks(self.rng, centre, plan.size_mm, plan.malignant, plan.conspicuity)
        add_specks(self.calcium, specks, self.spacing_mm)
        return specks_region(specks, self.size_px, self.spacing_mm, 1.0, hull=True)

    def _artery(self, plan: LesionPlan) -> Mask:
        course = vessel_course(self.rng, self.breast, plan.size_mm)
        course = inside_breast(course, self.breast)
        if len(course) < SHORTEST_COURSE:
            return np.zeros(self.size_px, np.bool_)
        diameter = self.rng.uniform(1.6, 3.2)
        tube = np.zeros_like(self.tissue)
        add_vessel(tube, course, diameter)
        self.line_integral += self._fine(
            attenuation(self.breast.thickness_mm, self.tissue + tube)
            - attenuation(self.breast.thickness_mm, self.tissue)
        )
        specks = track_specks(self.rng, course, diameter, plan.conspicuity)
        add_specks(self.calcium, specks, self.spacing_mm)
        return specks_region(specks, self.size_px, self.spacing_mm, 0.5, hull=False)

    def expose(self, drawn: list[tuple[Mask, LesionPlan]]) -> Phantom:
        """Detector, display and truth, turned to the laterality."""
        total = self.line_integral + CALCIUM_PER_MM * self.calcium * (self.edge_mm > 0.5)
        rng = stream(self.seed, self.laterality, self.view, "quanta")
        raw = detect(total, self.spacing_mm, rng)
        thickness, muscle = self._fine(self.breast.thickness_mm), self._fine(self.breast.muscle)
        pixels = present(raw, thickness, self.edge_mm, muscle, self.spacing_mm)
        turn = slice(None, None, -1 if self.laterality == "R" else 1)
        lesions = tuple(self._lesion(mask[:, turn], plan) for mask, plan in drawn)
        return Phantom(
            pixels=np.ascontiguousarray(pixels[:, turn]),
            raw=np.ascontiguousarray(raw[:, turn]),
            modality="MG",
            laterality=self.laterality,
            view=self.view,
            pixel_spacing_mm=(self.spacing_mm, self.spacing_mm),
            breast_mask=np.ascontiguousarray(self.edge_mm[:, turn] > 0.0),
            lesions=lesions,
            label=worst_label(lesions),
        )

    def _lesion(self, mask: Mask, plan: LesionPlan) -> Lesion:
        margin = plan.margin if plan.kind == "mass" else None
        return crop_lesion(mask, plan.kind, margin, plan.malignant)
