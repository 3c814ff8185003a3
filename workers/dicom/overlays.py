"""The overlay planes of an image under a presentation state (PS3.3 C.11.7).

In: a presentation state, complete but for this, and the header of its image. Out: the state with an
Overlay Activation Layer for each overlay of the image: under a state, viewers show only those
overlays that it activates (PS3.4 N.2). What must hold: the plane of a bitmap shutter is activated
by none, because the shutter already shows it.
"""

from __future__ import annotations

from typing import Final

from highdicom.pr import GraphicLayer
from pydicom.dataset import Dataset

_GROUPS: Final = range(0x6000, 0x6020, 2)
_ROWS, _ACTIVATION_LAYER = 0x0010, 0x1001
_LAYER: Final = "IMAGE_OVERLAY"
_BELOW_ALL_MARKS: Final = 0
_WHITE: Final = 0xFFFF  # P-value


def overlay_groups(header: Dataset) -> list[int]:
    """Groups of the overlay planes that an image has, 6000 to 601E."""
    return [group for group in _GROUPS if (group, _ROWS) in header]


def activate_overlays(state: Dataset, header: Dataset) -> None:
    """Show in `state` what the image of `header` has; without overlays nothing changes."""
    of_shutter = state.get("ShutterOverlayGroup")
    shown = [group for group in overlay_groups(header) if group != of_shutter]
    for group in shown:
        state.add_new((group, _ACTIVATION_LAYER), "CS", _LAYER)
    if of_shutter is not None:
        state.add_new((of_shutter, _ACTIVATION_LAYER), "CS", None)
    if shown:
        layer = GraphicLayer(_LAYER, _BELOW_ALL_MARKS, "Overlays of the image")
        layer.GraphicLayerRecommendedDisplayGrayscaleValue = _WHITE
        state.GraphicLayerSequence.append(layer)
