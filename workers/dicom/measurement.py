"""Measurement groups of findings (PS3.16 TID 1410), for reports after TID 1500.

In: a finding and the references to its image and its segment. Out: highdicom templates. What must
hold: no millimetres without a spacing; a viewer that knows nothing but contours can still draw
every finding.

For OHIF 3 (profile "ohif") two things differ from what any reader of TID 1500 accepts. The tracking
identifier names its tool, and the area repeats the contour it was inferred from, without which the
contour is shown but cannot be taken over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from highdicom.sr import (
    AlgorithmIdentification,
    ContentItem,
    ContentSequence,
    FindingSite,
    ImageContentItem,
    ImageRegion,
    Measurement,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    ScoordContentItem,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.sr.codedict import codes as dictionary
from pydicom.sr.coding import Code
from pydicom.uid import SegmentationStorage

from workers.dicom import codes, equipment
from workers.dicom.graphic_data import closed, corners, set_points
from workers.dicom.inheritance import ImageReference
from workers.findings import Finding, RunOutcome

Profile = Literal["ohif", "plain"]

# What Cornerstone3D calls a closed freehand contour.
OHIF_TRACKING_IDENTIFIER: Final = "Cornerstone3DTools@^0.1.0:PlanarFreehandROI"
_SIZES: Final = (codes.AREA, codes.LONG_AXIS, codes.SHORT_AXIS)
NO_SPACING: Final = "The image has no pixel spacing: no sizes in mm are reported."


class SegmentReference(NamedTuple):
    """The segment in which a finding lies."""

    sop_instance_uid: str
    segment_number: int


def finding_group(
    found: Finding,
    image: ImageReference,
    spacing_source: str | None,
    profile: Profile,
    *,
    segment: SegmentReference | None = None,
    location: Code | None = None,
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """One finding as a Planar ROI Measurements group (PS3.16 TID 1410).

    `segment`: None where no segmentation is written. `location`: what the image itself says of the
    place in the breast, one of CID 6018 or 6020.
    """
    region = _region(found, image)
    name = finding_name(found)
    side = codes.LATERALITY.get(found.laterality or "")
    group = PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=found.tracking_uid,
            identifier=OHIF_TRACKING_IDENTIFIER if profile == "ohif" else name,
        ),
        referenced_region=region,
        finding_category=codes.FINDING_CATEGORY,
        finding_type=codes.FINDING_TYPE[found.kind],
        finding_sites=[FindingSite(codes.BREAST, side, location)],
        algorithm_id=algorithm_of(found.model, found.model_version),
        measurements=_measurements(found),
        qualitative_evaluations=_view(found),
    )
    content = group[0].ContentSequence
    # The first comment is the label that OHIF shows.
    content.append(comment(name))
    content.append(comment(_spacing_note(found, spacing_source)))
    _infer_sizes_from(content, region if profile == "ohif" else None, segment)
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
    if run.declined:
        return f"{name} declined this image, which it did not assess: {run.error}"
    if run.error is not None:
        return f"{name} FAILED, this image was not assessed by it: {run.error}"
    if run.findings:
        return f"{name} succeeded: {len(run.findings)} finding(s)."
    if run.probabilities:
        return f"{name} succeeded: no region marked; probabilities are given."
    return f"{name} succeeded: no findings."


def _region(found: Finding, image: ImageReference) -> ImageRegion:
    """The closed contour."""
    points = closed(found.contour_px)
    region = ImageRegion(
        graphic_type="POLYLINE",
        graphic_data=corners(points),
        source_image=SourceImageForRegion(*image),
    )
    set_points(region, points)
    return region


def algorithm_of(model: str, version: str) -> AlgorithmIdentification:
    """TID 4019."""
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


def _view(found: Finding) -> list[QualitativeEvaluation]:
    view = codes.VIEW.get(found.view or "")
    return [] if view is None else [QualitativeEvaluation(codes.IMAGE_VIEW, view)]


def _infer_sizes_from(
    content: ContentSequence, region: ImageRegion | None, segment: SegmentReference | None
) -> None:
    """Say below each size what it was inferred from: the segment; for OHIF the area from `region`.

    The group itself may have a region or a segment and not both (TID 1410, rows 4 and 6), and so
    may a number (TID 320); OHIF looks for the contour below the first number.
    """
    sizes = [item for item in content if item.name in _SIZES]
    if region is not None:
        sizes.pop(0).ContentSequence = ContentSequence([_inferred_from(region)])
    if segment is not None:
        for size in sizes:
            size.ContentSequence = ContentSequence([_segment_item(segment)])


def _inferred_from(region: ImageRegion) -> ScoordContentItem:
    """The same contour, as what a number was inferred from."""
    item = ScoordContentItem(
        name=region.name,
        graphic_type=region.graphic_type,
        graphic_data=corners(region.value),
        relationship_type=RelationshipTypeValues.INFERRED_FROM,
    )
    set_points(item, region.value)
    item.ContentSequence = ContentSequence(region.ContentSequence)
    return item


def _segment_item(segment: SegmentReference) -> ImageContentItem:
    return ImageContentItem(
        name=codes.REFERENCED_SEGMENT,
        referenced_sop_class_uid=SegmentationStorage,
        referenced_sop_instance_uid=segment.sop_instance_uid,
        referenced_segment_numbers=segment.segment_number,
        relationship_type=RelationshipTypeValues.INFERRED_FROM,
    )


def hang_below(parent: ContentItem, measurements: Sequence[Measurement]) -> None:
    """Make numbers properties of `parent` instead of children of its group."""
    items = [item for measurement in measurements for item in measurement]
    for item in items:
        item.RelationshipType = RelationshipTypeValues.HAS_PROPERTIES.value
    parent.ContentSequence = ContentSequence(items)


def comment(text: str) -> TextContentItem:
    """A sentence for people, in a group."""
    return TextContentItem(
        name=dictionary.DCM.Comment,
        value=text,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )
