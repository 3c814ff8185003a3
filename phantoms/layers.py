"""The layers of the breast wall as ultrasound sees them, without any lesion.

Out: a `Section` with echogenicity and attenuation on the image grid: skin, subcutaneous fat with
its septa, gland, retromammary fat, pectoral muscle, now and then a rib with its shadow.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from phantoms.texture import Map, as_map, power_law, ridges, sample, smoothstep

# Mean echogenicity in dB against gland.
GLAND_DB, FAT_DB, MUSCLE_DB = 0.0, -13.0, -12.0


@dataclass(slots=True)
class Section:
    """A slice of tissue being filled. Maps are float32 (rows, columns); depth runs down.

    `echo_db`: echogenicity against gland. `loss_db_per_mm`: attenuation that the scanner's depth
    gain does not compensate. `gland_mm`: depth of the middle of the glandular layer.
    `taken_mm`: (x, size) of the lesions placed so far.
    """

    spacing_mm: float
    x_mm: Map
    y_mm: Map
    echo_db: Map
    loss_db_per_mm: Map
    skin_mm: float
    gland_mm: float
    taken_mm: list[tuple[float, float]] = field(default_factory=list)


def draw_section(rng: np.random.Generator, size_px: tuple[int, int]) -> Section:
    """Draw the layers of one breast."""
    rows, columns = size_px
    depth_mm = rng.uniform(36.0, 46.0)
    spacing = depth_mm / rows
    x, y = np.meshgrid(
        (np.arange(columns, dtype=np.float32) + 0.5) * np.float32(spacing),
        (np.arange(rows, dtype=np.float32) + 0.5) * np.float32(spacing),
    )
    skin = rng.uniform(1.4, 2.2)
    fat_end = skin + depth_mm * rng.uniform(0.10, 0.24)
    gland_end = fat_end + depth_mm * rng.uniform(0.28, 0.40)
    muscle = gland_end + rng.uniform(1.5, 4.0)
    echo = _tissue(rng, x, y, (fat_end, gland_end, muscle))
    _skin(rng, echo, y, skin)
    loss = np.full_like(echo, 0.12 + 0.30 * rng.random())
    section = Section(float(spacing), x, y, echo, loss, skin, 0.5 * (fat_end + gland_end))
    for _ in range(int(rng.integers(0, 4))):
        _lobule(rng, section, (fat_end, gland_end))
    if rng.random() < 0.35:
        _rib(rng, section, muscle + rng.uniform(3.0, 8.0))
    return section


def _wave(rng: np.random.Generator, x: Map, amplitude_mm: float) -> Map:
    """A gently waving boundary, as an offset in mm at each column."""
    phase = rng.uniform(0.0, 2.0 * np.pi, 3)
    swell = np.sin(x / 9.0 + phase[0]) + 0.5 * np.sin(x / 4.1 + phase[1])
    return as_map(amplitude_mm * (swell + 0.2 * np.sin(x / 1.7 + phase[2])))


def _tissue(rng: np.random.Generator, x: Map, y: Map, bounds_mm: tuple[float, float, float]) -> Map:
    """Echogenicity in dB of fat, gland, retromammary fat and muscle."""
    fat_end, gland_end, muscle_top = bounds_mm
    coarse, fine = power_law(rng, 3.2, 14.0, 3.0), power_law(rng, 2.2, 6.0, 0.5)
    bend = 1.2 * sample(coarse, 0.5 * x, 0.5 * y + 60.0)
    lobes = sample(coarse, 0.45 * x, 1.3 * y + bend)
    septa = ridges(lobes, 0.10) + 0.8 * ridges(sample(coarse, 0.3 * x + 50.0, y + bend), 0.07)
    fat = FAT_DB + 1.5 * sample(fine, x, y) + 17.0 * septa
    ducts = sample(coarse, 0.42 * x + 90.0, 1.5 * (y + bend))
    gland = GLAND_DB + 4.0 * ducts + 1.6 * sample(fine, 0.5 * x, 1.4 * y)
    gland += 8.0 * ridges(sample(coarse, 0.22 * x + 20.0, 1.2 * (y + bend)), 0.08)
    gland -= 11.0 * smoothstep(ducts, 0.9, 1.6) * rng.uniform(0.3, 1.0)
    slope = rng.normal(0.0, 0.05)
    fibres = sample(fine, 0.16 * x, 1.25 * (y - slope * x))
    muscle = MUSCLE_DB + 2.4 * fibres + 9.0 * ridges(fibres, 0.14)
    top = fat_end + _wave(rng, x, 0.9) + 0.8 * lobes
    bottom = gland_end + _wave(rng, x, 0.7) + 0.6 * ducts
    base = muscle_top + _wave(rng, x, 0.25) + slope * x
    echo = fat + smoothstep(y - top, -0.5, 0.5) * (gland - fat)
    echo += smoothstep(y - bottom, -0.4, 0.4) * (fat - echo)
    echo += smoothstep(y - base, -0.2, 0.2) * (muscle - echo)
    echo += 13.0 * np.exp(-np.square((y - base) / 0.22))
    return as_map(echo)


def _skin(rng: np.random.Generator, echo: Map, y: Map, skin_mm: float) -> None:
    """Coupling gel, then skin as a bright band between two brighter lines, in place."""
    inside = 1.0 - smoothstep(y, skin_mm - 0.15, skin_mm + 0.15)
    echo += inside * (1.0 - echo)
    for line_mm in (0.35, skin_mm):
        echo += 8.0 * np.exp(-np.square((y - line_mm) / 0.14))
    gel = 1.0 - smoothstep(y, 0.1, 0.3)
    echo += gel * (-30.0 - echo) * float(rng.random() < 0.5)


def _lobule(rng: np.random.Generator, section: Section, bounds_mm: tuple[float, float]) -> None:
    """An island of fat in the gland, in place: as grey as the fat above, no halo, no shadow."""
    x = section.x_mm - rng.uniform(0.0, section.x_mm[0, -1])
    y = section.y_mm - rng.uniform(bounds_mm[0] + 1.0, bounds_mm[1] - 1.0) - 0.12 * x * rng.normal()
    width, height = rng.uniform(3.0, 8.0), rng.uniform(1.2, 2.8)
    relative = np.hypot(x / width, y / height)
    inside = 0.8 * (1.0 - smoothstep(relative, 0.75, 1.15))
    section.echo_db += inside * (FAT_DB + 2.0 - section.echo_db)


def _rib(rng: np.random.Generator, section: Section, depth_mm: float) -> None:
    """A rib's bright surface with a complete shadow behind, in place."""
    centre, half = rng.uniform(0.0, section.x_mm[0, -1]), rng.uniform(5.0, 9.0)
    across = (section.x_mm - centre) / half
    surface = depth_mm + 1.6 * np.square(across)
    inside = (np.abs(across) < 1.0) & (section.y_mm > surface)
    line = np.exp(-np.square((section.y_mm - surface) / 0.3)) * (np.abs(across) < 1.0)
    section.echo_db += (16.0 * line).astype(np.float32)
    section.loss_db_per_mm += (6.0 * inside).astype(np.float32)
