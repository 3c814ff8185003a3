"""Where the specks of a cluster lie and what each looks like; the course of an artery.

In: a generator. Out: specks and courses in mm around the origin. Morphology and distribution carry
the terms of the BI-RADS atlas (ACR, 5th edition, 2013): a group is five or more calcifications
within a few millimetres, up to 20 mm; fine pleomorphic and fine linear ones are below 0.5 mm,
coarse heterogeneous ones 0.5 to 1 mm. How often each is drawn is our choice, not a prevalence.
Alghamdi 2024 (section I) tells the two kinds of a mammogram apart by these shapes: MC are small
bright regions, arteries "linear deposits of bright spots along the walls".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from phantoms.calcifications import Speck

Morphology = Literal["round", "amorphous", "coarse", "pleomorphic", "linear"]
Label = Literal["benign", "malignant"]

# Readers' circles around the clusters of mini-MIAS are 3 to 35 mm wide, half of them below 8 mm.
CLUSTER_MM = (2.5, 35.0)

ARTERY_MM = (12.0, 70.0)
ARTERY_DIAMETER_MM = (0.7, 2.6)
STEP_MM = 0.5  # between the points of a course


@dataclass(frozen=True, slots=True)
class Look:
    """Range of counts per cluster; median size in mm and its spread in the logarithm; elongation.

    `share`: how often it is drawn. `label`: what its shape suggests.
    """

    count: tuple[int, int]
    size_mm: float
    spread: float
    stretch: tuple[float, float]
    share: float
    label: Label


LOOKS: Mapping[Morphology, Look] = {
    "round": Look((5, 20), 0.34, 0.30, (1.0, 1.3), 0.25, "benign"),
    "amorphous": Look((15, 50), 0.28, 0.25, (1.0, 1.5), 0.15, "malignant"),
    "coarse": Look((5, 16), 0.52, 0.30, (1.0, 1.9), 0.20, "benign"),
    "pleomorphic": Look((8, 40), 0.33, 0.40, (1.1, 2.6), 0.28, "malignant"),
    "linear": Look((8, 28), 0.36, 0.30, (2.0, 4.5), 0.12, "malignant"),
}

_SIZE_MM = (0.12, 1.1)


def draw_morphology(rng: np.random.Generator) -> Morphology:
    """One of LOOKS by its share."""
    names = list(LOOKS)
    return names[rng.choice(len(names), p=[LOOKS[name].share for name in names])]


def cluster(
    rng: np.random.Generator, morphology: Morphology, extent_mm: float
) -> tuple[list[Speck], float]:
    """Specks around (0, 0), at most `extent_mm` apart, and their duct's direction in radians."""
    look = LOOKS[morphology]
    # As many specks per area as the next cluster, not as many per cluster: small ones hold few.
    low, high = look.count
    typical = np.interp(extent_mm, (2.5, 12.0, 35.0), (low, high, 2 * high))
    count = round(float(typical) * rng.uniform(0.6, 1.3))
    duct = rng.uniform(0.0, np.pi)
    flat = rng.uniform(0.15, 0.5) if morphology == "linear" else rng.uniform(0.4, 1.0)
    places = _places(rng, max(4, count), extent_mm, flat, duct)
    return [_speck(rng, look, y, x, duct) for y, x in places], duct


def _places(
    rng: np.random.Generator, count: int, extent_mm: float, flat: float, duct: float
) -> NDArray[np.float64]:
    """Places (count, 2) as (y, x): dense in the middle or even, round or along the duct."""
    even = rng.random() < 0.4
    radius = np.sqrt(rng.random(count)) if even else np.abs(rng.normal(0.0, 0.45, count)).clip(0, 1)
    turn = rng.uniform(0.0, 2.0 * np.pi, count)
    along, across = radius * np.cos(turn), flat * radius * np.sin(turn)
    if rng.random() < 0.3:  # segmental: wider away from the nipple
        across = across * (0.5 + 0.5 * along)
    y = along * np.sin(duct) + across * np.cos(duct)
    x = along * np.cos(duct) - across * np.sin(duct)
    return np.asarray(0.5 * extent_mm * np.stack([y, x], axis=1))


def _speck(rng: np.random.Generator, look: Look, y: float, x: float, duct: float) -> Speck:
    size = float(np.clip(look.size_mm * rng.lognormal(0.0, look.spread), *_SIZE_MM))
    stretch = rng.uniform(*look.stretch) ** 0.5
    angle = duct + rng.normal(0.0, 0.4)
    thickness = size / stretch * rng.uniform(0.6, 1.1)
    return Speck(y, x, 0.5 * size * stretch, 0.5 * size / stretch, angle, thickness)


def course(rng: np.random.Generator, length_mm: float) -> NDArray[np.float32]:
    """The middle of an artery from (0, 0): float32 (points, 2) as (x, y) in mm, STEP_MM apart.

    Heading is a smoothed random walk: arteries of the breast wind gently, with radii of
    centimetres, and more tightly with age.
    """
    count = max(8, round(length_mm / STEP_MM))
    kernel = np.hanning(25) / np.hanning(25).sum()
    bends = np.convolve(rng.standard_normal(count + 24), kernel, mode="valid")
    tortuosity = rng.uniform(0.1, 0.55)
    heading = rng.uniform(0.0, 2.0 * np.pi) + np.cumsum(tortuosity * bends)
    steps = STEP_MM * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    return np.asarray(np.cumsum(steps, axis=0) - steps[0], np.float32)
