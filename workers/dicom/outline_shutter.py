"""Outlines as a bitmap display shutter, for viewers that draw no graphics (PS3.3 C.7.6.15).

In: a presentation state, the header of its image, the findings on it. Out: the state with an
overlay plane (C.9.2) that is 1 along every finding, and a shutter that shows those pixels in white.
What must hold: no pixel of a finding is covered by its own line; an overlay of the image keeps its
group while another is free.

Such a shutter replaces pixels, and no viewer's switch for graphics takes it away: it is for
destinations that ask for it. It takes the place of the image's own, since a state has one. A line
is wider on larger images, which screens show smaller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pack_bits

from workers.dicom.overlays import overlay_groups
from workers.findings import Finding

# Those that DCMTK 3.6.7 reads of a state; of one with a shutter in a higher group it shows nothing.
_GROUPS: Final = range(0x6000, 0x6010, 2)
_WHITE: Final = 0xFFFF  # P-value
_WHITE_CIELAB: Final = [0xFFFF, 0x8080, 0x8080]  # PS3.3 C.10.7.1.1: L* 100, a* 0, b* 0
# A line of two pixels on an image that is as long as a screen is high.
_LINE_PX: Final = 2
_SCREEN_PX: Final = 1400


def shutter_outlines(
    state: Dataset, header: Dataset, findings: Sequence[Finding], *, is_grey: bool
) -> None:
    """Add a shutter that draws the outlines of `findings`, one or more, and its overlay plane."""
    used = overlay_groups(header)
    # Where the image uses all of them, one is used twice: the shutter's is that of the state
    # (C.7.6.15), and that overlay of the image is not shown.
    group = next((each for each in _GROUPS if each not in used), _GROUPS[0])
    bits = outline_bits((int(header.Rows), int(header.Columns)), findings)
    _add_plane(state, group, bits)
    state.ShutterShape = "BITMAP"
    state.ShutterOverlayGroup = group
    state.ShutterPresentationValue = _WHITE
    if not is_grey:
        state.ShutterPresentationColorCIELabValue = _WHITE_CIELAB


def outline_bits(shape: tuple[int, int], findings: Sequence[Finding]) -> NDArray[np.uint8]:
    """(rows, columns) of 0 and 1: a line around each finding, outside of its mask."""
    bits = np.zeros(shape, np.uint8)
    width = max(1, round(_LINE_PX * max(shape) / _SCREEN_PX))
    for found in findings:
        _draw(bits, found, width)
    return bits


def _draw(bits: NDArray[np.uint8], found: Finding, width: int) -> None:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    mask = np.pad(found.mask.astype(np.uint8), width)
    ring = np.asarray(cv2.dilate(mask, kernel), np.uint8) - mask
    top, left = (offset - width for offset in found.offset_px)
    # What of the ring lies in the image.
    ring = ring[max(0, -top) :, max(0, -left) :]
    window = bits[max(0, top) :, max(0, left) :][: ring.shape[0], : ring.shape[1]]
    window |= ring[: window.shape[0], : window.shape[1]]


def _add_plane(state: Dataset, group: int, bits: NDArray[np.uint8]) -> None:
    """PS3.3 table C.9-2, of type Graphics."""
    rows, columns = bits.shape
    state.add_new((group, 0x0010), "US", rows)
    state.add_new((group, 0x0011), "US", columns)
    state.add_new((group, 0x0022), "LO", "AI marks, research use only")
    state.add_new((group, 0x0040), "CS", "G")
    state.add_new((group, 0x0050), "SS", [1, 1])
    state.add_new((group, 0x0100), "US", 1)
    state.add_new((group, 0x0102), "US", 0)
    state.add_new((group, 0x3000), "OW", pack_bits(bits.ravel()))
