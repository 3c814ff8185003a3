"""Measurement groups of findings (PS3.16 TID 1410), for reports after TID 1500.

In: a finding and the references to its image and its segment. Out: content items. What must hold:
no millimetres without a spacing; a viewer that knows nothing but contours can still draw every
finding.

For OHIF 3 (profile "ohif") two things differ from what any reader of TID 1500 accepts. The tracking
identifier names its tool, and the area repeats the contour it was inferred from, without which the
contour is shown but cannot be taken over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from highdicom.sr import (
    AlgorithmIdentification,
    ContentItem,
    ContentSequence,
    FindingSite,
    Measurement,
    RelationshipTypeValues,
)
from pydicom.sr.codedict import codes as dictionary
from pydicom.sr.coding import Code
from pydicom.uid import SegmentationStorage

from workers.dicom import codes, equipment
from workers.dicom.content_items import (
    CONTAINS,
    INFERRED_FROM,
    OBSERVATION_CONTEXT,
    SELECTED_FROM,
    Relationship,
    code,
    concept,
    container,
    coordinates,
    image,
    number,
    text,
    uid,
)
from workers.dicom.graphic_data import closed
from workers.dicom.inheritance import ImageReference
from workers.dicom.numbers import rounded
from workers.findings import Finding, RunOutcome

Profile = Literal["ohif", "plain"]

_DCM = dictionary.DCM

# What Cornerstone3D calls a closed freehand contour.
OHIF_TRACKING_IDENTIFIER: Final = "Cornerstone3DTools@^0.1.0:PlanarFreehandROI"
# More than any site has models and versions of them, and an image has places in the breast.
_KEPT: Final = 256
NO_SPACING: Final = "The image has no pixel spacing: no sizes in mm are reported."


class SegmentReference(NamedTuple):
    """The segment in which a finding lies."""

    sop_instance_uid: str
    segment_number: int


def finding_group(
    found: Finding,
    reference: ImageReference,
    spacing_source: str | None,
    profile: Profile,
    *,
    segment: SegmentReference | None = None,
    location: Code | None = None,
) -> ContentItem:
    """One finding as a Planar ROI Measurements group (PS3.16 TID 1410), in the order of its rows.

    `reference`: its image. `segment`: None where no segmentation is written. `location`: what the
    image itself says of the place in the breast, one of CID 6018 or 6020.
    """
    name = finding_name(found)
    view = codes.VIEW.get(found.view or "")
    return container(
        CONTAINS,
        _DCM.MeasurementGroup,
        text(
            OBSERVATION_CONTEXT,
            _DCM.TrackingIdentifier,
            OHIF_TRACKING_IDENTIFIER if profile == "ohif" else name,
        ),
        uid(OBSERVATION_CONTEXT, _DCM.TrackingUniqueIdentifier, found.tracking_uid),
        code(CONTAINS, codes.CATEGORY, codes.FINDING_CATEGORY),
        code(CONTAINS, codes.FINDING, codes.FINDING_TYPE[found.kind]),
        site_of(found.laterality, location),
        *algorithm_of(found.model, found.model_version),
        *_measurements(found, reference, profile, segment),
        *([] if view is None else [code(CONTAINS, codes.IMAGE_VIEW, view)]),
        _region(CONTAINS, found, reference),
        # The first comment is the label that OHIF shows.
        comment(name),
        comment(_spacing_note(found, spacing_source)),
        template_id="1410",
        is_continuous=True,
    )


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


def _region(relationship: Relationship, found: Finding, reference: ImageReference) -> ContentItem:
    """The closed contour on its image."""
    return coordinates(
        relationship,
        _DCM.ImageRegion,
        "POLYLINE",
        closed(found.contour_px),
        image(SELECTED_FROM, codes.SOURCE, reference),
    )


@lru_cache(_KEPT)
def algorithm_of(model: str, version: str) -> AlgorithmIdentification:
    """TID 4019; one set of items for all places, which only read them."""
    return AlgorithmIdentification(
        name=model,
        version=version,
        manufacturer=equipment.MANUFACTURER,
        family=concept(codes.ALGORITHM_FAMILY),
    )


def site_of(laterality: str | None, location: Code | None = None) -> FindingSite:
    """The breast of that side, or the place in it; one item for all places, which only read it."""
    # By all parts: pydicom calls codes equal whose meanings differ.
    parts = None if location is None else tuple(location)
    return _site(laterality if laterality in codes.LATERALITY else None, parts)


@lru_cache(_KEPT)
def _site(laterality: str | None, location: tuple[str, ...] | None) -> FindingSite:
    return FindingSite(
        concept(codes.BREAST),
        None if laterality is None else concept(codes.LATERALITY[laterality]),
        None if location is None else concept(Code(*location)),
    )


def _measurements(
    found: Finding,
    reference: ImageReference,
    profile: Profile,
    segment: SegmentReference | None,
) -> Iterator[ContentItem]:
    """Area first: OHIF shows the first number of a group as the area.

    Below each size stands what it was inferred from: the segment; for OHIF the contour below the
    area. The group itself may have a region or a segment and not both (TID 1410, rows 4 and 6), and
    so may a number (TID 320); OHIF looks for the contour below the first number.
    """
    by_segment = [] if segment is None else [_segment_item(segment)]
    by_contour = [_region(INFERRED_FROM, found, reference)] if profile == "ohif" else by_segment
    if found.area_mm2 is None or found.long_axis_mm is None or found.short_axis_mm is None:
        yield number(CONTAINS, codes.AREA, found.area_px, codes.PIXELS, *by_contour)
    else:
        area_mm2 = rounded(found.area_mm2)
        yield number(CONTAINS, codes.AREA, area_mm2, codes.SQUARE_MILLIMETER, *by_contour)
        for name, length_mm in (
            (codes.LONG_AXIS, found.long_axis_mm),
            (codes.SHORT_AXIS, found.short_axis_mm),
        ):
            yield number(CONTAINS, name, rounded(length_mm), codes.MILLIMETER, *by_segment)
    yield number(CONTAINS, codes.CERTAINTY, round(100 * found.score, 1), codes.PERCENT)


def _spacing_note(found: Finding, spacing_source: str | None) -> str:
    if found.area_mm2 is None or spacing_source is None:
        return NO_SPACING
    note = f"Sizes in mm: from {spacing_source}"
    if spacing_source == "ImagerPixelSpacing":
        return f"{note}, in the detector plane, geometric magnification included."
    return f"{note}."


def _segment_item(segment: SegmentReference) -> ContentItem:
    reference = ImageReference(SegmentationStorage, segment.sop_instance_uid, None)
    return image(
        INFERRED_FROM,
        codes.REFERENCED_SEGMENT,
        reference,
        segment_number=segment.segment_number,
    )


def hang_below(parent: ContentItem, measurements: Sequence[Measurement]) -> None:
    """Make numbers properties of `parent` instead of children of its group."""
    items = [item for measurement in measurements for item in measurement]
    for item in items:
        item.RelationshipType = RelationshipTypeValues.HAS_PROPERTIES.value
    parent.ContentSequence = ContentSequence(items)


def comment(sentence: str) -> ContentItem:
    """A sentence for people, in a group."""
    return text(CONTAINS, _DCM.Comment, sentence)
