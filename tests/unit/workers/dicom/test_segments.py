"""Which findings share a segment."""

from __future__ import annotations

from tests.results import finding, findings_of, header
from workers.dicom.segments import describe, segment_numbers, segments_of


def test_every_finding_is_a_segment_of_its_own() -> None:
    """Numbered from 1, named as in the report, tracked by the finding's UID."""
    findings = findings_of(header())
    segments = segments_of(findings, "finding")
    assert [segment.number for segment in segments] == [1, 2, 3]
    assert [segment.label for segment in segments] == [
        "Mass 1",
        "Calcification cluster 2",
        "Arterial calcification 3",
    ]
    assert [segment.tracking_uid for segment in segments] == [
        each.tracking_uid for each in findings
    ]


def test_findings_of_one_class_and_model_share_a_segment() -> None:
    """A class that two models report is two segments: a segment has one algorithm."""
    first, second = finding(), finding(number=2, score=0.5)
    other = finding(model="mtu_net", score=0.25)
    segments = segments_of([first, other, second], "class")
    assert [segment.findings for segment in segments] == [(first, second), (other,)]
    assert [segment.label for segment in segments] == ["Mass (mask_rcnn_mg)", "Mass (mtu_net)"]
    assert len({segment.tracking_uid for segment in segments}) == 2
    assert segment_numbers([first, other, second], "class") == {
        first.tracking_uid: 1,
        other.tracking_uid: 2,
        second.tracking_uid: 1,
    }
    text = describe(segments[0]).SegmentDescription
    assert text.startswith("2 findings, certainty up to 87.0 %.")


def test_findings_of_one_name_are_told_apart() -> None:
    """Two models each have a first mass."""
    segments = segments_of([finding(), finding(model="mtu_net")], "finding")
    assert [segment.label for segment in segments] == ["Mass 1 (mask_rcnn_mg)", "Mass 1 (mtu_net)"]
