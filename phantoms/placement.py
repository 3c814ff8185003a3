"""Where a lesion may lie: inside the breast, off the muscle, and not on another lesion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phantoms.breast import ANATOMY_PITCH_MM, Breast
from phantoms.plans import LesionPlan

STEP_PX = 8  # candidate places every 2 mm
SKIN_GAP_MM = 5.0
LESION_GAP_MM = 8.0


class Places:
    """Hands out centres of lesions and remembers what is taken."""

    def __init__(self, breast: Breast) -> None:
        pick = (slice(STEP_PX // 2, None, STEP_PX), slice(STEP_PX // 2, None, STEP_PX))
        self._breast = breast
        self._x = breast.x_mm[pick].ravel()
        self._y = breast.y_mm[pick].ravel()
        muscle = np.where(breast.muscle[pick].ravel() > 0.05, -30.0, 0.0)
        height_mm = breast.y_mm.shape[0] * ANATOMY_PITCH_MM
        walls = np.minimum.reduce([self._x, self._y, height_mm - self._y])
        self._clearance = np.minimum(breast.edge_mm[pick].ravel() - SKIN_GAP_MM, walls) + muscle
        top, bottom = breast.extent_mm
        self._depth = self._x / breast.nipple_mm[1]
        self._height = 2.0 * (self._y - top) / (bottom - top) - 1.0

    def take(
        self, rng: np.random.Generator, plan: LesionPlan, radius_mm: float
    ) -> tuple[float, float]:
        """Centre (y, x) in mm for a lesion of this radius; the roomiest place when none fits."""
        clearance = self._clearance - radius_mm
        fits = np.flatnonzero(clearance > 0.0)
        if fits.size:
            odds = self._odds(plan)[fits]
            chosen = int(fits[rng.choice(fits.size, p=odds / odds.sum())])
        else:
            chosen = int(np.argmax(clearance))
        y, x = float(self._y[chosen]), float(self._x[chosen])
        distance = np.hypot(self._y - y, self._x - x) - radius_mm - LESION_GAP_MM
        self._clearance = np.minimum(self._clearance, distance)
        return y, x

    def _odds(self, plan: LesionPlan) -> NDArray[np.float64]:
        """Relative chance of each place: near the wanted depth and height, seldom at the rim."""
        middle, spread = (0.0, 0.75) if plan.height is None else (plan.height, 0.07)
        odds = np.exp(-np.square((self._height - middle) / spread))
        odds *= np.exp(-np.square((self._depth - plan.depth) / 0.07))
        return np.asarray(odds, np.float64) + 1.0e-12
