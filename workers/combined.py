"""Stage 7: mammogram and ultrasound of one patient in one report (PS3.16 TID 1500).

In: the analyses of one study and of its partner, which may be of another study or the same. Out: a
Comprehensive SR (PS3.3 A.35.3) in the study that was complete later. What must hold: both sources
are referenced, the other study's images as Pertinent Other Evidence (PS3.3 C.17.2.3); a source that
failed "cannot be assessed" and is never negative; the same input gives the same bytes; nothing in
it counts as verified by a person.

Its groups stand in the container Qualitative Evaluations, below the summary: OHIF 3.12 takes every
group of Imaging Measurements for a contour, and these have none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    ComprehensiveSR,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    DateContentItem,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    LanguageOfContentItemAndDescendants,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    NumContentItem,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurement,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dictionary
from pydicom.sr.coding import Code
from pydicom.valuerep import DA

from models.contract import Modality
from node.errors import EncodingError
from node.identifiers import derived_uid
from workers.analyses import ImageAnalysis, StudyAnalysis
from workers.assessment import (
    Breast,
    Sign,
    Source,
    Verdict,
    breasts_of,
    either,
    sources_of,
)
from workers.dicom import codes, equipment
from workers.dicom.equipment import ModelIdentity
from workers.dicom.image_library import image_library
from workers.dicom.inheritance import (
    inherit,
    plain_header,
    requested_procedure,
    site_time,
    stamp_creation,
)
from workers.dicom.measurement import algorithm_of, comment, run_sentence
from workers.findings import RunOutcome

# Behind the images and before the report of the study, which has 9000: it is read first.
COMBINED_SERIES_NUMBER: Final = 8990

_VERDICT: Final[dict[Verdict, Code]] = {
    Verdict.POSITIVE: dictionary.SCT.Positive,  # 10828004
    Verdict.NEGATIVE: dictionary.SCT.Negative,  # 260385009
    Verdict.UNKNOWN: dictionary.SCT.Undetermined,  # 373068000
    Verdict.NOT_EXAMINED: dictionary.DCM.NotAttempted,  # 111225
}
_BY: Final[dict[Modality, Code]] = {
    "MG": Code("ASSESS_MG", codes.PRIVATE_SCHEME, "Assessment by mammogram"),
    "US": Code("ASSESS_US", codes.PRIVATE_SCHEME, "Assessment by ultrasound"),
}
_BY_EITHER: Final = Code(
    "ASSESS_EITHER", codes.PRIVATE_SCHEME, "Assessment by mammogram or ultrasound"
)
_OPERATING_POINT: Final = Code("OPERATING_POINT", codes.PRIVATE_SCHEME, "Operating point")
_SOURCE_NAME: Final[dict[Modality, str]] = {"MG": "Mammogram", "US": "Ultrasound"}
_SIDE_NAME: Final = {"L": "Left breast", "R": "Right breast", None: "Breast not stated"}


@dataclass(frozen=True, slots=True)
class Partner:
    """What goes with a study into its combined report.

    `analyses`: of the other study; empty where the study holds both modalities itself.
    `predecessor`: the combined report that this one replaces, of whichever study.
    """

    analyses: tuple[ImageAnalysis, ...] = ()
    predecessor: Dataset | None = None


def encode_combined(study: StudyAnalysis, partner: Partner) -> Dataset:
    """Encode the combined report of one revision of `study`.

    Raises EncodingError when one of the two modalities is missing, or a header lacks what
    identifies it.
    """
    analyses = (*study.analyses, *partner.analyses)
    sources = sources_of(analyses)
    for each in sources:
        if not each.runs:
            raise EncodingError(f"nothing to combine: no {_SOURCE_NAME[each.modality].lower()}")
    headers = [plain_header(analysis.source) for analysis in analyses]
    first, study_uid = study.analyses[0].source, str(headers[0].StudyInstanceUID)
    runs = [run for each in sources for run in each.runs]
    models = sorted({ModelIdentity(run.model, run.model_version) for run in runs})
    at = site_time(study.content_at, first)
    try:
        result = ComprehensiveSR(
            evidence=headers,
            content=_content(study, partner, sources, models)[0],
            series_instance_uid=derived_uid("COMBINED series", study_uid),
            series_number=COMBINED_SERIES_NUMBER,
            sop_instance_uid=derived_uid(
                "COMBINED",
                *(study_uid, study.revision),
                *sorted(str(header.SOPInstanceUID) for header in headers),
                *(f"{model.name}:{model.version}" for model in models),
            ),
            instance_number=study.revision,
            manufacturer=equipment.MANUFACTURER,
            manufacturer_model_name=equipment.MANUFACTURER_MODEL_NAME,
            software_versions=equipment.software_version(),
            device_serial_number=equipment.device_serial_number(models),
            is_complete=not any(each.failures for each in sources),
            previous_versions=None if partner.predecessor is None else [partner.predecessor],
            series_description="AI mammogram and ultrasound, research use only",
            content_date=at.date(),
            content_time=at.time(),
            coding_schemes=[_private_scheme()],
        )
    except ValueError as error:
        raise EncodingError(f"the combined report cannot be written: {error}") from error
    inherit(result, first)
    stamp_creation(result, at)
    equipment.identify(result, first, models, at)
    request = requested_procedure(first)
    if request is not None:
        result.ReferencedRequestSequence = [request]
    return result


def _content(
    study: StudyAnalysis,
    partner: Partner,
    sources: Sequence[Source],
    models: Sequence[ModelIdentity],
) -> MeasurementReport:
    study_uid = str(study.analyses[0].source.StudyInstanceUID)
    breasts = breasts_of([*study.analyses, *partner.analyses])
    groups = [_group(breast, study_uid, study.revision) for breast in breasts]
    report = MeasurementReport(
        observation_context=_observer(models),
        procedure_reported=codes.IMAGING_PROCEDURE,
        imaging_measurements=groups,
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(
            CodedConcept("en-US", "RFC5646", "English (United States)")
        ),
    )
    content = report[0].ContentSequence
    procedure = next(item for item in content if item.name == dictionary.DCM.ProcedureReported)
    # PS3.16 CID 100 has no finer code for breast imaging.
    procedure.ContentSequence = ContentSequence(
        [
            CodeContentItem(
                name=codes.MODALITY,
                value=codes.MODALITIES[each.modality],
                relationship_type=RelationshipTypeValues.HAS_CONCEPT_MOD,
            )
            for each in sources
        ]
    )
    content.insert(len(content) - 1, _library([study.analyses, partner.analyses]))
    # Empty, and there all the same: OHIF needs the container.
    del content[-1].ContentSequence
    content.append(_summary(sources, breasts, groups))
    return report


def _observer(models: Sequence[ModelIdentity]) -> ObservationContext:
    return ObservationContext(
        observer_device_context=ObserverContext(
            observer_type=dictionary.DCM.Device,
            observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                uid=equipment.device_uid(models),
                name=f"{equipment.MANUFACTURER_MODEL_NAME} (research use only)",
                manufacturer_name=equipment.MANUFACTURER,
                model_name=equipment.MANUFACTURER_MODEL_NAME,
                serial_number=equipment.device_serial_number(models),
            ),
        )
    )


def _library(studies: Sequence[Sequence[ImageAnalysis]]) -> ContainerContentItem:
    """One group per study, with its date (TID 1602) before its images."""
    libraries = []
    for study in studies:
        if not study:
            continue
        library = image_library([(each.source, each.frame_number) for each in study])
        date = _date(study[0].source)
        if date is not None:
            library.ContentSequence[0].ContentSequence.insert(0, date)
        libraries.append(library)
    for other in libraries[1:]:
        libraries[0].ContentSequence.extend(other.ContentSequence)
    return libraries[0]


def _date(source: Dataset) -> DateContentItem | None:
    text = str(source.get("StudyDate") or "")
    try:
        value = DA(text)
    except ValueError:
        return None
    if not text:
        return None
    return DateContentItem(
        name=dictionary.DCM.StudyDate,
        value=value,
        relationship_type=RelationshipTypeValues.HAS_ACQ_CONTEXT,
    )


def _group(breast: Breast, study_uid: str, revision: int) -> MeasurementsAndQualitativeEvaluations:
    """One breast as a Measurement Group (PS3.16 TID 1501)."""
    name = _SIDE_NAME[breast.laterality]
    images = {
        each.reference.sop_instance_uid: each.reference
        for source in breast.sources
        for each in source.analyses
    }
    runs = [run for source in breast.sources for run in source.runs]
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=derived_uid("combined", study_uid, revision, name),
            identifier=f"{name}, mammogram and ultrasound",
        ),
        finding_sites=[FindingSite(codes.BREAST, codes.LATERALITY.get(breast.laterality or ""))],
        measurements=[
            _measurement(sign, source) for source in breast.sources for sign in source.signs
        ],
        qualitative_evaluations=[
            QualitativeEvaluation(name, value)
            for name, value in [
                *((_BY[each.modality], _VERDICT[each.verdict]) for each in breast.sources),
                (_BY_EITHER, _VERDICT[breast.either]),
                (codes.SUMMARY_OF_ANALYSES, _status(runs)),
            ]
        ],
        source_images=[SourceImageForMeasurementGroup(*each) for each in images.values()],
    )
    group[0].ContentSequence.extend(comment(_sentence(source)) for source in breast.sources)
    return group


def _measurement(sign: Sign, source: Source) -> Measurement:
    """The score, the model it is of, the image it was seen on, and its operating point."""
    run = sign.run
    image = next(
        each.reference for each in source.analyses if each.reference[1] == run.source_sop_uid
    )
    measurement = Measurement(
        name=codes.CERTAINTY if sign.is_finding else codes.PROBABILITY_OF_CANCER,
        value=round(100 * sign.score, 1),
        unit=codes.PERCENT,
        algorithm_id=algorithm_of(run.model, run.model_version),
        referenced_images=[SourceImageForMeasurement(*image)],
    )
    if sign.operating_point is not None:
        measurement[0].ContentSequence.append(
            NumContentItem(
                name=_OPERATING_POINT,
                value=round(100 * sign.operating_point, 1),
                unit=codes.PERCENT,
                relationship_type=RelationshipTypeValues.HAS_PROPERTIES,
            )
        )
    return measurement


def _summary(
    sources: Sequence[Source],
    breasts: Sequence[Breast],
    groups: Sequence[MeasurementsAndQualitativeEvaluations],
) -> ContainerContentItem:
    """Qualitative Evaluations (TID 1500 row 12): the patient, then each breast."""
    runs = [run for source in sources for run in source.runs]
    verdict = either(source.verdict for source in sources)
    container = ContainerContentItem(
        name=codes.QUALITATIVE_EVALUATIONS, relationship_type=RelationshipTypeValues.CONTAINS
    )
    items: list[ContentItem] = [
        *(_code(_BY[source.modality], _VERDICT[source.verdict]) for source in sources),
        _code(_BY_EITHER, _VERDICT[verdict]),
        _code(codes.SUMMARY_OF_ANALYSES, _status(runs)),
        TextContentItem(
            name=dictionary.DCM.Summary,
            value=_summary_text(sources, breasts, verdict),
            relationship_type=RelationshipTypeValues.CONTAINS,
        ),
        *(item for group in groups for item in group),
    ]
    container.ContentSequence = ContentSequence(items)
    return container


def _summary_text(sources: Sequence[Source], breasts: Sequence[Breast], verdict: Verdict) -> str:
    """The first lines a person reads."""
    lines = [
        equipment.RESEARCH_USE_ONLY,
        f"Mammogram or ultrasound: {verdict.upper()}.",
        *(_sentence(source) for source in sources),
    ]
    for breast in breasts:
        by = ", ".join(
            f"{_SOURCE_NAME[each.modality].lower()} {each.verdict}" for each in breast.sources
        )
        lines.append(f"{_SIDE_NAME[breast.laterality]}: {breast.either} ({by}).")
    return "\r\n".join(lines)


def _sentence(source: Source) -> str:
    """A verdict with what it rests on; every failure is named as one."""
    parts = [f"{_SOURCE_NAME[source.modality]}: {source.verdict}"]
    parts += [_sign_text(sign) for sign in source.signs]
    failures = Counter(run_sentence(run).rstrip(".") for run in source.failures)
    parts += [f"{text} ({number} image(s))" for text, number in failures.items()]
    return "; ".join(parts) + "."


def _sign_text(sign: Sign) -> str:
    point = "not known" if sign.operating_point is None else f"{100 * sign.operating_point:.0f} %"
    model = f"{sign.run.model} {sign.run.model_version}"
    return f"{sign.name} {100 * sign.score:.0f} % (operating point {point}, {model})"


def _status(runs: Sequence[RunOutcome]) -> Code:
    failed = sum(run.error is not None for run in runs)
    return codes.run_summary(succeeded=len(runs) - failed, failed=failed)


def _code(name: Code, value: Code) -> CodeContentItem:
    return CodeContentItem(
        name=name, value=value, relationship_type=RelationshipTypeValues.CONTAINS
    )


def _private_scheme() -> CodingSchemeIdentificationItem:
    return CodingSchemeIdentificationItem(
        designator=codes.PRIVATE_SCHEME,
        name=codes.PRIVATE_SCHEME_NAME,
        responsible_organization=equipment.MANUFACTURER,
    )
