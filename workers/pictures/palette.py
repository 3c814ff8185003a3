"""The colours of findings, in pictures and presentation states alike.

Distinguishable with any colour vision, and on grey of any brightness.
"""

from __future__ import annotations

from typing import Final

from models.contract import FindingKind

RGB = tuple[int, int, int]

RGB_OF_KIND: Final[dict[FindingKind, RGB]] = {
    FindingKind.MASS: (255, 176, 0),
    FindingKind.CALCIFICATION_CLUSTER: (64, 208, 255),
    FindingKind.ARTERIAL_CALCIFICATION: (255, 110, 180),
}
# What failed, and the notice.
WARNING_RGB: Final[RGB] = (255, 236, 130)
GROUND: Final[RGB] = (13, 15, 18)
TEXT: Final[RGB] = (232, 234, 237)
FAINT: Final[RGB] = (150, 156, 164)
