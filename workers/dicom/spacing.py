"""How large a pixel is in the breast, and how far that can be believed.

In: a data set without pixels. Out: (between rows, between columns) in mm, and its source. What must
hold: no spacing is better than a wrong one, since areas and axes are reported in mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import BreastTomosynthesisImageStorage

from workers.dicom.numbers import finite_number
from workers.images import SpacingSource

# mm; a 10 um specimen detector and a coarse secondary capture bound what a breast image can have.
_PLAUSIBLE_MM = (0.005, 5.0)
# Square pixels are the rule; a ratio beyond this is a damaged value, not an anamorphic detector.
_LARGEST_RATIO = 2.0
# Contact views are near 1.05, magnification views reach 2 (PS3.3 C.8.7.4: source to detector
# divided by source to patient, so never below 1).
_MAGNIFICATION = (1.0, 3.0)

_SPATIAL_FORMAT_2D = 1  # PS3.3 C.8.5.5.1.1
_DATA_TYPE_TISSUE = 1  # PS3.3 C.8.5.5.1.2
_UNITS_CM = 3  # PS3.3 C.8.5.5.1.15
_MM_PER_CM = 10.0

Spacing = tuple[tuple[float, float], SpacingSource]


def read_spacing(dataset: Dataset) -> Spacing | None:
    """Return the spacing in mm and its source, or None where the object gives none to trust.

    Projection radiography (PS3.3 10.7.1.3): a Pixel Spacing that differs from Imager Pixel Spacing
    has been calibrated at the depth of the breast and wins. Otherwise Imager Pixel Spacing, which
    is that of the detector and 4 to 10 % too large for the breast, divided by Estimated
    Radiographic Magnification Factor where there is one. Ultrasound (C.8.5.5): the two-dimensional
    tissue regions, if they agree. Tomosynthesis: that of the reconstructed slices, which lie in the
    breast (C.7.6.16.2.1).
    """
    if dataset.get("Modality") == "US":
        scales = _region_scales(dataset)
        if len(scales) > 1:
            # Two probes' depths in one picture: a finding could lie in either, and one Pixel
            # Spacing for both is that of neither.
            return None
        region = next(iter(scales), None)
        return _calibrated(dataset, None) if region is None else (region, "US region")
    if dataset.get("SOPClassUID") == BreastTomosynthesisImageStorage:
        return _calibrated(_pixel_measures(dataset), None)
    imager = _pair(dataset.get("ImagerPixelSpacing"))
    return _calibrated(dataset, imager) or _projected(dataset, imager)


def _pixel_measures(dataset: Dataset) -> Dataset:
    """The Pixel Measures that all frames share, which is how slices of one volume come."""
    shared: Any = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    measures: Any = shared[0].get("PixelMeasuresSequence") or [Dataset()]
    item: Dataset = measures[0]
    return item


def _calibrated(dataset: Dataset, imager: tuple[float, float] | None) -> Spacing | None:
    spacing = _pair(dataset.get("PixelSpacing"))
    if spacing is None or spacing == imager:
        return None
    return spacing, "PixelSpacing"


def _projected(dataset: Dataset, imager: tuple[float, float] | None) -> Spacing | None:
    if imager is None:
        return None
    factor = finite_number(dataset.get("EstimatedRadiographicMagnificationFactor"))
    if factor is None or not _MAGNIFICATION[0] < factor <= _MAGNIFICATION[1]:
        return imager, "ImagerPixelSpacing"
    return (imager[0] / factor, imager[1] / factor), "ImagerPixelSpacing/magnification"


def _region_scales(dataset: Dataset) -> set[tuple[float, float] | None]:
    """The different scales of the tissue regions; None for one that is not in centimetres."""
    return {
        _region_pair(region)
        for region in dataset.get("SequenceOfUltrasoundRegions") or ()
        if region.get("RegionSpatialFormat") == _SPATIAL_FORMAT_2D
        and region.get("RegionDataType") == _DATA_TYPE_TISSUE
    }


def _region_pair(region: Dataset) -> tuple[float, float] | None:
    if (
        not region.get("PhysicalUnitsXDirection")
        == region.get("PhysicalUnitsYDirection")
        == (_UNITS_CM)
    ):
        return None
    deltas = (
        finite_number(region.get("PhysicalDeltaY")),
        finite_number(region.get("PhysicalDeltaX")),
    )
    # A negative delta only says that the axis points the other way (C.8.5.5.1.17).
    return _pair([abs(delta) * _MM_PER_CM for delta in deltas if delta is not None])


def _pair(value: Any) -> tuple[float, float] | None:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        return None
    rows, columns = finite_number(value[0]), finite_number(value[1])
    if rows is None or columns is None:
        return None
    low, high = _PLAUSIBLE_MM
    if not (low <= rows <= high and low <= columns <= high):
        return None
    return (rows, columns) if max(rows, columns) <= _LARGEST_RATIO * min(rows, columns) else None
