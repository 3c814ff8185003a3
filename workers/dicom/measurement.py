"""Measurement groups of TID 1500: one per finding (TID 1410) and one per run (TID 1501).

In: a finding or a run, and the reference to its image. Out: highdicom templates for the report.
What must hold: no millimetres without a spacing; a failed run says so, with a code; a viewer that
knows nothing but contours can still draw every finding.

For OHIF 3 (profile "ohif") three things differ from what any reader of TID 1500 accepts. The
tracking identifier names its tool; the area repeats the contour it was inferred from, without
which the contour is shown but cannot be taken over; and probabilities hang below the run's status
instead of beside it, because OHIF before 3.12 cannot open a group that has numbers but no contour.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Final, Literal

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    ContentItem,
    ContentSequence,
    FindingSite,
    ImageRegion,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    NumContentItem,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.sr.codedict import codes as dictionary

from node.identifiers import derived_uid
from workers.dicom import codes, equipment
from workers.dicom.inheritance import ImageReference
from workers.findings import Finding, RunOutcome

Profile = Literal["ohif", "plain"]

# What Cornerstone3D calls a closed freehand contour.
OHIF_TRACKING_IDENTIFIER: Final = "Cornerstone3DTools@^0.1.0:PlanarFreehandROI"
NO_SPACING: Final = "The image has no pixel spacing: no sizes in mm are reported."


def finding_group(
    found: Finding, image: ImageReference, spacing_source: str | None, profile: Profile
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """One finding as a Planar ROI Measurements group (PS3.16 TID 1410)."""
    region = _region(found, image)
    name = finding_name(found)
    group = PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=found.tracking_uid,
            identifier=OHIF_TRACKING_IDENTIFIER if profile == "ohif" else name,
        ),
        referenced_region=region,
        finding_category=codes.FINDING_CATEGORY,
        finding_type=codes.FINDING_TYPE[found.kind],
        finding_sites=[FindingSite(codes.BREAST, codes.LATERALITY.get(found.laterality or ""))],
        algorithm_id=_algorithm(found.model, found.model_version),
        measurements=_measurements(found),
    )
    content = group[0].ContentSequence
    # The first comment is the label that OHIF shows.
    content.append(_comment(name))
    content.append(_comment(_spacing_note(found, spacing_source)))
    if profile == "ohif":
        _infer_from(content, region)
    return group


def run_group(
    run: RunOutcome, image: ImageReference, study_uid: str, revision: int, profile: Profile
) -> MeasurementsAndQualitativeEvaluations:
    """One model on one image as a Measurement Group (PS3.16 TID 1501): status, probabilities."""
    status = _status(run)
    probabilities = _probabilities(run.probabilities)
    if profile == "ohif" and probabilities:
        status.ContentSequence = ContentSequence(
            [_below(item) for measurement in probabilities for item in measurement]
        )
        probabilities = []
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=derived_uid(
                "run", study_uid, run.source_sop_uid, revision, run.model, run.model_version
            ),
            identifier=f"{run.model} {run.model_version} on the whole image",
        ),
        algorithm_id=_algorithm(run.model, run.model_version),
        measurements=probabilities,
        source_images=[SourceImageForMeasurementGroup(*image)],
    )
    group[0].ContentSequence.append(status)
    group[0].ContentSequence.append(_comment(run_sentence(run)))
    return group


def finding_name(found: Finding) -> str:
    """What people read, e.g. "Mass 1, left MLO, 87 %, mask_rcnn_mg 1.0"."""
    side = {"L": "left", "R": "right"}.get(found.laterality or "")
    place = " ".join(part for part in (side, found.view) if part)
    parts = (
        f"{codes.FINDING_LABEL[found.kind]} {found.number}",
        place,
        f"{100 * found.score:.0f} %",
        f"{found.model} {found.model_version}",
    )
    return ", ".join(part for part in parts if part)


def run_sentence(run: RunOutcome) -> str:
    """What a run said, for people; a failure is called a failure and never "no findings"."""
    name = f"{run.model} {run.model_version}"
    if run.error is not None:
        return f"{name} FAILED, this image was not assessed by it: {run.error}"
    if run.findings:
        return f"{name} succeeded: {len(run.findings)} finding(s)."
    if run.probabilities:
        return f"{name} succeeded: no region marked; probabilities are given."
    return f"{name} succeeded: no findings."


def _region(found: Finding, image: ImageReference) -> ImageRegion:
    """The closed contour; PS3.3 C.18.6.1.2: first and last point of a closed POLYLINE coincide."""
    points = np.array([*found.contour_px, found.contour_px[0]], dtype=np.float64)
    return ImageRegion(
        graphic_type="POLYLINE",
        graphic_data=points,
        source_image=SourceImageForRegion(*image),
    )


def _algorithm(model: str, version: str) -> AlgorithmIdentification:
    return AlgorithmIdentification(
        name=model,
        version=version,
        manufacturer=equipment.MANUFACTURER,
        family=codes.ALGORITHM_FAMILY,
    )


def _measurements(found: Finding) -> list[Measurement]:
    """Area first: OHIF shows the first number of a group as the area."""
    certainty = Measurement(codes.CERTAINTY, round(100 * found.score, 1), codes.PERCENT)
    if found.area_mm2 is None or found.long_axis_mm is None or found.short_axis_mm is None:
        return [Measurement(codes.AREA, found.area_px, codes.PIXELS), certainty]
    return [
        Measurement(codes.AREA, round(found.area_mm2, 2), codes.SQUARE_MILLIMETER),
        Measurement(codes.LONG_AXIS, round(found.long_axis_mm, 2), codes.MILLIMETER),
        Measurement(codes.SHORT_AXIS, round(found.short_axis_mm, 2), codes.MILLIMETER),
        certainty,
    ]


def _spacing_note(found: Finding, spacing_source: str | None) -> str:
    if found.area_mm2 is None or spacing_source is None:
        return NO_SPACING
    note = f"Sizes in mm: from {spacing_source}"
    if spacing_source == "ImagerPixelSpacing":
        return f"{note}, in the detector plane, geometric magnification included."
    return f"{note}."


def _infer_from(content: ContentSequence, region: ImageRegion) -> None:
    """Put a copy of the contour below the first number, as what that was inferred from."""
    contour = deepcopy(region)
    contour.RelationshipType = RelationshipTypeValues.INFERRED_FROM.value
    number = next(item for item in content if isinstance(item, NumContentItem))
    number.ContentSequence = ContentSequence([contour])


def _status(run: RunOutcome) -> CodeContentItem:
    return CodeContentItem(
        name=codes.SUMMARY_OF_ANALYSES,
        value=codes.FAILED if run.error is not None else codes.SUCCEEDED,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )


def _probabilities(probabilities: Mapping[str, float]) -> list[Measurement]:
    return [
        Measurement(codes.probability_of(name), round(100 * value, 2), codes.PERCENT)
        for name, value in sorted(probabilities.items())
    ]


def _below(item: ContentItem) -> ContentItem:
    item.RelationshipType = RelationshipTypeValues.HAS_PROPERTIES.value
    return item


def _comment(text: str) -> TextContentItem:
    return TextContentItem(
        name=dictionary.DCM.Comment,
        value=text,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )
