"""The image's own way to the screen, as a softcopy presentation state repeats it (PS3.4 N.2).

In: the header of an image. Out: the Modality LUT, Softcopy VOI LUT and Softcopy Presentation LUT
attributes of a presentation state. A transformation that is absent from a presentation state is the
identity, whatever the image says, so all that the image has is copied, nothing is invented.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filewriter import correct_ambiguous_vr

from workers.dicom.inheritance import decimal, pair_of
from workers.dicom.numbers import finite_number

# A damaged aspect ratio must not squeeze the picture.
_LARGEST_RATIO = 2.0
# Aspect ratios are integers (IS): micrometres serve.
_PER_MM = 1000


def copy_grayscale(result: Dataset, source: Dataset, frame_number: int) -> None:
    """Write the grayscale transformations of one frame of `source` into `result`."""
    groups = list(_groups(source, frame_number))
    _copy_modality_lut(result, groups, source)
    _copy_voi_lut(result, groups, source)
    # PS3.4 N.2.1.4: photometric interpretation is ignored under a presentation state, so that
    # MONOCHROME1 has to be said here.
    inverse = (
        source.get("PhotometricInterpretation") == "MONOCHROME1"
        or source.get("PresentationLUTShape") == "INVERSE"
    )
    result.PresentationLUTShape = "INVERSE" if inverse else "IDENTITY"


def aspect_ratio(source: Dataset) -> list[int]:
    """Presentation Pixel Aspect Ratio (0070,0102): height to width of a pixel, 1\\1 unless known.

    PS3.3 C.7.6.3.1.7: Pixel Aspect Ratio, else the quotient of the spacing.
    """
    for keyword, scale in (
        ("PixelAspectRatio", 1),
        ("PixelSpacing", _PER_MM),
        ("ImagerPixelSpacing", _PER_MM),
    ):
        values = pair_of(source, keyword)
        if values is None:
            continue
        vertical, horizontal = (round((finite_number(value) or 0.0) * scale) for value in values)
        if vertical > 0 and horizontal > 0:
            if vertical == horizontal:
                return [1, 1]
            if max(vertical, horizontal) <= _LARGEST_RATIO * min(vertical, horizontal):
                return [vertical, horizontal]
    return [1, 1]


def _groups(source: Dataset, frame_number: int) -> Iterator[Dataset]:
    """Where the attributes of a frame may stand: the root, or functional groups (C.7.6.16)."""
    yield source
    frames = source.get("PerFrameFunctionalGroupsSequence") or []
    shared = source.get("SharedFunctionalGroupsSequence") or []
    for group in (*shared[:1], *frames[frame_number - 1 : frame_number]):
        for keyword in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            yield from group.get(keyword) or []


def _copy_modality_lut(result: Dataset, groups: list[Dataset], source: Dataset) -> None:
    """PS3.3 C.11.1: the table, or slope and intercept."""
    for group in groups:
        if tables := _tables(group.get("ModalityLUTSequence"), source):
            for table in tables:
                # Type 1; devices leave it out, and then it is unspecified (C.11.1.1.2).
                table.ModalityLUTType = table.get("ModalityLUTType") or "US"
            result.ModalityLUTSequence = tables
            return
        slope, intercept = (
            finite_number(group.get("RescaleSlope")),
            finite_number(group.get("RescaleIntercept")),
        )
        if slope is not None or intercept is not None:
            # A slope of zero would erase the image; it is an empty value written as a number.
            result.RescaleSlope = decimal(slope or 1.0)
            result.RescaleIntercept = decimal(intercept or 0.0)
            result.RescaleType = group.get("RescaleType") or "US"
            return


def _copy_voi_lut(result: Dataset, groups: list[Dataset], source: Dataset) -> None:
    """PS3.3 C.11.8: one alternative for all that is referenced.

    That is the one that `workers.dicom.grayscale` shows the models: the first table, else the first
    window. Several alternatives in one state would leave the choice to the viewer.
    """
    for group in groups:
        item = Dataset()
        window = _window(group)
        if tables := _tables(group.get("VOILUTSequence"), source):
            item.VOILUTSequence = [_in_16_bits(table) for table in tables]
        elif window:
            item.WindowCenter, item.WindowWidth = (decimal(value) for value in window)
            if group.get("VOILUTFunction"):
                item.VOILUTFunction = group.VOILUTFunction
        if len(item):
            result.SoftcopyVOILUTSequence = [item]
            return


def _window(group: Dataset) -> tuple[float, float] | None:
    """Center and width of the first window, if it can be used."""
    centers, widths = _values(group.get("WindowCenter")), _values(group.get("WindowWidth"))
    center, width = (finite_number(values[0]) if values else None for values in (centers, widths))
    return (center, width) if center is not None and width and width > 0 else None


def _tables(items: Sequence[Dataset] | None, source: Dataset) -> list[Dataset]:
    """A copy of the first LUT item; "US or SS" and "US or OW" are decided as in `source`.

    None of one without its descriptor or its entries: the image then counts as one that has none,
    and its models, which could not be shown it, as failed.
    """
    copies = [deepcopy(item) for item in (items or ())[:1] if _is_whole(item)]
    for copy in copies:
        # The library looks upwards from the item, and takes it off the list when done.
        correct_ambiguous_vr(copy, is_little_endian=True, ancestors=[copy, source])
    return copies


def _is_whole(table: Dataset) -> bool:
    descriptor = table.get("LUTDescriptor")
    return len(_values(descriptor)) == 3 and bool(table.get("LUTData"))


def _in_16_bits(table: Dataset) -> Dataset:
    """The VOI LUT with entries of 8 or 16 bits, as a presentation state must have (C.11.2.1.1).

    Mammograms may have 10 to 16 (C.8.11.3.1.5); what counts is the part of the output range.
    """
    count, first, bits = table.LUTDescriptor
    if bits in (8, 16) or not 0 < bits < 16:
        return table
    data = table.LUTData
    entries = np.frombuffer(data, "<u2") if isinstance(data, bytes) else np.asarray(data)
    stretched = np.round(entries.astype(np.float64) * (0xFFFF / ((1 << bits) - 1)))
    table.LUTDescriptor = [count, first, 16]
    content = np.clip(stretched, 0, 0xFFFF).astype("<u2").tobytes()
    table["LUTData"] = DataElement(table["LUTData"].tag, "OW", content)
    return table


def _values(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str | int | float) else list(value)
