"""Whether an image has ever lost something to compression: once lossy, always lossy.

In: the header of an image and the transfer syntax it came in. Out: the attributes that say so
(PS3.3 C.7.6.1.1.5), for results made of its pixels. What must hold: an image that came in a syntax
that is always lossy counts as lossy, whatever its header says or leaves out.
"""

from __future__ import annotations

from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

from workers.dicom.inheritance import decimal, is_code_string
from workers.dicom.numbers import finite_number

_ALWAYS_LOSSY: Final = {
    JPEGBaseline8Bit: "ISO_10918_1",
    JPEGExtended12Bit: "ISO_10918_1",
}
# These may be reversible: the header is believed if it says something.
_MAYBE_LOSSY: Final = {
    JPEGLSNearLossless: "ISO_14495_1",
    JPEG2000: "ISO_15444_1",
    HTJ2K: "ISO_15444_15",
}


def lossy_history(source: Dataset) -> Dataset:
    """Lossy Image Compression, with ratios and methods as far as they are known.

    Empty where neither the header nor the transfer syntax tells.
    """
    result = Dataset()
    said = str(source.get("LossyImageCompression") or "").strip()
    syntax = _transfer_syntax(source)
    method = _ALWAYS_LOSSY.get(syntax) or (_MAYBE_LOSSY.get(syntax) if not said else None)
    if method is None and said not in ("01", "1"):
        if said:
            result.LossyImageCompression = "00"
        return result
    result.LossyImageCompression = "01"
    ratios = _values(source, "LossyImageCompressionRatio")
    if known := [decimal(each) for each in ratios if finite_number(each)]:
        result.LossyImageCompressionRatio = known
    methods = _values(source, "LossyImageCompressionMethod") or [method]
    if named := [each for each in methods if is_code_string(each)]:
        result.LossyImageCompressionMethod = named
    return result


def _transfer_syntax(source: Dataset) -> UID:
    meta = getattr(source, "file_meta", None) or Dataset()
    return UID(str(meta.get("TransferSyntaxUID") or ""))


def _values(source: Dataset, keyword: str) -> list[Any]:
    value = source.get(keyword)
    values = list(value) if isinstance(value, MultiValue) else [value]
    return [each for each in values if each not in (None, "")]
