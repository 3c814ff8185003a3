"""What was once lossy stays lossy in everything that is made of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.uid import (
    JPEG2000,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSNearLossless,
)

from models.contract import BreastImage
from tests.results import CONTENT_AT, findings_of, header, outcome
from workers.analyses import ImageAnalysis
from workers.dicom.lossy import lossy_history
from workers.images import SourceImage
from workers.secondary_capture import encode_overlay
from workers.segmentation import encode_segmentation

JPEG, WAVELETS = "ISO_10918_1", "ISO_15444_1"


def in_syntax(transfer_syntax: str, **changes: Any) -> Dataset:
    source = header(**changes)
    source.file_meta = FileMetaDataset()
    source.file_meta.TransferSyntaxUID = transfer_syntax
    return source


def told(source: Dataset) -> tuple[Any, list[str], list[str]]:
    """Whether it is lossy, ratios, methods."""
    history = lossy_history(source)

    def texts(keyword: str) -> list[str]:
        value = history.get(keyword)
        values = value if isinstance(value, MultiValue) else [value]
        return [str(each) for each in values if each is not None]

    return (
        history.get("LossyImageCompression"),
        texts("LossyImageCompressionRatio"),
        texts("LossyImageCompressionMethod"),
    )


@pytest.mark.parametrize(
    ("syntax", "said", "is_lossy", "method"),
    [
        (JPEGBaseline8Bit, None, "01", JPEG),
        (JPEGBaseline8Bit, "00", "01", JPEG),
        (JPEG2000, None, "01", WAVELETS),
        (JPEG2000, "00", "00", None),
        (JPEGLSNearLossless, None, "01", "ISO_14495_1"),
        (JPEGLosslessSV1, None, None, None),
        (ExplicitVRLittleEndian, "00", "00", None),
        (ExplicitVRLittleEndian, None, None, None),
    ],
)
def test_the_transfer_syntax_tells_where_the_header_does_not(
    syntax: str, said: str | None, is_lossy: str | None, method: str | None
) -> None:
    """JPEG baseline is lossy whatever the header says; JPEG 2000 may be reversible."""
    changes = {} if said is None else {"LossyImageCompression": said}
    assert told(in_syntax(syntax, **changes)) == (is_lossy, [], [method] if method else [])


def test_earlier_compressions_are_kept() -> None:
    """Received without compression, an image may have been compressed twice before."""
    source = header(
        LossyImageCompression="01",
        LossyImageCompressionRatio=["12.3456789012345", "8"],
        LossyImageCompressionMethod=[JPEG, WAVELETS],
    )
    assert told(source) == ("01", ["12.3456789012345", "8"], [JPEG, WAVELETS])


def test_segmentation_and_picture_say_it_with_method_and_ratio() -> None:
    """PS3.3 C.8.20.2 asks a segmentation for all three."""
    source = in_syntax(JPEGBaseline8Bit, LossyImageCompressionRatio="11.5")
    findings = findings_of(source)
    pixels = np.zeros((source.Rows, source.Columns), np.float32)
    analysis = ImageAnalysis(
        source,
        None,
        (outcome(source, findings=tuple(findings)),),
        read_image=lambda: SourceImage(source, BreastImage(pixels, "MG", "L", "CC"), None),
    )
    results = [
        encode_segmentation(
            source,
            findings,
            revision=1,
            content_at=CONTENT_AT,
            series_number=9001,
            profile="plain",
        ),
        encode_overlay(analysis, revision=1, content_at=CONTENT_AT, instance_number=1),
    ]
    for result in results:
        assert result.LossyImageCompression == "01"
        assert result.LossyImageCompressionRatio == 11.5
        assert result.LossyImageCompressionMethod == JPEG
