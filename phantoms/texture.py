"""Random tissue texture in millimetres, whatever the resolution of the image.

Textures live on a torus of 256 mm with a pitch of 0.5 mm and are sampled at any coordinates, so
bending, stretching or refining the coordinates never shows a seam.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

Map = NDArray[np.float32]

TORUS_PX = 512
TORUS_PITCH_MM = 0.5


def as_map(values: ArrayLike) -> Map:
    """The values as float32, copied only where they are not."""
    return np.asarray(values, np.float32)


def power_law(
    rng: np.random.Generator, exponent: float, longest_mm: float, shortest_mm: float
) -> Map:
    """Isotropic noise with power spectrum f^-exponent between two wavelengths.

    Mammographic parenchyma has an exponent near 3 (Burgess, Jacobson and Judy, "Human observer
    detection experiments with mammograms and power-law noise", Medical Physics 28, 2001).

    Returns float32 (512, 512), the torus, zero mean and unit standard deviation.
    """
    white = rng.standard_normal((TORUS_PX, TORUS_PX), dtype=np.float32)
    across = fft.fftfreq(TORUS_PX, TORUS_PITCH_MM)[:, None]
    along = fft.rfftfreq(TORUS_PX, TORUS_PITCH_MM)[None, :]
    frequency = np.hypot(across, along)
    frequency[0, 0] = 1.0
    gain = frequency ** (-exponent / 2.0)
    gain *= np.exp(-((frequency * shortest_mm) ** 2) / 2.0)
    gain /= 1.0 + (frequency * longest_mm) ** -4.0
    gain[0, 0] = 0.0
    noise = fft.irfft2(fft.rfft2(white) * gain.astype(np.float32), s=white.shape)
    return as_map(noise / noise.std())


def sample(torus: Map, x_mm: Map, y_mm: Map) -> Map:
    """Texture at given coordinates, float32 of the coordinates' shape; wraps at 256 mm."""
    x, y = as_map(x_mm / TORUS_PITCH_MM), as_map(y_mm / TORUS_PITCH_MM)
    return as_map(cv2.remap(torus, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP))


def ridges(noise: Map, width: float) -> Map:
    """Thin bright lines where a noise crosses zero, in [0, 1]; `width` in standard deviations."""
    return as_map(np.exp(-np.square(noise / width)))


def smoothstep(values: Map, low: float, high: float) -> Map:
    """Cubic step from 0 at `low` to 1 at `high`."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    return as_map(t * t * (3.0 - 2.0 * t))


def blur(image: Map, sigma_px: float) -> Map:
    """Gaussian blur with mirrored borders; wide kernels are done on a reduced image."""
    if sigma_px < 0.15:
        return image
    factor = int(sigma_px // 4)
    if factor < 2:
        return as_map(cv2.GaussianBlur(image, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT))
    rows, columns = image.shape
    small = cv2.resize(
        image, (max(1, columns // factor), max(1, rows // factor)), interpolation=cv2.INTER_AREA
    )
    small = cv2.GaussianBlur(small, (0, 0), sigma_px / factor, borderType=cv2.BORDER_REFLECT)
    return as_map(cv2.resize(small, (columns, rows), interpolation=cv2.INTER_CUBIC))
