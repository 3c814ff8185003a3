"""The selection of key images, and the note that takes superseded results back."""

from __future__ import annotations

from io import BytesIO

import highdicom
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from node.errors import EncodingError
from tests.results import CONTENT_AT, evidence, findings_of, header, outcome, ultrasound_header
from workers.analyses import ImageAnalysis
from workers.key_objects import RejectionReason, encode_key_objects, encode_rejection_note
from workers.report import encode_report
from workers.segmentation import encode_segmentation


def _study() -> list[ImageAnalysis]:
    """A mammogram with three findings, one without, and frame 15 of a loop with one."""
    first = header(TimezoneOffsetFromUTC="+0000")
    second = header(StudyInstanceUID=first.StudyInstanceUID, SOPInstanceUID=generate_uid())
    loop = ultrasound_header(30)
    loop.StudyInstanceUID = first.StudyInstanceUID
    return [
        ImageAnalysis(first, None, (outcome(first, findings=tuple(findings_of(first))),)),
        ImageAnalysis(second, None, (outcome(second),)),
        ImageAnalysis(
            loop, None, (outcome(loop, findings=tuple(findings_of(loop)[:1])),), frame_number=15
        ),
    ]


def _encode(analyses: list[ImageAnalysis], revision: int = 1) -> Dataset:
    return encode_key_objects(analyses, revision=revision, content_at=CONTENT_AT)


def _bytes(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _references(document: Dataset) -> list[tuple[str, str, int | None]]:
    """(value type, SOP Instance UID, frame) of everything that the content names."""
    return [
        (item.ValueType, reference.ReferencedSOPInstanceUID, reference.get("ReferencedFrameNumber"))
        for item in document.ContentSequence
        for reference in item.get("ReferencedSOPSequence", ())
    ]


def _text(document: Dataset) -> str:
    """Key Object Description, (113012, DCM)."""
    texts = [
        item.TextValue
        for item in document.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "113012"
    ]
    return "".join(texts)


def _results(source: Dataset) -> list[Dataset]:
    """SEG and SR of one revision."""
    findings = findings_of(source)
    analysis = ImageAnalysis(source, None, (outcome(source, findings=tuple(findings)),))
    segmentation = encode_segmentation(
        source,
        findings,
        revision=1,
        content_at=CONTENT_AT,
        series_number=9001,
        profile="plain",
    )
    report = encode_report(
        [analysis],
        revision=1,
        content_at=CONTENT_AT,
        segmentations={},
        predecessor=None,
        profile="plain",
    )
    return [segmentation, report]


def test_the_images_with_findings_are_selected() -> None:
    """Each once, with the frame where there are frames; an image without findings is left out."""
    analyses = _study()
    document = pydicom.dcmread(BytesIO(_bytes(_encode(analyses))))
    first, _, loop = (str(each.source.SOPInstanceUID) for each in analyses)
    assert _references(document) == [("IMAGE", first, None), ("IMAGE", loop, 15)]
    assert evidence(document) == {first, loop}
    title = document.ConceptNameCodeSequence[0]
    assert (title.CodeValue, title.CodingSchemeDesignator) == ("113000", "DCM")
    assert highdicom.ko.KeyObjectSelectionDocument.from_dataset(document).content is not None


def test_the_description_counts_the_findings() -> None:
    """People read what is on which image, and that it is research."""
    text = _text(_encode(_study()))
    assert text.startswith("Research use only")
    assert "MG L CC: 1 x mass, 1 x calcification cluster, 1 x arterial calcification" in text
    assert "INCOMPLETE" not in text


def test_a_failed_model_is_said_before_the_findings() -> None:
    """A selection is no proof that the other images were looked at."""
    analyses = _study()
    source = analyses[1].source
    analyses[1] = ImageAnalysis(source, None, (outcome(source, error="out of memory"),))
    text = _text(_encode(analyses))
    assert text.index("INCOMPLETE: 1 of 3 analyses failed.") < text.index("1 x mass")
    assert "FAILED, this image was not assessed by it: out of memory" in text


def test_encoding_again_gives_the_same_bytes() -> None:
    """Selection and note; another revision is another object in the same series."""
    analyses = _study()
    assert _bytes(_encode(analyses)) == _bytes(_encode(analyses))
    second = _encode(analyses, revision=2)
    assert second.SOPInstanceUID != _encode(analyses).SOPInstanceUID
    assert second.SeriesInstanceUID == _encode(analyses).SeriesInstanceUID
    old = _results(header())
    notes = [encode_rejection_note(old, revision=2, content_at=CONTENT_AT) for _ in range(2)]
    assert _bytes(notes[0]) == _bytes(notes[1])


def test_without_findings_there_is_no_selection() -> None:
    """An empty selection is not a document."""
    with pytest.raises(EncodingError, match="image with findings"):
        _encode(_study()[1:2])


@pytest.mark.parametrize(
    ("reason", "title"),
    [
        ("quality", ("113001", "Rejected for Quality Reasons")),
        ("patient safety", ("113037", "Rejected for Patient Safety Reasons")),
    ],
)
def test_a_rejection_note_names_every_object(
    reason: RejectionReason, title: tuple[str, str]
) -> None:
    """In content and evidence, a SEG as image and an SR as composite, patient as theirs."""
    source = header(PatientName="Äßøn^Zoë")
    old = _results(source)
    note = encode_rejection_note(old, revision=2, content_at=CONTENT_AT, reason=reason)
    note = pydicom.dcmread(BytesIO(_bytes(note)))
    segmentation, report = (str(each.SOPInstanceUID) for each in old)
    assert _references(note) == [("IMAGE", segmentation, None), ("COMPOSITE", report, None)]
    assert evidence(note) == {segmentation, report}
    assert note.Modality == "KO"
    assert (note.StudyInstanceUID, note.PatientName) == (source.StudyInstanceUID, "Äßøn^Zoë")
    name = note.ConceptNameCodeSequence[0]
    assert (name.CodeValue, name.CodeMeaning) == title
    assert "Superseded by revision 2" in _text(note)


def test_a_rejection_note_is_about_one_study() -> None:
    """Nothing, or objects of two studies, cannot be rejected in one note."""
    with pytest.raises(EncodingError, match="needs an object"):
        encode_rejection_note([], revision=2, content_at=CONTENT_AT)
    both = [*_results(header()), *_results(header())]
    with pytest.raises(EncodingError, match="one study"):
        encode_rejection_note(both, revision=2, content_at=CONTENT_AT)
