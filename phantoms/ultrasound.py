"""A synthetic breast ultrasound image with its truth.

Order: layers of the breast wall (`layers`), what may be mistaken for a lesion, the lesions, then
the scanner (`echo`). A third of the images are normal.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from phantoms.echo import b_mode
from phantoms.layers import Section, draw_section
from phantoms.plans import LesionPlan, complete
from phantoms.streams import stream
from phantoms.texture import Map, as_map, blur, power_law, sample, smoothstep
from phantoms.truth import Laterality, Lesion, LesionRequest, Phantom, crop_lesion, worst_label

Mask = NDArray[np.bool_]

NORMAL_SHARE = 0.30
CYST_SHARE = 0.35  # of the circumscribed masses


def ultrasound(
    seed: int,
    size_px: tuple[int, int] = (512, 640),
    lesions: Sequence[LesionRequest] | None = None,
    laterality: Laterality | None = None,
) -> Phantom:
    """Draw one image of a linear probe; the same arguments always give the same image.

    Depth is 36 to 46 mm at any `size_px` (rows, columns). Only masses can be asked for: a
    circumscribed one is a fibroadenoma or a cyst, a spiculated one is irregular and casts a shadow.

    Raises ValueError for a negative seed, a shape outside 0.8 to 2 columns per row, or a request
    for another kind.
    """
    rows, columns = size_px
    if rows < 96 or not 0.8 <= columns / rows <= 2.0:
        raise ValueError(f"cannot draw an ultrasound image of {rows} rows and {columns} columns")
    rng = stream(seed, "ultrasound")
    side: Laterality = "L" if rng.random() < 0.5 else "R"
    section = draw_section(rng, size_px)
    wanted = _draw_requests(rng) if lesions is None else lesions
    if any(request.kind != "mass" for request in wanted):
        raise ValueError("an ultrasound phantom shows masses only")
    found = tuple(_add_mass(rng, section, complete(request, rng)) for request in wanted)
    pixels = b_mode(
        rng,
        section.echo_db,
        section.loss_db_per_mm,
        section.spacing_mm,
        focus=rng.uniform(0.3, 0.6),
        range_db=rng.uniform(54.0, 64.0),
    )
    return Phantom(
        pixels=pixels,
        raw=None,
        modality="US",
        laterality=laterality or side,
        view=None,
        pixel_spacing_mm=(section.spacing_mm, section.spacing_mm),
        breast_mask=np.ones(size_px, np.bool_),
        lesions=found,
        label=worst_label(found),
    )


def _draw_requests(rng: np.random.Generator) -> list[LesionRequest]:
    """Nothing, one mass, or now and then two."""
    chance = rng.random()
    if chance < NORMAL_SHARE:
        return []
    count = 2 if chance > 0.93 else 1
    sizes_mm = 5.0 + 13.0 * rng.beta(1.6, 2.2, count)
    return [LesionRequest("mass", size_mm=float(size_mm)) for size_mm in sizes_mm]


def _centre(rng: np.random.Generator, section: Section, size_mm: float) -> tuple[float, float]:
    """Centre (y, x) in mm, in the glandular layer or at its upper edge."""
    height, width = section.y_mm[-1, 0], section.x_mm[0, -1]
    low, high = section.skin_mm + 0.6 * size_mm + 1.0, 0.72 * height - 0.3 * size_mm
    middle = rng.normal(section.gland_mm, 3.0)
    y = float(np.clip(middle, low, max(low, high)))
    margin = min(0.75 * size_mm + 1.0, 0.45 * width)
    for _ in range(12):
        x = float(rng.uniform(margin, width - margin))
        if all(abs(x - other) > 0.6 * (size_mm + span) for other, span in section.taken_mm):
            break
    section.taken_mm.append((x, size_mm))
    return y, x


def _add_mass(rng: np.random.Generator, section: Section, plan: LesionPlan) -> Lesion:
    """Draw one mass into the section."""
    size_mm = min(plan.size_mm, 0.5 * float(section.y_mm[-1, 0]))
    y0, x0 = _centre(rng, section, size_mm)
    relative, angle = _outline(rng, section, plan, (y0, x0), size_mm)
    if plan.margin == "circumscribed":
        _circumscribed(rng, section, relative, angle, plan.conspicuity)
    else:
        _irregular(rng, section, relative, angle, plan.conspicuity)
    return crop_lesion(relative <= 1.0, "mass", plan.margin, plan.malignant)


def _outline(
    rng: np.random.Generator,
    section: Section,
    plan: LesionPlan,
    centre_mm: tuple[float, float],
    size_mm: float,
) -> tuple[Map, Map]:
    """Distance from the centre over that of the outline (1 on it), and the angle."""
    y, x = section.y_mm - centre_mm[0], section.x_mm - centre_mm[1]
    oval = plan.margin == "circumscribed"
    aspect = rng.uniform(1.25, 2.1) if oval else rng.uniform(0.62, 1.1)
    tilt = rng.normal(0.0, 0.12 if oval else 0.25)
    u, v = np.cos(tilt) * x + np.sin(tilt) * y, np.cos(tilt) * y - np.sin(tilt) * x
    radius = np.hypot(u / np.sqrt(aspect), v * np.sqrt(aspect)) / (size_mm / 2.0)
    angle = np.arctan2(v, u)
    ripple = np.zeros_like(angle)
    roughness, orders = (0.035, range(2, 5)) if oval else (0.075, range(2, 9))
    for order in orders:
        phase = rng.uniform(0.0, 2.0 * np.pi)
        ripple += roughness * rng.uniform(0.3, 1.0) * np.cos(order * angle + phase)
    return as_map(radius / (1.0 + ripple)), as_map(angle)


def _circumscribed(
    rng: np.random.Generator, section: Section, relative: Map, angle: Map, conspicuity: float
) -> None:
    """A cyst (no echoes) or a fibroadenoma (few, even echoes); sound passes more easily."""
    cyst = rng.random() < CYST_SHARE
    level = -46.0 if cyst else -15.0 - 8.0 * conspicuity
    inside = 1.0 - smoothstep(relative, 0.97, 1.03)
    texture = power_law(rng, 2.5, 6.0, 0.8)
    mottle = sample(texture, section.x_mm, section.y_mm) * (0.0 if cyst else 1.6)
    section.echo_db += inside * (level + mottle - section.echo_db)
    capsule = np.exp(-np.square((relative - 1.03) / 0.035)) * np.abs(np.sin(angle))
    section.echo_db += rng.uniform(4.0, 9.0) * capsule
    through = rng.uniform(0.9, 1.4) if cyst else rng.uniform(0.25, 0.7)
    section.loss_db_per_mm -= through * inside
    edge = np.exp(-np.square((relative - 1.0) / 0.05)) * (np.abs(np.cos(angle)) > 0.93)
    section.loss_db_per_mm += rng.uniform(0.8, 2.2) * edge


def _irregular(
    rng: np.random.Generator, section: Section, relative: Map, angle: Map, conspicuity: float
) -> None:
    """Dark and uneven, with an echogenic halo, dark strands into it and a shadow behind."""
    texture = power_law(rng, 2.6, 8.0, 0.6)
    mottle = sample(texture, section.x_mm, section.y_mm)
    strands = np.zeros_like(angle)
    for _ in range(int(rng.integers(7, 14))):
        bearing = rng.uniform(-np.pi, np.pi)
        gap = np.abs(np.angle(np.exp(1j * (angle - bearing)))).astype(np.float32)
        reach = rng.uniform(1.15, 1.6)
        width = 0.16 * np.clip(reach - relative, 0.0, 1.0)
        strands = np.maximum(strands, np.exp(-np.square(gap / np.maximum(width, 1e-3))))
    halo = np.exp(-np.square((relative - 1.22) / 0.16))
    section.echo_db += rng.uniform(3.0, 7.0) * halo
    level = -16.0 - 8.0 * conspicuity + 2.5 * mottle
    inside = np.maximum(1.0 - smoothstep(relative, 0.90, 1.10), 0.75 * strands)
    section.echo_db += inside * (level - section.echo_db)
    shadow = rng.uniform(0.3, 1.1) if rng.random() < 0.8 else 0.0
    section.loss_db_per_mm += shadow * blur(inside, 0.3 / section.spacing_mm)
