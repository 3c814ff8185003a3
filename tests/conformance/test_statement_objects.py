"""Section 5 of the conformance statement, line by line, against one object of every kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from highdicom.sr.utils import find_content_items
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from models.contract import BreastImage, FindingKind
from models.registry import MODELS
from node.destinations import SOP_CLASS_OF_KIND
from node.status import FINDING_CODES
from tests.conformance.statement import codes_in, sections
from tests.results import CONTENT_AT, evidence, findings_of, header, outcome, ultrasound_header
from workers import combined
from workers.analyses import Form, ImageAnalysis, StudyAnalysis
from workers.assessment import Verdict
from workers.combined import Partner
from workers.dicom import codes, equipment
from workers.dicom.breast_assessment import VERDICT_CODE
from workers.dicom.equipment import ModelIdentity
from workers.dicom.writing import part10
from workers.images import SourceImage
from workers.key_objects import encode_rejection_note
from workers.results import encode_study

VARIANTS = ("ohif", "plain", "c-ohif", "c-plain")
FORMS: frozenset[Form] = frozenset(
    {(kind, variant) for kind in ("SEG", "SR") for variant in VARIANTS}
    | {(kind, "") for kind in ("CADSR", "GSPS", "SC", "KOS", "COMBINED")}
    | {("GSPS", "shutter")}
)
NAMES_PREDECESSOR = {"SR", "CADSR", "COMBINED"}
PATIENT = {"PatientID": "P-1", "PatientName": "TEST^SYNTHETIC", "PatientSex": "F"}

Encoded = Mapping[str, list[Dataset]]


def _analysis(source: Dataset, model: str, *more: Any) -> ImageAnalysis:
    version = MODELS[model].spec.version
    found = tuple(findings_of(source, model=model, model_version=version))
    runs = (outcome(source, model=model, model_version=version, findings=found), *more)

    def read() -> SourceImage:
        pixels = np.full((400, 300), 0.4, np.float32)
        return SourceImage(source, BreastImage(pixels, MODELS[model].spec.modality), None, 1)

    return ImageAnalysis(source, "ImagerPixelSpacing", runs, 1, read)


def _study(revision: int, predecessors: Mapping[Form, Dataset]) -> StudyAnalysis:
    """A mammogram and an ultrasound image with findings; one model failed."""
    return StudyAnalysis(_IMAGES, revision, CONTENT_AT, predecessors)


def _images() -> tuple[ImageAnalysis, ImageAnalysis]:
    mammogram = header(Manufacturer="Maker", **PATIENT)
    scan = ultrasound_header()
    scan.StudyInstanceUID, scan.SeriesInstanceUID = mammogram.StudyInstanceUID, generate_uid()
    scan.update(header(**PATIENT).group_dataset(0x0010))
    failed = outcome(mammogram, model="mtu_net", model_version="1.1.0", error="Triton is away")
    told = outcome(
        mammogram,
        model="resnet50",
        model_version=MODELS["resnet50"].spec.version,
        probabilities={"normal": 0.2, "benign": 0.2, "malignant": 0.6},
    )
    return _analysis(mammogram, "mask_rcnn_mg", failed, told), _analysis(scan, "mask_rcnn_us")


_IMAGES = _images()


def _encoded(revision: int, first: Mapping[Form, Dataset]) -> list[tuple[Form, Dataset]]:
    partner = Partner((), first.get(("COMBINED", "")))
    results = encode_study(_study(revision, first), FORMS, partner)
    return [((each.kind, each.variant), each.dataset) for each in results]


@pytest.fixture(scope="module")
def revisions() -> tuple[list[tuple[Form, Dataset]], list[tuple[Form, Dataset]]]:
    """Everything that two revisions of the study give."""
    first = _encoded(1, {})
    return first, _encoded(2, dict(first))


@pytest.fixture(scope="module")
def objects(revisions: Any) -> Encoded:
    """The second revision by kind, the rejection note of the first among them."""
    first, second = revisions
    found: dict[str, list[Dataset]] = {}
    for (kind, _), dataset in second:
        found.setdefault(kind, []).append(dataset)
    note = encode_rejection_note([each for _, each in first], revision=2, content_at=CONTENT_AT)
    return found | {"REJECTED": [note]}


def _every(objects: Encoded) -> Iterator[tuple[str, Dataset]]:
    for kind, datasets in objects.items():
        for dataset in datasets:
            yield kind, dataset


def row(number: str, first: str) -> str:
    """The cells of a row behind its first."""
    return " ".join(sections()[number].row(first)[1:])


def test_there_is_an_object_of_every_kind(objects: Encoded) -> None:
    """With the SOP class that 4.1 lists for it; colour images would have a colour state."""
    assert set(objects) == set(SOP_CLASS_OF_KIND)
    for kind, dataset in _every(objects):
        assert dataset.SOPClassUID == SOP_CLASS_OF_KIND[kind]  # type: ignore[index]


def test_uids_are_derived_and_bytes_repeat(revisions: Any) -> None:
    """UUIDs under 2.25; the same input gives the same bytes; another revision other objects."""
    first, second = revisions
    again = _encoded(1, {})
    for (form, one), (_, other) in zip(first, again, strict=True):
        assert part10(one) == part10(other), form
    uids = [str(each.SOPInstanceUID) for _, each in [*first, *second]]
    assert len(set(uids)) == len(uids)
    assert all(uid.startswith("2.25.") for uid in uids)
    assert all(str(each.SeriesInstanceUID).startswith("2.25.") for _, each in second)


def test_times_are_those_of_the_complete_study(objects: Encoded) -> None:
    """Content and Instance Creation, wherever the IOD has them."""
    local = CONTENT_AT.astimezone()
    for kind, dataset in _every(objects):
        assert dataset.InstanceCreationDate == local.strftime("%Y%m%d"), kind
        assert str(dataset.InstanceCreationTime).startswith(local.strftime("%H%M%S")), kind
        for keyword in ("ContentDate", "PresentationCreationDate"):
            if keyword in dataset:
                assert str(dataset.get(keyword)) == local.strftime("%Y%m%d"), kind


def test_character_set_patient_and_study(objects: Encoded) -> None:
    """UTF-8; the source's patient and study; what it lacks is empty and present."""
    source = _IMAGES[0].source
    for kind, dataset in _every(objects):
        assert dataset.SpecificCharacterSet == "ISO_IR 192", kind
        for keyword in ("PatientID", "PatientName", "PatientSex", "StudyInstanceUID", "StudyDate"):
            assert dataset.get(keyword) == source.get(keyword), (kind, keyword)
        for keyword in ("PatientBirthDate", "AccessionNumber", "ReferringPhysicianName", "StudyID"):
            assert keyword in dataset, (kind, keyword)
            assert not dataset.get(keyword), (kind, keyword)


def test_equipment(objects: Encoded) -> None:
    """Manufacturer, model name, versions, device, and who contributed."""
    stated = row("5", "Manufacturer, Manufacturer's Model Name")
    assert stated == f"`{equipment.MANUFACTURER}`, `{equipment.MANUFACTURER_MODEL_NAME}`"
    for kind, dataset in _every(objects):
        assert dataset.Manufacturer == equipment.MANUFACTURER, kind
        assert dataset.ManufacturerModelName == equipment.MANUFACTURER_MODEL_NAME, kind
        if kind == "REJECTED":
            continue
        versions = list(dataset.SoftwareVersions)
        assert versions[0] == equipment.software_version(), kind
        models = [ModelIdentity(*each.rsplit(" ", 1)) for each in versions[1:]]
        assert dataset.DeviceUID == equipment.device_uid(models), kind
        purposes = [
            item.PurposeOfReferenceCodeSequence[0].CodeValue
            for item in dataset.ContributingEquipmentSequence
        ]
        assert set(purposes) <= {"109101", "109102"}, kind
        assert purposes.count("109102") == len(models), kind
        if "109101" in purposes:
            assert dataset.ContributingEquipmentSequence[0].Manufacturer == "Maker"


def test_research_use_and_no_private_attributes(objects: Encoded) -> None:
    """The series says it, and nothing private is written at any depth."""
    for kind, dataset in _every(objects):
        assert dataset.SeriesDescription.endswith("research use only"), kind
        assert not [element.tag for element in dataset.iterall() if element.tag.is_private], kind


def test_a_new_revision_names_the_old_one_where_it_can(revisions: Any) -> None:
    """5.6: each variant of SR, CADSR and COMBINED; no other kind has the attribute."""
    first, second = revisions
    stated = {kind.strip() for kind in sections()["5.6"].column(0)[0].split(",")}
    assert stated == NAMES_PREDECESSOR
    before = {form: dataset for form, dataset in first if form[0] in NAMES_PREDECESSOR}
    seen = set()
    for form, dataset in second:
        named = dataset.get("PredecessorDocumentsSequence")
        assert (named is not None) == (form[0] in NAMES_PREDECESSOR), form
        if named:
            (reference,) = named[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
            assert reference.ReferencedSOPInstanceUID == before[form].SOPInstanceUID, form
            seen.add(form)
    assert seen == set(before)
    assert len(seen) == len(VARIANTS) + 2


def test_segmentation(objects: Encoded) -> None:
    """5.1: type, categories, algorithm, anatomy, references, label, frame of reference."""
    for dataset in objects["SEG"]:
        assert dataset.SegmentationType == row("5.1", "Segmentation Type").split(",")[0]
        assert dataset.ContentLabel in row("5.1", "Content Label")
        assert dataset.ContentDescription in row("5.1", "Content Label")
        assert dataset.ReferencedSeriesSequence
        assert "FrameOfReferenceUID" not in dataset
        for segment in dataset.SegmentSequence:
            assert segment.SegmentAlgorithmType == "AUTOMATIC"
            algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
            assert algorithm.AlgorithmFamilyCodeSequence[0].CodeValue == "123110"
            category = segment.SegmentedPropertyCategoryCodeSequence[0]
            code = (category.CodeValue, category.CodingSchemeDesignator)
            assert code in codes_in(row("5.1", "Segmented Property Category"))
            anatomy = segment.AnatomicRegionSequence[0]
            assert (anatomy.CodeValue, "SCT") in codes_in(row("5.1", "Anatomic Region"))
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            assert frame.DerivationImageSequence[0].SourceImageSequence


def test_identity_values(revisions: Any) -> None:
    """With an ohif variant the planes that mean "as the source image"; without, none."""
    for (kind, variant), dataset in revisions[1]:
        if kind != "SEG":
            continue
        shared = dataset.SharedFunctionalGroupsSequence[0]
        assert ("PlaneOrientationSequence" in shared) == variant.endswith("ohif")
        if variant.endswith("ohif"):
            orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
            assert [float(value) for value in orientation] == [1, 0, 0, 0, 1, 0]
            assert float(shared.PixelMeasuresSequence[0].SliceThickness) == 1
            for frame in dataset.PerFrameFunctionalGroupsSequence:
                position = frame.PlanePositionSequence[0].ImagePositionPatient
                assert [float(value) for value in position] == [0, 0, 0]


def test_segments_and_groups_share_their_tracking_uids(revisions: Any) -> None:
    """A finding has one tracking UID, in its segment and in its measurement group."""
    for (kind, variant), report in revisions[1]:
        if kind != "SR" or variant.startswith("c-"):
            continue
        segments = {
            str(segment.TrackingUID)
            for form, dataset in revisions[1]
            if form == ("SEG", variant)
            for segment in dataset.SegmentSequence
        }
        groups = {
            str(item.UID)
            for item in find_content_items(report, value_type="UIDREF", recursive=True)
            if item.ConceptNameCodeSequence[0].CodeValue == "112040"
        }
        assert segments
        assert segments <= groups


def test_segment_descriptions_tell_the_certainty(revisions: Any) -> None:
    """In per cent, the score of the finding."""
    for form, dataset in revisions[1]:
        if form == ("SEG", "ohif"):
            for segment in dataset.SegmentSequence:
                assert "87.0 %" in segment.SegmentDescription


@pytest.mark.parametrize("kind", ["SR", "CADSR", "COMBINED"])
def test_documents_are_nobodys_word(objects: Encoded, kind: str) -> None:
    """Unverified, preliminary, partial where a model failed; the evidence is every image."""
    for dataset in objects[kind]:
        flags = (dataset.VerificationFlag, dataset.PreliminaryFlag, dataset.CompletionFlag)
        assert flags == ("UNVERIFIED", "PRELIMINARY", "PARTIAL")
        images = _IMAGES[:1] if kind == "CADSR" else _IMAGES
        assert {str(each.source.SOPInstanceUID) for each in images} <= evidence(dataset)


@pytest.mark.parametrize("kind", ["SR", "CADSR", "COMBINED"])
def test_templates(objects: Encoded, kind: str) -> None:
    """The template that the section's title names, and the title of the document."""
    number = {"SR": "5.2", "CADSR": "5.4", "COMBINED": "5.5"}[kind]
    section = sections()[number]
    for dataset in objects[kind]:
        template = dataset.ContentTemplateSequence[0]
        assert section.title.endswith(f"TID {template.TemplateIdentifier}")
        name = dataset.ConceptNameCodeSequence[0]
        assert f'CONTAINER ({name.CodeValue}, DCM, "{name.CodeMeaning}")' in section.text


SHUTTERED_SERIES = 9601


def test_presentation_states(objects: Encoded) -> None:
    """5.7: label, creator, series, layers, and what is absent."""
    assert objects["GSPS"]
    for dataset in objects["GSPS"]:
        assert f"`{dataset.ContentLabel}`" in row("5.7", "Content Label")
        assert dataset.ContentDescription in row("5.7", "Content Label")
        assert not dataset.ContentCreatorName
        assert str(dataset.SeriesNumber) in row("5.7", "Series")
        if dataset.SeriesNumber == SHUTTERED_SERIES:
            assert dataset.ShutterShape == "BITMAP"
            assert f"{dataset.ShutterPresentationValue:X}" in row("5.7", "Bitmap Display Shutter")
            assert "Graphics" in row("5.7", "Overlay Plane")
            assert dataset[dataset.ShutterOverlayGroup, 0x0040].value == "G"
        else:
            assert "ShutterShape" not in dataset
        assert dataset.Modality == "PR"
        assert "ImageRotation" not in dataset
        assert "ImageHorizontalFlip" not in dataset
        (area,) = dataset.DisplayedAreaSelectionSequence
        assert area.PresentationSizeMode == "SCALE TO FIT"
        assert list(area.DisplayedAreaTopLeftHandCorner) == [1, 1]
        layers = {layer.GraphicLayer for layer in dataset.GraphicLayerSequence}
        stated = row("5.7", "Graphic Layer")
        assert all(f"`{layer}`" in stated for layer in layers), layers
        for annotation in dataset.GraphicAnnotationSequence:
            for graphic in annotation.get("GraphicObjectSequence", ()):
                assert (graphic.GraphicType, graphic.GraphicFilled) == ("POLYLINE", "N")
                assert graphic.GraphicAnnotationUnits == "PIXEL"
                assert graphic.TrackingUID


def test_secondary_captures(objects: Encoded) -> None:
    """5.8: pixels, type, series, burnt-in, derivation; measured on the image alone."""
    pictures = [each for each in objects["SC"] if "SourceImageSequence" in each]
    assert len(pictures) >= len(_IMAGES)
    for dataset in objects["SC"]:
        pixels = (dataset.PhotometricInterpretation, dataset.BitsAllocated)
        assert (*pixels, dataset.PlanarConfiguration) == ("RGB", 8, 0)
        assert max(dataset.Rows, dataset.Columns) <= 2048 + 1024
        assert "\\".join(dataset.ImageType[:2]) == row("5.8", "Image Type")
        assert f"{dataset.Modality}, {dataset.SeriesNumber}:" in row("5.8", "Modality")
        assert dataset.ConversionType == row("5.8", "Conversion Type")
        assert dataset.BurnedInAnnotation == row("5.8", "Burned In Annotation")
        assert dataset.DerivationDescription
        assert "PixelSpacing" not in dataset
        assert "Research use only" in dataset.ImageComments
        assert ("INCOMPLETE" in dataset.ImageComments) or dataset in pictures
    assert any("INCOMPLETE" in each.ImageComments for each in objects["SC"])


def test_key_objects(objects: Encoded) -> None:
    """5.9: title, observer, series, references to images alone; the note's title and series."""
    (selection,), (note,) = objects["KOS"], objects["REJECTED"]
    for dataset, first in ((selection, "title"), (note, "rejection note")):
        title = dataset.ConceptNameCodeSequence[0]
        assert (title.CodeValue, title.CodingSchemeDesignator) in codes_in(row("5.9", first))
    assert f"Series Number {selection.SeriesNumber}," in row("5.9", "series")
    assert f"Series Number {note.SeriesNumber};" in row("5.9", "rejection note")
    items = selection.ContentSequence
    assert {item.ValueType for item in items} <= {"IMAGE", "CODE", "TEXT", "UIDREF"}
    named = [
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for item in items
        if item.ValueType == "IMAGE"
    ]
    assert named == [str(each.source.SOPInstanceUID) for each in _IMAGES]
    text = " ".join(item.TextValue for item in items if item.ValueType == "TEXT")
    assert "INCOMPLETE: 1 of 4 analyses failed." in text
    observer = [item for item in items if item.get("RelationshipType") == "HAS OBS CONTEXT"]
    assert len(observer) >= 4


def test_combined_report_codes() -> None:
    """5.5: the codes of the verdicts and the series number are those that are written."""
    words = {
        Verdict.POSITIVE: "positive",
        Verdict.NEGATIVE: "negative",
        Verdict.UNKNOWN: "cannot be assessed",
        Verdict.NOT_EXAMINED: "not examined",
    }
    for verdict, word in words.items():
        code = VERDICT_CODE[verdict]
        stated = sections()["5.5"].row(word)[0]
        assert codes_in(stated) == {(code.value, code.scheme_designator)}
    assert row("5.5", "Series Number") == str(combined.COMBINED_SERIES_NUMBER)


def test_codes_of_findings() -> None:
    """6.1 is the worker's table and the node's."""
    labels = {codes.FINDING_LABEL[kind].lower(): kind for kind in FindingKind}
    rows = {cells[0]: cells[1] for cells in sections()["6.1"].rows}
    assert set(rows) == set(labels)
    for label, kind in labels.items():
        code = codes.FINDING_TYPE[kind]
        assert codes_in(rows[label]) == {(code.value, code.scheme_designator)}
        assert FINDING_CODES[kind]["meaning"] in rows[label]


def test_private_codes(objects: Encoded) -> None:
    """6.2: whatever an object uses of the private scheme is listed, and the scheme identified."""
    text = sections()["6.2"].text
    listed = set(sections()["6.2"].column(0))
    for kind, dataset in _every(objects):
        used = _private_codes(dataset)
        assert used or kind not in ("SR", "COMBINED")
        for value in used:
            assert value.startswith("P_") or f"`{value}`" in listed, (kind, value)
        if used:
            scheme = dataset.CodingSchemeIdentificationSequence[0]
            assert scheme.CodingSchemeDesignator == codes.PRIVATE_SCHEME
    assert f"`{codes.PRIVATE_SCHEME}`" in text
    assert "`P_<CLASS>`" in text


def _private_codes(dataset: Dataset) -> set[str]:
    """Values of private codes at any depth; the item that identifies the scheme has none."""
    found = set()
    for element in dataset:
        for item in element.value if element.VR == "SQ" else ():
            found |= _private_codes(item)
    if dataset.get("CodingSchemeDesignator") == codes.PRIVATE_SCHEME and "CodeValue" in dataset:
        found.add(str(dataset.CodeValue))
    return found
