"""What a combined report says: each breast as a group, and the summary above them (TID 1500, 1501).

In: the sources of a study and its partner, with their verdicts. Out: content items. What must hold:
the verdict of each source and of both stand beside the scores and operating points they rest on; a
run that failed is named, and its source is undetermined, never negative.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    NumContentItem,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurement,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.sr.codedict import codes as dictionary
from pydicom.sr.coding import Code

from models.contract import Modality
from node.identifiers import derived_uid
from workers.analyses import one_of_many
from workers.assessment import Breast, Sign, Source, Verdict, either
from workers.dicom import codes, equipment
from workers.dicom.measurement import algorithm_of, comment, run_sentence, site_of
from workers.findings import RunOutcome

VERDICT_CODE: Final[dict[Verdict, Code]] = {
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
SOURCE_NAME: Final[dict[Modality, str]] = {"MG": "Mammogram", "US": "Ultrasound"}
_SIDE_NAME: Final = {"L": "Left breast", "R": "Right breast", None: "Breast not stated"}


def breast_group(
    breast: Breast, study_uid: str, revision: int
) -> MeasurementsAndQualitativeEvaluations:
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
        finding_sites=[site_of(breast.laterality)],
        measurements=[
            _measurement(sign, source) for source in breast.sources for sign in source.signs
        ],
        qualitative_evaluations=[
            QualitativeEvaluation(name, value)
            for name, value in [
                *((_BY[each.modality], VERDICT_CODE[each.verdict]) for each in breast.sources),
                (_BY_EITHER, VERDICT_CODE[breast.either]),
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


def assessment_summary(
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
        *(_code(_BY[source.modality], VERDICT_CODE[source.verdict]) for source in sources),
        _code(_BY_EITHER, VERDICT_CODE[verdict]),
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
        *filter(None, [one_of_many([each for source in sources for each in source.analyses])]),
    ]
    for breast in breasts:
        by = ", ".join(
            f"{SOURCE_NAME[each.modality].lower()} {each.verdict}" for each in breast.sources
        )
        lines.append(f"{_SIDE_NAME[breast.laterality]}: {breast.either} ({by}).")
    return "\r\n".join(lines)


def _sentence(source: Source) -> str:
    """A verdict with what it rests on; every failure is named as one."""
    parts = [f"{SOURCE_NAME[source.modality]}: {source.verdict}"]
    parts += [sign.text for sign in source.signs]
    failures = Counter(run_sentence(run).rstrip(".") for run in source.failures)
    parts += [f"{text} ({number} image(s))" for text, number in failures.items()]
    return "; ".join(parts) + "."


def _status(runs: Sequence[RunOutcome]) -> Code:
    failed = sum(run.error is not None for run in runs)
    return codes.run_summary(succeeded=len(runs) - failed, failed=failed)


def _code(name: Code, value: Code) -> CodeContentItem:
    return CodeContentItem(
        name=name, value=value, relationship_type=RelationshipTypeValues.CONTAINS
    )
