"""From tissue to image: attenuation, detector signal with noise, and the processing for display.

In: path lengths in mm through each tissue. Out: `raw`, linear in exposure (For Processing), and
`pixels`, as displayed (For Presentation). Tissue constants are at 20 keV.
"""

from __future__ import annotations

import numpy as np

from phantoms.texture import Map, as_map, blur

# Linear attenuation per mm at 20 keV, after Johns and Yaffe, "X-ray characterisation of normal and
# neoplastic breast tissues", Physics in Medicine and Biology 32, 1987.
FAT_PER_MM = 0.0456
GLAND_PER_MM = 0.0802
TUMOUR_PER_MM = 0.0844
CALCIUM_PER_MM = 1.1

DETECTOR_BLUR_MM = 0.045  # Gaussian equal to an amorphous selenium detector plus focal spot
QUANTA_PER_MM2 = 9.0e6  # unattenuated beam; leaves about 2 % noise per 0.07 mm pixel under tissue

# Display processing: share of the thickness loss at the rim that is compensated, and the weights of
# detail added back at two scales.
RIM_COMPENSATION = 0.95
FINE_SCALE_MM, FINE_GAIN = 1.2, 0.8
COARSE_SCALE_MM, COARSE_GAIN = 9.0, 0.30


def attenuation(thickness_mm: Map, glandular_mm: Map) -> Map:
    """Line integral of attenuation (no unit) of fat with glandular-equivalent tissue."""
    fat = FAT_PER_MM * thickness_mm
    return fat + (GLAND_PER_MM - FAT_PER_MM) * np.minimum(glandular_mm, thickness_mm)


def detect(line_integral: Map, spacing_mm: float, rng: np.random.Generator) -> Map:
    """Detector signal in (0, 1], unattenuated beam 1; quantum noise is that of the pixel's area."""
    signal = blur(np.exp(-line_integral), DETECTOR_BLUR_MM / spacing_mm)
    quanta = QUANTA_PER_MM2 * spacing_mm**2
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    signal = signal + np.sqrt(signal / quanta) * noise
    return as_map(np.clip(signal, 1.0e-4, 1.0))


def present(raw: Map, thickness_mm: Map, edge_mm: Map, muscle: Map, spacing_mm: float) -> Map:
    """Image as displayed, [0, 1], background 0.

    As digital mammography systems do: logarithm, compensation of the thin rim, detail enhancement
    at two scales, automatic window, sigmoid.
    """
    density = -np.log(raw)
    full = float(thickness_mm.max())
    density += RIM_COMPENSATION * FAT_PER_MM * (full - thickness_mm)
    inside = edge_mm > 0.0
    window = density[(edge_mm > 6.0) & (muscle < 0.05)]
    low, high = np.quantile(window[:: max(1, window.size // 200_000)], (0.02, 0.995))
    high = max(float(high), float(low) + 1.1)
    level = (density - low) / (high - low)
    level = as_map(np.where(inside, level, -0.4))
    detail = FINE_GAIN * (level - blur(level, FINE_SCALE_MM / spacing_mm))
    coarse = COARSE_GAIN * (level - blur(level, COARSE_SCALE_MM / spacing_mm))
    rim = np.clip(edge_mm / 12.0, 0.0, 1.0)
    level = level + detail * (0.3 + 0.7 * rim) + coarse * rim
    shown = 1.0 / (1.0 + np.exp(-3.4 * (level - 0.42)))
    fade = np.clip(edge_mm / 1.2, 0.0, 1.0)
    return as_map(np.clip((shown - 0.03) / 0.94, 0.0, 1.0) * fade)
