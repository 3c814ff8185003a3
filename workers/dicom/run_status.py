"""Measurement groups of runs (PS3.16 TID 1501): what one model said of one image as a whole.

In: a run and the reference to its image. Out: a highdicom template. What must hold: a failed run
says so, with a code and the reason, and never "no findings".

For OHIF (profile "ohif") probabilities hang below the run's status instead of beside it, because
OHIF before 3.12 cannot open a group that has numbers but no contour.
"""

from __future__ import annotations

from collections.abc import Mapping

from highdicom.sr import (
    CodeContentItem,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TrackingIdentifier,
)

from node.identifiers import derived_uid
from workers.dicom import codes
from workers.dicom.inheritance import ImageReference
from workers.dicom.measurement import Profile, algorithm_of, comment, hang_below, run_sentence
from workers.findings import RunOutcome


def run_group(
    run: RunOutcome, image: ImageReference, study_uid: str, revision: int, profile: Profile
) -> MeasurementsAndQualitativeEvaluations:
    """One model on one image as a Measurement Group: status, probabilities."""
    status = _status(run)
    probabilities = _probabilities(run.probabilities)
    if profile == "ohif" and probabilities:
        hang_below(status, probabilities)
        probabilities = []
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=derived_uid(
                "run", study_uid, run.source_sop_uid, revision, run.model, run.model_version
            ),
            identifier=f"{run.model} {run.model_version} on the whole image",
        ),
        algorithm_id=algorithm_of(run.model, run.model_version),
        measurements=probabilities,
        source_images=[SourceImageForMeasurementGroup(*image)],
    )
    group[0].ContentSequence.append(status)
    group[0].ContentSequence.append(comment(run_sentence(run)))
    return group


def _status(run: RunOutcome) -> CodeContentItem:
    value = codes.SUCCEEDED if run.error is None else codes.FAILED
    return CodeContentItem(
        name=codes.SUMMARY_OF_ANALYSES,
        # A model that finds no breast in an image has not tried to analyse it.
        value=codes.NOT_ATTEMPTED if run.declined else value,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )


def _probabilities(probabilities: Mapping[str, float]) -> list[Measurement]:
    return [
        Measurement(codes.probability_of(name), round(100 * value, 2), codes.PERCENT)
        for name, value in sorted(probabilities.items())
    ]
