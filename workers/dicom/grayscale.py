"""Stored values -> grey from 0 (air) to 1 (brightest), as the device means them to be seen.

The whole chain of PS3.4 N.2 (Modality LUT, VOI LUT, presentation) is a function of the stored value
alone. It is computed once for each of the at most 65,536 values, in float64, and looked up for each
pixel: exact, and no second copy of a 14-megapixel mammogram.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from node.errors import DecodingError

# Where no window is given the extremes of a few pixels (markers, dead detector cells, the plate's
# edge) must not decide the contrast of the rest.
_PERCENTILES = (0.5, 99.8)
# Where the upper one lands. Specks of calcium, the brightest of a breast, are fewer than one pixel
# in 500 and need room above it.
_TOP = 0.8
_STRIP_ROWS = 16

Values = NDArray[np.float64]


def to_grey(dataset: Dataset, stored: NDArray[np.uint16], bits: int) -> NDArray[np.float32]:
    """Return the image (rows, columns), float32 from 0 to 1.

    `stored`: unsigned, below 2**bits, sign bit not interpreted. Raises DecodingError.
    """
    signed = _signed_values(dataset, bits)
    padding = _is_padding(dataset, signed)
    values = _modality(dataset, signed)

    def count() -> NDArray[np.int64]:
        """How often each stored value occurs: five times the cost of all the rest of this."""
        counts = np.bincount(stored.ravel(), minlength=signed.size)
        counts[padding] = 0
        return counts

    if dataset.get("PresentationIntentType") == "FOR PROCESSING":
        grey = _stretched(_attenuation(dataset, values), count())
    elif (shown := _voi(dataset, values, bits)) is None:
        grey = _stretched(-values if _is_inverse(dataset) else values, count())
    else:
        grey = 1 - shown if _is_inverse(dataset) else shown
    grey[padding] = 0
    return _looked_up(grey.astype(np.float32), stored)


def _looked_up(table: NDArray[np.float32], stored: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The table's value for every pixel.

    Strip by strip: numpy makes indices of eight bytes first, which for a strip stay in the cache.
    """
    grey = np.empty(stored.shape, np.float32)
    for first in range(0, len(stored), _STRIP_ROWS):
        strip = slice(first, first + _STRIP_ROWS)
        # Nothing is there to clip, but to raise would cost numpy a copy.
        np.take(table, stored[strip], out=grey[strip], mode="clip")
    return grey


def _signed_values(dataset: Dataset, bits: int) -> Values:
    values = np.arange(1 << bits, dtype=np.float64)
    if dataset.get("PixelRepresentation") == 1:
        values[values >= 1 << (bits - 1)] -= 1 << bits
    return values


def _is_padding(dataset: Dataset, signed: Values) -> NDArray[np.bool_]:
    """PS3.3 C.7.5.1.1.2: one value, or the range from it to the limit."""
    first = _number(dataset.get("PixelPaddingValue"))
    if first is None:
        return np.zeros(signed.size, bool)
    last = _number(dataset.get("PixelPaddingRangeLimit"))
    low, high = sorted((first, first if last is None else last))
    return (signed >= low) & (signed <= high)


def _modality(dataset: Dataset, signed: Values) -> Values:
    """PS3.3 C.11.1: the LUT, or slope and intercept."""
    items = dataset.get("ModalityLUTSequence")
    if items:
        return _through_lut(items[0], signed)
    slope = _number(dataset.get("RescaleSlope"))
    # A slope of zero would erase the image; it is an empty value written as a number.
    return signed * (slope or 1.0) + (_number(dataset.get("RescaleIntercept")) or 0.0)


def _voi(dataset: Dataset, values: Values, bits: int) -> Values | None:
    """PS3.3 C.11.2. Of several alternatives the first; a LUT comes before a window.

    Where both are present they are alternatives of equal right, and the LUT is the one that the
    device drew by hand. Without either, eight bits are taken as they are, since ultrasound machines
    store what they show; more bits are for `_stretched`, since few detectors fill theirs: None.
    """
    items = dataset.get("VOILUTSequence")
    if items:
        mapped = _through_lut(items[0], values)
        return np.clip(mapped / max(float(mapped.max()), 1.0), 0, 1)
    center = _number(dataset.get("WindowCenter"))
    width = _number(dataset.get("WindowWidth"))
    if center is not None and width is not None and width > 0:
        return _windowed(values, center, width, str(dataset.get("VOILUTFunction") or "LINEAR"))
    if bits <= 8:
        return _between(values, float(values.min()), float(values.max()))
    return None


def _windowed(values: Values, center: float, width: float, function: str) -> Values:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    grey: Values
    if function == "SIGMOID":
        # Beyond 60 the exponential says 0 or 1 in float64 anyway, and could overflow.
        grey = 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -60, 60)))
    elif function == "LINEAR_EXACT":
        grey = (values - center) / width + 0.5
    elif width <= 1:
        grey = (values > center - 0.5).astype(np.float64)
    else:
        grey = (values - (center - 0.5)) / (width - 1) + 0.5
    return np.asarray(np.clip(grey, 0, 1))


def _attenuation(dataset: Dataset, values: Values) -> Values:
    """Detector signal (For Processing) -> grows with the tissue in the beam, as in presentation.

    Pixel Intensity Relationship and its Sign (PS3.3 C.8.11.3.1.2): LIN is proportional to the
    exposure, which tissue diminishes exponentially, so its logarithm is taken; LOG is used as it
    is. Sign 1: higher values, more exposure. Without it the photometric interpretation tells:
    lowest value white means that low exposure is dense tissue.
    """
    sign = _number(dataset.get("PixelIntensityRelationshipSign"))
    grows = sign > 0 if sign else dataset.get("PhotometricInterpretation") == "MONOCHROME1"
    exposure = values if grows else values.max() - values
    if str(dataset.get("PixelIntensityRelationship") or "LIN") == "LOG":
        return -exposure
    return np.asarray(-np.log1p(np.maximum(exposure, 0)))


def _stretched(values: Values, counts: NDArray[np.int64]) -> Values:
    """0 and _TOP at the two percentiles of the pixels that are not padding; higher is brighter."""
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(counts[order])
    if cumulated[-1] == 0:
        return np.zeros_like(values)
    ranks = [share / 100 * cumulated[-1] for share in _PERCENTILES]
    # side="right": the first value that more pixels than the rank do not exceed.
    at = np.minimum(np.searchsorted(cumulated, ranks, side="right"), values.size - 1)
    low, high = values[order[at]]
    return _between(values, float(low), float(low) + (float(high) - float(low)) / _TOP)


def _between(values: Values, low: float, high: float) -> Values:
    if high <= low:
        return np.zeros_like(values)
    return np.clip((values - low) / (high - low), 0, 1)


def _is_inverse(dataset: Dataset) -> bool:
    """PS3.3 C.7.6.3.1.2 and C.11.6: both attributes say the same where the object is sound."""
    return bool(
        dataset.get("PhotometricInterpretation") == "MONOCHROME1"
        or dataset.get("PresentationLUTShape") == "INVERSE"
    )


def _through_lut(item: Dataset, values: Values) -> Values:
    """PS3.3 C.11.1.1: descriptor is number of entries, first value mapped, bits per entry."""
    try:
        count, first = (int(number) for number in item.LUTDescriptor[:2])
        data = item.LUTData
        entries = (
            np.frombuffer(data, "<u2" if len(data) >= 2 * (count or 65536) else "u1")
            if isinstance(data, bytes)
            else np.asarray(data)
        ).astype(np.float64)
    except (AttributeError, TypeError, ValueError) as error:
        raise DecodingError("a LUT of the image is damaged; send the instance again") from error
    entries = entries[: count or 65536]  # zero stands for 2**16, which US cannot hold
    if entries.size == 0:
        raise DecodingError("a LUT of the image is empty; send the instance again")
    return entries[np.clip(values - first, 0, entries.size - 1).astype(np.intp)]


def _number(value: Any) -> float | None:
    """Return the first value as a finite number, else None."""
    if isinstance(value, str | bytes) or value is None:
        return None
    try:
        number = float(value[0] if hasattr(value, "__getitem__") else value)
    except (TypeError, ValueError, IndexError):
        return None
    return number if np.isfinite(number) else None
