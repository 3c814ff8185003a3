"""Denoising of mammograms: make the noise equally strong everywhere, smooth, go back.

The noise of a detector is Poisson's (quanta) plus a Gaussian (electronics): its variance grows
with the signal, variance = gain * signal + floor. Kumar et al. (paper 004, section II-B) remove
that dependence by "a modified Anscombe transform" and denoise with a network; they give neither
equation nor network. Ours: the generalised transform (Starck, Murtagh and Bijaoui, "Image
Processing and Data Analysis", 1998, section 2.4), the local linear estimate that is best for noise
of known variance 1 (Lee 1980), and the exact unbiased inverse in closed form (Makitalo and Foi,
"Optimal inversion of the generalized Anscombe transformation", IEEE TIP 22, 2013, equation 10).

In and out: float32 (rows, columns), linear or not: the noise model is estimated from the image.
Only numpy and OpenCV.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]

WINDOW_PX = 5

_BLOCK_PX = 8
_LEVELS = 24  # groups of blocks of similar brightness
_FEWEST_BLOCKS = 16
_QUIET = 25.0  # percentile of block variances: the blocks without structure
_QUIET_BIAS = 0.87  # that percentile over the true variance, for 64 residuals of pure noise

# Immerkaer's mask: blind to planes and edges along the axes; it keeps the variance of white noise.
_RESIDUAL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6.0


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """variance = `gain` * signal + `floor`, in units of the pixels; gain above 0."""

    gain: float
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not self.gain > 0:
            raise ValueError(f"a noise model needs a gain above 0, not {self.gain}")


def denoise(pixels: Pixels, noise: NoiseModel | None = None, window_px: int = WINDOW_PX) -> Pixels:
    """Return the image without most of its noise; `noise` is estimated where it is not given."""
    model = noise or estimate_noise(pixels)
    return inverse(calmed(forward(pixels, model), window_px), model)


def forward(pixels: Pixels, noise: NoiseModel) -> Pixels:
    """Stabilised values: noise of variance 1 whatever the signal.

    2 / a sqrt(a z + 3/8 a^2 + s^2), a the gain, s^2 the floor; 0 where the root has no value.
    """
    inside = noise.gain * pixels + (0.375 * noise.gain**2 + noise.floor)
    return np.asarray(2.0 / noise.gain * np.sqrt(np.maximum(inside, 0.0)), np.float32)


def inverse(stable: Pixels, noise: NoiseModel) -> Pixels:
    """The signal whose stabilised mean is `stable`; the algebraic inverse would be biased.

    (D/2)^2 + sqrt(3/2)/4 / D - 11/8 / D^2 + 5 sqrt(3/2)/8 / D^3 - 1/8 - s^2 in quanta, times a.
    """
    # Below the transform of a signal of 0 there is no signal to go back to.
    deviation2 = noise.floor / noise.gain**2
    lowest = 2.0 * np.sqrt(0.375 + deviation2)
    d = np.maximum(stable.astype(np.float64), lowest)
    root = np.sqrt(1.5)
    quanta = d**2 / 4 + root / (4 * d) - 11 / (8 * d**2) + 5 * root / (8 * d**3) - 1 / 8
    signal = noise.gain * np.maximum(quanta - deviation2, 0.0)
    return np.asarray(signal, np.float32)


def calmed(stable: Pixels, window_px: int = WINDOW_PX) -> Pixels:
    """Local mean, and of the deviation from it what noise of variance 1 cannot explain."""
    size = (window_px, window_px)
    mean = cv2.blur(stable, size, borderType=cv2.BORDER_REFLECT)
    deviation = stable - mean
    variance = cv2.blur(deviation * deviation, size, borderType=cv2.BORDER_REFLECT)
    share = np.maximum(variance - 1.0, 0.0) / np.maximum(variance, 1e-6)
    return np.asarray(mean + share * deviation, np.float32)


def estimate_noise(pixels: Pixels) -> NoiseModel:
    """Fit the model to the quietest blocks at each brightness.

    An image without noise, or too small to tell, gives a gain so small that nothing changes.
    """
    mean, variance = _blocks(pixels)
    order = np.argsort(mean)
    groups = [part for part in np.array_split(order, _LEVELS) if len(part) >= _FEWEST_BLOCKS]
    if len(groups) < 2:
        return NoiseModel(1e-9)
    level = np.array([mean[part].mean() for part in groups])
    quiet = np.array([np.percentile(variance[part], _QUIET) for part in groups]) / _QUIET_BIAS
    # Weighted by 1 / variance: the spread of an estimated variance grows with it.
    weight = 1.0 / np.maximum(quiet, 0.05 * max(float(quiet.mean()), 1e-12))
    gain, floor = np.polyfit(level, quiet, 1, w=weight)
    if gain <= 0:  # brighter is not noisier: take the noise as even
        gain, floor = 1e-6 * float(quiet.mean()), float(quiet.mean())
    return NoiseModel(max(float(gain), 1e-9), max(float(floor), 0.0))


def _blocks(pixels: Pixels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of the noise, flat, of each block that is not all of one value."""
    rows, columns = (size // _BLOCK_PX * _BLOCK_PX for size in pixels.shape)
    shape = (rows // _BLOCK_PX, _BLOCK_PX, columns // _BLOCK_PX, _BLOCK_PX)
    residual = cv2.filter2D(pixels, cv2.CV_32F, _RESIDUAL, borderType=cv2.BORDER_REFLECT)
    square = (residual[:rows, :columns].astype(np.float64) ** 2).reshape(shape).mean(axis=(1, 3))
    mean = pixels[:rows, :columns].astype(np.float64).reshape(shape).mean(axis=(1, 3))
    alive = square.ravel() > 0
    return mean.ravel()[alive], square.ravel()[alive]
