"""Where a segmentation lies: the plane macros of its source, or identity values.

In: the source's header and the analysed frame. Out: functional groups (PS3.3 C.7.6.16) in the
segmentation. A tomosynthesis slice has a place in the patient, and the segmentation takes it over.
A projection or an ultrasound image has none; identity values then only say "as the image".
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from workers.dicom.inheritance import decimal, pair_of

_MEASURES_KEYWORDS: Final = ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices")


class Plane(NamedTuple):
    """A slice in the patient. `orientation`: 6 cosines; `position`: x, y, z in mm."""

    frame_of_reference_uid: str
    position_reference_indicator: str | None
    orientation: list[float]
    position: list[float]
    measures: Dataset


def read_plane(source: Dataset, frame_number: int) -> Plane | None:
    """The plane of one frame of an enhanced multi-frame image, None where it has none.

    Each macro may stand in the shared or in the per-frame groups (C.7.6.16.1).
    """
    uid = source.get("FrameOfReferenceUID")
    orientation = _numbers(source, frame_number, "PlaneOrientation", "ImageOrientationPatient", 6)
    position = _numbers(source, frame_number, "PlanePosition", "ImagePositionPatient", 3)
    spacing = _numbers(source, frame_number, "PixelMeasures", "PixelSpacing", 2)
    if not uid or orientation is None or position is None or spacing is None or min(spacing) <= 0:
        return None
    found = _macro(source, frame_number, "PixelMeasuresSequence")
    measures = Dataset()
    for keyword in _MEASURES_KEYWORDS:
        value = found.get(keyword)
        if isinstance(value, MultiValue):
            setattr(measures, keyword, [decimal(each) for each in value])
        elif value:
            setattr(measures, keyword, decimal(value))
    indicator = source.get("PositionReferenceIndicator")
    return Plane(str(uid), indicator, orientation, position, measures)


def place(result: Dataset, plane: Plane) -> None:
    """Tie the segmentation to the source's frame of reference (C.7.4.1, A.51.5)."""
    result.FrameOfReferenceUID = plane.frame_of_reference_uid
    result.PositionReferenceIndicator = plane.position_reference_indicator
    _set_plane(result, plane.orientation, plane.position, plane.measures)


def place_as_the_image(result: Dataset, source: Dataset) -> None:
    """Write identity values, without which OHIF 3 does not draw the segmentation.

    The spacing is the header's own, else 1 mm: it places the overlay, it measures nothing.
    """
    measures = Dataset()
    spacing = pair_of(source, "PixelSpacing", "ImagerPixelSpacing") or ["1", "1"]
    measures.PixelSpacing = [decimal(float(value)) for value in spacing]
    measures.SliceThickness = 1
    _set_plane(result, [1, 0, 0, 0, 1, 0], [0, 0, 0], measures)


def _set_plane(
    result: Dataset, orientation: list[float], position: list[float], measures: Dataset
) -> None:
    shared = result.SharedFunctionalGroupsSequence[0]
    shared.PlaneOrientationSequence = [_item("ImageOrientationPatient", orientation)]
    shared.PixelMeasuresSequence = [measures]
    for frame in result.PerFrameFunctionalGroupsSequence:
        frame.PlanePositionSequence = [_item("ImagePositionPatient", position)]


def _item(keyword: str, values: list[float]) -> Dataset:
    item = Dataset()
    setattr(item, keyword, list(values))
    return item


def _numbers(
    source: Dataset, frame_number: int, macro: str, keyword: str, count: int
) -> list[float] | None:
    """The values of a macro's attribute if they are that many finite numbers."""
    values = _macro(source, frame_number, f"{macro}Sequence").get(keyword)
    try:
        numbers: list[float] = [decimal(value) for value in values or ()]
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None


def _macro(source: Dataset, frame_number: int, keyword: str) -> Dataset:
    frames: Any = source.get("PerFrameFunctionalGroupsSequence") or ()
    shared: Any = source.get("SharedFunctionalGroupsSequence") or ()
    for groups in (*frames[frame_number - 1 : frame_number], *shared[:1]):
        if groups.get(keyword):
            item: Dataset = groups[keyword].value[0]
            return item
    return Dataset()
