"""Segments of a segmentation: which findings share one, and what it says of them (PS3.3 C.8.20.2).

In: the findings of one image. Out: segments, numbered from 1, and their descriptions. What must
hold: every finding lies in exactly one segment, so that the report can name it; findings of two
models never share one, because a segment has one algorithm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import highdicom
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription

from models.contract import FindingKind
from node.destinations import SegmentsPer
from node.identifiers import derived_uid
from workers.dicom import codes, equipment
from workers.dicom.binary_frames import Crop
from workers.findings import Finding

# Recommended Display CIELab Value: red, yellow and cyan keep apart on grey.
_COLORS: Final = {
    FindingKind.MASS: CIELabColor(53.0, 80.0, 67.0),
    FindingKind.CALCIFICATION_CLUSTER: CIELabColor(97.0, -21.0, 94.0),
    FindingKind.ARTERIAL_CALCIFICATION: CIELabColor(91.0, -48.0, -14.0),
}
_LONGEST_TEXT: Final = 64  # LO


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment. `findings`: one, or all of one class of one model on the image."""

    number: int
    label: str
    tracking_uid: str
    findings: tuple[Finding, ...]

    @property
    def crops(self) -> list[Crop]:
        """What it covers."""
        return [Crop(found.mask, *found.offset_px) for found in self.findings]

    @property
    def laterality(self) -> str | None:
        """That of its findings: they are of one image."""
        return self.findings[0].laterality


def segments_of(findings: Sequence[Finding], per: SegmentsPer) -> list[Segment]:
    """The segments in the order of their first findings."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for found in findings:
        key = (found.model, found.model_version, str(found.kind))
        groups.setdefault(key if per == "class" else (found.tracking_uid,), []).append(found)
    names = [_name(group, per) for group in groups.values()]
    return [
        Segment(
            number=number,
            label=name if names.count(name) == 1 else f"{name} ({group[0].model})"[:_LONGEST_TEXT],
            tracking_uid=_tracking_uid(group, per),
            findings=tuple(group),
        )
        for number, (group, name) in enumerate(zip(groups.values(), names, strict=True), start=1)
    ]


def segment_numbers(findings: Sequence[Finding], per: SegmentsPer) -> Mapping[str, int]:
    """The segment of each finding of one image, by the finding's tracking UID."""
    return {
        found.tracking_uid: segment.number
        for segment in segments_of(findings, per)
        for found in segment.findings
    }


def describe(segment: Segment) -> SegmentDescription:
    """The item of the Segment Sequence."""
    first = segment.findings[0]
    description = SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.label,
        segmented_property_category=codes.FINDING_CATEGORY,
        segmented_property_type=codes.FINDING_TYPE[first.kind],
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=first.model,
            family=codes.ALGORITHM_FAMILY,
            version=first.model_version,
            source=equipment.MANUFACTURER,
        ),
        tracking_uid=segment.tracking_uid,
        tracking_id=f"{segment.label}, {first.model} {first.model_version}"[:_LONGEST_TEXT],
        anatomic_regions=[codes.BREAST],
        display_color=_COLORS[first.kind],
    )
    description.SegmentDescription = f"{_certainty(segment)} {equipment.RESEARCH_USE_ONLY}"
    if segment.laterality in codes.LATERALITY:
        # PS3.3 table 10-5: laterality modifies the anatomic region.
        side = highdicom.sr.CodedConcept.from_code(codes.LATERALITY[segment.laterality])
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [side]
    return description


def _name(group: Sequence[Finding], per: SegmentsPer) -> str:
    label = codes.FINDING_LABEL[group[0].kind]
    return label if per == "class" else f"{label} {group[0].number}"


def _tracking_uid(group: Sequence[Finding], per: SegmentsPer) -> str:
    if per == "class":
        return derived_uid("class of findings", *(found.tracking_uid for found in group))
    return group[0].tracking_uid


def _certainty(segment: Segment) -> str:
    best = 100 * max(found.score for found in segment.findings)
    if len(segment.findings) == 1:
        return f"Certainty {best:.1f} %."
    return f"{len(segment.findings)} findings, certainty up to {best:.1f} %."
