"""Reading a header: what is kept, what is refused, and that pixel data is whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from node.errors import CannotUnderstandError
from node.header import parse_header, read_file, read_header
from tests.datasets import encapsulated_pdf, mammogram, saved
from tests.peers.wire import encoded


def test_header_of_a_mammogram(tmp_path: Path) -> None:
    """Identity and routing attributes are read; the patient's stand apart from the latter."""
    image = mammogram(laterality="R", view="MLO")
    header, _ = read_file(saved(image, tmp_path))
    assert header.study_uid == image.StudyInstanceUID
    assert header.attributes["ImageLaterality"] == "R"
    assert header.attributes["HasPixelData"] == "true"
    assert "TEST" not in repr(header.attributes)
    assert "TEST" in header.study["PatientName"]


@pytest.mark.parametrize(("value", "view"), [("399368009", "MLO"), ("R-1024A", "XCCL")])
def test_view_comes_from_its_code(tmp_path: Path, value: str, view: str) -> None:
    """A device that sends only View Code Sequence has a view all the same."""
    image = mammogram()
    del image.ViewPosition
    code = encapsulated_pdf()
    code.CodeValue, code.CodingSchemeDesignator = value, "SCT"
    image.ViewCodeSequence = [code]
    assert read_file(saved(image, tmp_path))[0].attributes["ViewPosition"] == view


def test_the_region_comes_from_its_code(tmp_path: Path) -> None:
    """Many ultrasound devices name the breast there alone."""
    image = mammogram()
    region = Dataset()
    region.CodeValue, region.CodingSchemeDesignator = "T-04000", "SRT"
    image.AnatomicRegionSequence = [region]
    assert read_file(saved(image, tmp_path))[0].attributes["AnatomicRegionCodeValue"] == "T-04000"
    image.AnatomicRegionSequence = []
    assert "AnatomicRegionCodeValue" not in read_file(saved(image, tmp_path))[0].attributes


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_sequences_say_the_same_in_either_form(tmp_path: Path, syntax: str) -> None:
    """With their length, which is read quickly, and without it."""
    image = mammogram()
    code, modifier, region = Dataset(), Dataset(), Dataset()
    code.CodeValue, modifier.CodeValue, region.CodeValue = "R-10242", "R-102D6", "T-04000"
    code.ViewModifierCodeSequence = [modifier]
    image.ViewCodeSequence, image.AnatomicRegionSequence = [code], [region]
    found = []
    for undefined in (False, True):
        for keyword in ("ViewCodeSequence", "AnatomicRegionSequence"):
            image[keyword].is_undefined_length = undefined
        image.file_meta.TransferSyntaxUID = syntax
        path = tmp_path / "image.dcm"
        image.save_as(path, enforce_file_format=True, implicit_vr=syntax == ImplicitVRLittleEndian)
        found.append(read_file(path)[0])
    assert found[0] == found[1]
    assert found[0].attributes["ViewModifierCodeValue"] == ["R-102D6"]
    assert found[0].attributes["AnatomicRegionCodeValue"] == "T-04000"


@pytest.mark.parametrize("sequence", ["ViewCodeSequence", "AnatomicRegionSequence"])
@pytest.mark.parametrize("vr", [b"SQ", b"ZZ"])
def test_a_damaged_code_is_no_reason_to_refuse(tmp_path: Path, sequence: str, vr: bytes) -> None:
    """A device writes the code as something else: the image is kept, and routed by the rest."""
    image, code = mammogram(), Dataset()
    code.CodeValue = "T-04000"
    setattr(image, sequence, [code])
    path = saved(image, tmp_path)
    path.write_bytes(path.read_bytes().replace(b"\x08\x00\x00\x01SH", b"\x08\x00\x00\x01" + vr))
    attributes = read_file(path)[0].attributes
    assert attributes["ViewPosition"] == "CC"
    assert "AnatomicRegionCodeValue" not in attributes


def test_a_damaged_region_is_no_reason_to_refuse(tmp_path: Path) -> None:
    """Nothing but the routing reads it, and archives keep such an image."""
    image = mammogram()
    image.add_new(0x00082217, "UN", b"\x08\x00\x00\x01 no sequence")
    path = saved(image, tmp_path)
    unknown, region = b"\x08\x00\x17\x22UN", b"\x08\x00\x18\x22SQ"
    path.write_bytes(path.read_bytes().replace(unknown, region))
    assert "AnatomicRegionCodeValue" not in read_file(path)[0].attributes


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_other_encodings(tmp_path: Path, syntax: str) -> None:
    """Pixel data is found in every encoding."""
    image = mammogram()
    image.file_meta.TransferSyntaxUID = syntax
    path = tmp_path / "x.dcm"
    image.save_as(path, enforce_file_format=True, implicit_vr=syntax == ImplicitVRLittleEndian)
    assert read_file(path)[0].attributes["HasPixelData"] == "true"


def test_alike_headers_are_told_apart(tmp_path: Path) -> None:
    """What images of a series have in common is decoded once; what differs is seen."""
    image = mammogram(laterality="R")
    first, _ = read_file(saved(image, tmp_path))
    again, _ = read_file(saved(image, tmp_path))
    assert again == first
    image.PatientName, image.ImageLaterality = "OTHER^NAME", "L"
    other, _ = read_file(saved(image, tmp_path))
    assert other.study["PatientName"] == "OTHER^NAME"
    assert other.attributes == first.attributes | {"ImageLaterality": "L"}


def test_same_bytes_in_another_character_set(tmp_path: Path) -> None:
    """The same bytes mean something else there, and are not taken for what they were."""
    names = {}
    for character_set in ("ISO_IR 100", "ISO_IR 144", "ISO_IR 203"):
        image = mammogram()
        image.SpecificCharacterSet = character_set
        image["PatientName"] = DataElement("PatientName", "PN", b"\xb4\xd6")
        names[character_set] = read_file(saved(image, tmp_path))[0].study["PatientName"]
    assert names == {
        "ISO_IR 100": "\xb4\xd6",
        "ISO_IR 144": "\u0414\u0436",
        "ISO_IR 203": "\u017d\xd6",
    }


def test_dates_of_old_devices(tmp_path: Path) -> None:
    """YYYY.MM.DD of before 1993 is a date like any other, whole and in its place in ranges."""
    image = mammogram()
    image["StudyDate"] = DataElement("StudyDate", "DA", "2026.01.02", validation_mode=IGNORE)
    assert read_file(saved(image, tmp_path))[0].study["StudyDate"] == "20260102"


def test_names_in_seven_bits(tmp_path: Path) -> None:
    """Japanese is written in ASCII bytes between escape sequences, and read as what it says."""
    image = mammogram()
    image.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    image.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert b"\x1b$B" in encoded(image)
    assert read_file(saved(image, tmp_path))[0].study["PatientName"] == image.PatientName


@pytest.mark.filterwarnings("ignore:Unknown encoding")
def test_a_file_is_read_as_what_comes_by_network(tmp_path: Path) -> None:
    """A character set with a NUL in it is none that pydicom takes; both ways read it alike."""
    image = mammogram()
    image["SpecificCharacterSet"] = DataElement("SpecificCharacterSet", "CS", "ISO_IR 100")
    content = encoded(image).replace(b"ISO_IR 100", b"ISO_IR\x00100")
    path = tmp_path / "x"
    path.write_bytes(content)
    syntax = str(ExplicitVRLittleEndian)
    assert read_header(path, 0, syntax) == parse_header(content, syntax)


def test_pdf_has_no_pixels(tmp_path: Path) -> None:
    """An object without pixels says so."""
    header, _ = read_file(saved(encapsulated_pdf(), tmp_path))
    assert header.attributes["HasPixelData"] == "false"


@pytest.mark.parametrize("lost_bytes", [1, 1000, 6000])
def test_truncated_files_are_refused(tmp_path: Path, lost_bytes: int) -> None:
    """A file whose pixel data ends early is never accepted."""
    path = saved(mammogram(), tmp_path)
    path.write_bytes(path.read_bytes()[:-lost_bytes])
    with pytest.raises(CannotUnderstandError, match="truncated"):
        read_file(path)


@pytest.mark.parametrize("whole", [True, False])
def test_large_deflated_objects(tmp_path: Path, whole: bool) -> None:
    """What inflates to more than is kept of it for the header is whole or not, as any other."""
    image = mammogram(size_px=(4000, 3000))
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = saved(image, tmp_path)
    if whole:
        assert read_file(path)[0].attributes["HasPixelData"] == "true"
        return
    path.write_bytes(path.read_bytes()[:-10_000])
    with pytest.raises(CannotUnderstandError, match="truncated"):
        read_file(path)


def test_large_deflated_document(tmp_path: Path) -> None:
    """The same without pixels: a document that does not lie in what is kept to its end."""
    document = encapsulated_pdf()
    document.EncapsulatedDocument = bytes(20 << 20)
    document.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    assert read_file(saved(document, tmp_path))[0].study_uid == document.StudyInstanceUID


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom warns before it gives up
@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\0" * 128 + b"DICM" + b"\xff" * 64])
def test_rubbish_is_refused(tmp_path: Path, content: bytes) -> None:
    """What is not DICOM gives our own error, whatever pydicom raises."""
    path = tmp_path / "x.dcm"
    path.write_bytes(content)
    with pytest.raises(CannotUnderstandError):
        read_file(path)
