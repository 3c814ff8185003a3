"""Objects deflated for their way, read back."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from node.destinations import SOP_CLASS_OF_KIND, Destination
from node.errors import EncodingError
from tests.datasets import mammogram
from tests.results import CONTENT_AT, findings_of, header
from workers.dicom.identity import Identity
from workers.dicom.transfer import deflated, implicit, in_syntax, syntaxes_for
from workers.dicom.writing import part10
from workers.segmentation import encode_segmentation

SMALL_ENOUGH_BYTES = 300_000


def _segmentation(rows: int, columns: int) -> bytes:
    source = header(Rows=rows, Columns=columns)
    return part10(
        encode_segmentation(
            source,
            findings_of(source),
            revision=1,
            content_at=CONTENT_AT,
            series_number=9001,
            profile="ohif",
        )
    )


# 3 and 7 pixels less: the data set and the deflated stream of even and of odd length.
@pytest.mark.parametrize(("rows", "columns"), [(400, 300), (397, 299), (400, 293)])
def test_the_data_set_is_the_same_byte_for_byte(rows: int, columns: int) -> None:
    """Inflated by zlib alone, and read by pydicom."""
    content = _segmentation(rows, columns)
    small = deflated(content)
    assert len(small) % 2 == 0
    before = pydicom.dcmread(io.BytesIO(content))
    after = pydicom.dcmread(io.BytesIO(small))
    assert after == before
    np.testing.assert_array_equal(after.pixel_array, before.pixel_array)
    start = 144 + after.file_meta.FileMetaInformationGroupLength
    dataset = zlib.decompress(small[start:], -zlib.MAX_WBITS)
    assert content.endswith(dataset)
    assert len(content) - len(dataset) == 144 + before.file_meta.FileMetaInformationGroupLength


def test_file_meta_says_what_it_is() -> None:
    """Only the transfer syntax changes, and with it the group length."""
    content = _segmentation(400, 300)
    before = pydicom.dcmread(io.BytesIO(content)).file_meta
    after = pydicom.dcmread(io.BytesIO(deflated(content))).file_meta
    assert after.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    before.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    before.FileMetaInformationGroupLength = after.FileMetaInformationGroupLength
    assert after == before


def test_a_full_size_segmentation_becomes_small() -> None:
    """Three findings on 3328 x 4096 pixels, and the same bytes each time."""
    content = _segmentation(4096, 3328)
    small = deflated(content)
    assert len(content) > 5_000_000
    assert len(small) < SMALL_ENOUGH_BYTES
    assert deflated(content) == small


def test_other_syntaxes_are_refused() -> None:
    """A file in another syntax is not relabelled."""
    dataset = mammogram()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    with pytest.raises(EncodingError, match="Implicit VR Little Endian"):
        deflated(buffer.getvalue())


def test_what_is_no_part_10_file_is_refused() -> None:
    """A bare data set, or nothing."""
    for content in (b"", b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 192", b"\0" * 200):
        with pytest.raises(EncodingError, match="Part 10"):
            deflated(content)


def _identity(kind: str, syntax: str = ExplicitVRLittleEndian) -> Identity:
    uid = SOP_CLASS_OF_KIND[kind]  # type: ignore[index]  # a ResultKind
    return Identity(uid, "1.2.3", "1.2", "1.2.4", str(syntax))


def test_what_is_tried_and_in_which_order() -> None:
    """Segmentations as the destination prefers, everything else as it lies on disk."""
    fields = {"name": "web", "protocol": "stow", "url": "http://localhost"}
    default = Destination.model_validate(fields)
    plain = Destination.model_validate(fields | {"seg_transfer_syntaxes": ["explicit"]})
    last = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
    assert syntaxes_for(_identity("SEG"), default) == [DeflatedExplicitVRLittleEndian, *last]
    assert syntaxes_for(_identity("SEG"), plain) == last
    assert syntaxes_for(_identity("SC"), default) == last
    compressed = _identity("SC", JPEG2000Lossless)
    assert syntaxes_for(compressed, default) == [JPEG2000Lossless]


def test_the_file_of_each_syntax(tmp_path: Path) -> None:
    """The file itself where it is in that syntax, else another that lives for the block."""
    path = tmp_path / "segmentation.dcm"
    path.write_bytes(_segmentation(400, 300))
    original = pydicom.dcmread(path)
    with in_syntax(path, ExplicitVRLittleEndian) as sent:
        assert sent == path
    for syntax in (DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian):
        with in_syntax(path, syntax) as sent:
            assert sent != path
            found = pydicom.dcmread(sent)
            assert found.file_meta.TransferSyntaxUID == syntax
            assert found.file_meta.MediaStorageSOPInstanceUID == original.SOPInstanceUID
            # Implicit VR has no other word for pixel data than OW (PS3.5 A.1).
            assert found.PixelData == original.PixelData
            found["PixelData"].VR = original["PixelData"].VR
            assert found == original
        assert not sent.exists()


def test_implicit_is_the_same_each_time() -> None:
    """The same bytes in, the same bytes out."""
    content = _segmentation(400, 300)
    assert implicit(content) == implicit(content)
