"""Independent random streams by name.

Each stage of a generator draws from its own stream, so that adding a draw to one stage, or drawing
more pixels of noise at a finer resolution, changes nothing elsewhere in the image.
"""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, *names: str) -> np.random.Generator:
    """Random generator for one stage of one phantom.

    Raises ValueError when `seed` is negative.
    """
    if seed < 0:
        raise ValueError(f"the seed must not be negative: {seed}")
    return np.random.default_rng([seed, zlib.crc32("/".join(names).encode())])
