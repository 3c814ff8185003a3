"""What results take over from headers as devices write them: texts, times, damaged values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Final

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import (
    BreastProjectionXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
)
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR

from models.contract import BreastImage
from node.errors import EncodingError
from tests.results import CONTENT_AT, findings_of, header, outcome, ultrasound_header
from workers.analyses import Form, ImageAnalysis, StudyAnalysis
from workers.dicom.decoding import read_header
from workers.dicom.inheritance import reference_to
from workers.dicom.spacing import read_spacing
from workers.dicom.writing import part10
from workers.images import SourceImage
from workers.results import encode_study

FORMS: Final[tuple[Form, ...]] = (
    ("SEG", "ohif"),
    ("SEG", "plain"),
    ("SR", "ohif"),
    ("SR", "plain"),
    ("CADSR", ""),
    ("GSPS", ""),
    ("GSPS", "shutter"),
    ("SC", ""),
    ("KOS", ""),
)
RETIRED_ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6"


def received(source: Dataset) -> Dataset:
    """`source` as the node reads it from the file it came as."""
    return read_header(BytesIO(as_file(source)))


def as_file(source: Dataset) -> bytes:
    """`source` as a Part 10 file."""
    buffer = BytesIO()
    source.file_meta = FileMetaDataset()
    source.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    # pydicom fills the rest in.
    source.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def as_written(**values: tuple[str, bytes]) -> Dataset:
    """A received mammogram with values, VR and bytes, that no library would write."""
    source = header()
    for keyword, (vr, content) in values.items():
        tag = Tag(keyword)
        source[tag] = RawDataElement(tag, vr, len(content), content, 0, False, True)
    # So that they are written as they are.
    source.set_original_encoding(False, True, "iso8859")
    return received(source)


def results_of(source: Dataset, forms: Sequence[Form] = FORMS) -> Iterator[Dataset]:
    """Every object about one image with a finding of each kind, written and read again."""
    pixels = np.zeros((source.Rows, source.Columns), np.float32)
    runs = (outcome(source, findings=tuple(findings_of(source))),)
    analysis = ImageAnalysis(
        source,
        None,
        runs,
        read_image=lambda: SourceImage(source, BreastImage(pixels, "MG", "L", "CC"), None),
    )
    for encoded in encode_study(StudyAnalysis((analysis,), 1, CONTENT_AT), forms):
        yield pydicom.dcmread(BytesIO(part10(encoded.dataset)))


def coded(meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "M1", "99LOCAL", meaning
    return item


@pytest.mark.parametrize(
    ("character_set", "name", "text"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "乳房撮影"),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", "乳房撮影"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동", "유방촬영"),
        (["ISO 2022 IR 6", "ISO 2022 IR 100"], "Müller^Jürgen", "Brüste"),
        (["ISO_IR 100"], "Müller^Jürgen", "Brüste"),
        (["ISO_IR 203"], "Lebœuf^Žofia", "sœur"),
        (["", "ISO 2022 IR 203"], "Lebœuf^Žofia", "sœur"),
        (["GB18030"], "Wang^XiaoDong=王^小东", "乳腺摄影"),
        (["ISO_IR 192"], "Wang^XiaoDong=王^小東", "乳腺攝影"),
    ],
)
def test_text_of_every_character_set_is_written_in_utf_8(
    character_set: list[str], name: str, text: str
) -> None:
    """Names with their ideographic and phonetic groups, and text within sequences as well."""
    request = Dataset()
    request.RequestedProcedureDescription = text
    request.RequestedProcedureCodeSequence = [coded(text)]
    lut = Dataset()
    lut.LUTDescriptor, lut.LUTExplanation = [2, 0, 16], text
    lut.add_new("LUTData", "OW", b"\0\0\xff\xff")
    source = header(
        SpecificCharacterSet=character_set,
        PatientName=name,
        StudyDescription=text,
        AccessionNumber="A1",
        ProcedureCodeSequence=[coded(text)],
        RequestAttributesSequence=[request],
        VOILUTSequence=[lut],
    )
    for result in results_of(received(source)):
        assert result.SpecificCharacterSet == "ISO_IR 192"
        assert result.PatientName == name
        assert result.StudyDescription == text
        assert result.ProcedureCodeSequence[0].CodeMeaning == text
        for order in result.get("ReferencedRequestSequence") or []:
            assert order.RequestedProcedureDescription == text
            assert order.RequestedProcedureCodeSequence[0].CodeMeaning == text
        for item in result.get("SoftcopyVOILUTSequence") or []:
            assert item.VOILUTSequence[0].LUTExplanation == text
        texts = [str(each.value) for each in result.iterall() if each.VR in CUSTOMIZABLE_CHARSET_VR]
        assert not any("\x1b" in each for each in texts), "an escape of ISO 2022"


@pytest.mark.parametrize(
    ("character_set", "name", "text"),
    [
        (
            b"\\ISO 2022 IR 58 ",
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab ",
            "Zhang^XiaoDong=张^小东",
        ),
        (
            b"ISO 2022 IR 6\\ISO 2022 IR 58",
            b"Wang^XiaoDong=\x1b$)A\xcd\xf5^\x1b$)A\xd0\xa1\xb6\xab ",
            "Wang^XiaoDong=王^小东",
        ),
    ],
)
def test_chinese_text_has_no_escape_sequences(character_set: bytes, name: bytes, text: str) -> None:
    """pydicom leaves those in that begin IR 58 (PS3.5 K.2); results have another name then."""
    word = name.split(b"=")[1].rstrip()
    source = header(PatientName="N" * len(name), StudyDescription="D" * len(word))
    source.OtherPatientNames = ["O" * len(word), "P"]
    source.SpecificCharacterSet = "ISO_IR 100"
    raw = as_file(source)
    for old, new in ((b"N" * len(name), name), (b"D" * len(word), word), (b"O" * len(word), word)):
        raw = raw.replace(old, new)
    declared = b"CS\x0a\0ISO_IR 100"
    assert raw.count(declared) == 1
    raw = raw.replace(declared, b"CS%c\0%s" % (len(character_set), character_set))
    for result in results_of(read_header(BytesIO(raw))):
        assert result.PatientName == text
        assert result.StudyDescription == text.split("=")[1]
        assert result.OtherPatientNames == [text.split("=")[1], "P"]


@pytest.mark.parametrize("offset", ["+9999", "+2400", "+1500", "-0060", "JST", "+09:00", "+١٢٠٠"])
def test_an_offset_that_is_none_is_left_behind(offset: str) -> None:
    """Times are then on this machine's clock, and nothing says otherwise (PS3.3 C.12.1.1.8)."""
    source = header(SpecificCharacterSet="ISO_IR 192", TimezoneOffsetFromUTC=offset)
    local = CONTENT_AT.astimezone()
    for result in results_of(received(source)):
        assert "TimezoneOffsetFromUTC" not in result
        assert result.InstanceCreationTime == local.strftime("%H%M%S.%f")


@pytest.mark.parametrize("sop_class_uid", [RETIRED_ULTRASOUND, "1.2.840.113619.4.2"])
def test_what_results_cannot_refer_to_is_told_by_name(sop_class_uid: str) -> None:
    """The library that writes results knows neither; whoever wrote such a rule reads why."""
    source = ultrasound_header()
    source.SOPClassUID = sop_class_uid
    for form in FORMS:
        if form != ("CADSR", ""):  # never of ultrasound
            with pytest.raises(EncodingError, match=f"SOP class {sop_class_uid}, which is retired"):
                list(results_of(source, (form,)))


DAMAGED: Final[dict[str, tuple[str, bytes]]] = {
    "ImagerPixelSpacing": ("DS", b"0,1\\0,1 "),
    "PixelSpacing": ("DS", b"NaN\\NaN "),
    "PatientWeight": ("DS", b"58,5"),
    "PatientSize": ("DS", b"Infinity"),
    "WindowCenter": ("DS", b"abcd"),
    "LossyImageCompressionRatio": ("DS", b"x "),
    "NumberOfFrames": ("IS", b"one "),
    "PixelPaddingValue": ("US", b"1"),
}


@pytest.mark.parametrize("keyword", DAMAGED)
def test_a_damaged_number_costs_no_report(keyword: str) -> None:
    """A number that is none counts as absent; the other images' results depend on it."""
    read = as_written(**{keyword: DAMAGED[keyword]})
    assert keyword not in read
    assert len(list(results_of(read))) == len(FORMS) + 1, "a picture and a summary"
    assert (read_spacing(read) is None) == (keyword == "ImagerPixelSpacing")


def test_old_forms_of_dates_and_times_are_written_as_today() -> None:
    """In attributes and in content items; DCMTK reads no report that has others."""
    source = as_written(
        StudyDate=("DA", b"2026.01.31"),
        StudyTime=("TM", b"12:30:00"),
        ContentDate=("DA", b"2026.01.31"),
        ContentTime=("TM", b"235960.5"),
        PatientBirthDate=("DA", b"1960.02.03"),
    )
    for result in results_of(source):
        assert (result.StudyDate, result.StudyTime) == ("20260131", "123000")
        assert result.PatientBirthDate == "19600203"
        told = {str(each.value) for each in result.iterall() if each.keyword in ("Date", "Time")}
        assert told <= {"20260131", "123000", "235959.5"}
    assert source.StudyDate == "2026.01.31"


def test_empty_optional_sequences_are_left_behind() -> None:
    """Devices write them; results that hold one are in error."""
    source = header(
        ReferencedStudySequence=[], ReferencedPatientSequence=[], ProcedureCodeSequence=[]
    )
    for result in results_of(received(source)):
        assert "ReferencedStudySequence" not in result
        assert "ReferencedPatientSequence" not in result
        assert "ProcedureCodeSequence" not in result


def test_empty_items_are_left_behind() -> None:
    """Devices write a code sequence with an item of nothing; a code has a value and a meaning."""
    request = Dataset()
    request.RequestedProcedureID = "P1"
    request.RequestedProcedureCodeSequence = [Dataset()]
    source = header(
        AccessionNumber="A1",
        ProcedureCodeSequence=[Dataset(), coded("screening")],
        PatientSpeciesCodeSequence=[Dataset()],
        RequestAttributesSequence=[request],
    )
    for result in results_of(received(source)):
        (kept,) = result.ProcedureCodeSequence
        assert kept.CodeMeaning == "screening"
        assert "PatientSpeciesCodeSequence" not in result
        for order in result.get("ReferencedRequestSequence") or []:
            assert order.RequestedProcedureCodeSequence == []


def test_numbers_and_ages_get_the_length_of_their_element() -> None:
    """Floats of 18 digits and ages of three characters are repeated as the standard has them."""
    source = as_written(
        PatientSize=("DS", b"1.6000000238418579"),
        PatientWeight=("DS", b"58.0"),
        PatientAge=("AS", b"45Y "),
    )
    for result in results_of(source):
        assert str(result.PatientSize) == "1.60000002384186"
        assert str(result.PatientWeight) == "58.0", "what fits stays as it was written"
        assert result.PatientAge == "045Y"
    for result in results_of(as_written(PatientAge=("AS", b"unkn"))):
        assert "PatientAge" not in result


def test_what_says_that_an_image_was_de_identified_is_kept() -> None:
    """Also that its dates were shifted, which is no attribute of patient or study."""
    source = header(
        PatientIdentityRemoved="YES",
        DeidentificationMethod="trial profile",
        DeidentificationMethodCodeSequence=[coded("basic profile")],
        LongitudinalTemporalInformationModified="MODIFIED",
    )
    for result in results_of(received(source)):
        assert result.PatientIdentityRemoved == "YES"
        assert result.DeidentificationMethod == "trial profile"
        assert result.DeidentificationMethodCodeSequence[0].CodeMeaning == "basic profile"
        assert result.LongitudinalTemporalInformationModified == "MODIFIED"


def test_a_code_that_is_too_long_costs_no_result() -> None:
    """A view of the device's own, with more characters than a code or its meaning may have."""
    for value, kept in (("V1", True), ("V" * 17, False)):
        view = coded("odd")
        for keyword, vr, text in (("CodeValue", "SH", value), ("CodeMeaning", "LO", "m" * 80)):
            view[keyword] = DataElement(keyword, vr, text, validation_mode=pydicom.config.IGNORE)
        source = header(ViewCodeSequence=[view])
        (report,) = results_of(source, (("CADSR", ""),))
        meanings = {str(each.value) for each in report.iterall() if each.keyword == "CodeMeaning"}
        assert ("m" * 64 in meanings) == kept


@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_lut_without_its_parts_costs_no_result(sequence: str) -> None:
    """Its image cannot be decoded, so a presentation state has to tell of the failure."""
    damaged = Dataset()
    damaged.LUTExplanation = "no descriptor, no entries"
    source = header(**{sequence: [damaged]}, WindowCenter="2000", WindowWidth="4000")
    (state,) = results_of(received(source), (("GSPS", ""),))
    assert "ModalityLUTSequence" not in state
    assert state.SoftcopyVOILUTSequence[0].WindowCenter == 2000


def test_frames_in_a_single_frame_class_are_named() -> None:
    """Else the marks of one frame would stand on all of them."""
    source = ultrasound_header()
    assert reference_to(source, 1).frame_numbers is None
    source.NumberOfFrames = 9
    assert reference_to(source, 5).frame_numbers == [5]
    (state,) = results_of(received(source), (("GSPS", ""),))
    for annotation in state.GraphicAnnotationSequence:
        assert annotation.ReferencedImageSequence[0].ReferencedFrameNumber == 1


def test_projections_of_tomosynthesis_have_results() -> None:
    """A multi-frame class without a place in the patient, as ultrasound loops are."""
    source = header(SOPClassUID=BreastProjectionXRayImageStorageForPresentation, NumberOfFrames=3)
    for result in results_of(source):
        frames = {
            int(each.value) for each in result.iterall() if each.keyword == "ReferencedFrameNumber"
        }
        assert frames == {1} or result.Modality in ("OT", "SEG")
        assert frames <= {1}


def test_what_does_not_fit_its_element_is_not_taken_over() -> None:
    """A spacing of more than 16 characters, a row without its column, text for a code."""
    spacing = b"0.07000000000000000123"
    source = as_written(
        ImagerPixelSpacing=("DS", spacing + b"\\" + spacing + b" "),
        PatientOrientation=("CS", b"A "),
        ViewPosition=("CS", b"CC\\MLO"),
        BodyPartExamined=("CS", b"mama derecha"),
    )
    for result in results_of(source):
        assert not result.get("PatientOrientation")
        assert "ViewPosition" not in result
        assert "BodyPartExamined" not in result
        if "SharedFunctionalGroupsSequence" in result:
            groups = result.SharedFunctionalGroupsSequence[0]
            for measures in groups.get("PixelMeasuresSequence") or []:
                assert [str(each) for each in measures.PixelSpacing] == ["0.07", "0.07"]
