"""What is stored comes back from SEG and SR: masks bit for bit, contours to within a pixel.

Properties over many findings: at every edge of the image, several at once, overlapping, of a single
pixel, with holes, in parts; whatever the image's orientation, side and photometric interpretation.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import cv2
import numpy as np
import pydicom
from highdicom.seg import Segmentation
from highdicom.sr import MeasurementReport
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from models.contract import FindingKind
from node.store.tables import ModelRun
from tests.results import CONTENT_AT, disc, finding, header, outcome
from workers.analyses import ImageAnalysis
from workers.dicom.transfer import deflated
from workers.dicom.writing import part10
from workers.findings import Finding, from_row, to_row
from workers.report import encode_report
from workers.segmentation import encode_segmentation

# The same cases in every run: what fails here fails for everybody.
_EXAMPLES = settings(max_examples=15, deadline=None, derandomize=True, database=None)
_ORIENTATIONS = (["A", "R"], ["P", "L"], ["P", "FL"], ["A", "F"], None)
_TOLERANCE_PX = 1.0
_LARGEST_PX = 40

Placed = tuple[NDArray[np.bool_], tuple[int, int], FindingKind]


@st.composite
def _sources(draw: st.DrawFn) -> Dataset:
    """Headers of images of any small size."""
    return header(
        Rows=draw(st.integers(1, _LARGEST_PX)),
        Columns=draw(st.integers(1, _LARGEST_PX)),
        ImageLaterality=draw(st.sampled_from("LR")),
        PhotometricInterpretation=draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2"])),
        **_given(PatientOrientation=draw(st.sampled_from(_ORIENTATIONS))),
    )


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


@st.composite
def _placed(draw: st.DrawFn, source: Dataset) -> Placed:
    """A mask anywhere in the image, touching its edges more often than chance would."""
    height = draw(st.integers(1, source.Rows))
    width = draw(st.integers(1, source.Columns))
    last_row, last_column = source.Rows - height, source.Columns - width
    row = draw(st.sampled_from([0, last_row]) | st.integers(0, last_row))
    column = draw(st.sampled_from([0, last_column]) | st.integers(0, last_column))
    filled = st.just(np.ones((height, width), dtype=np.bool_))
    mask = draw(filled | arrays(np.bool_, (height, width)).filter(np.any))
    return mask, (row, column), draw(st.sampled_from(list(FindingKind)))


@st.composite
def _images(draw: st.DrawFn) -> tuple[Dataset, list[Finding]]:
    source = draw(_sources())
    placed = draw(st.lists(_placed(source), min_size=1, max_size=4))
    return source, _findings(source, placed)


def _findings(source: Dataset, placed: list[Placed]) -> list[Finding]:
    return [
        finding(
            mask,
            offset_px,
            kind=kind,
            number=number,
            laterality=source.ImageLaterality,
            source_sop_uid=str(source.SOPInstanceUID),
            study_uid=str(source.StudyInstanceUID),
        )
        for number, (mask, offset_px, kind) in enumerate(placed, start=1)
    ]


def _ring() -> NDArray[np.bool_]:
    ring = disc(30)
    ring[10:20, 10:20] = False
    return ring


def _at_hand(*placed: Placed) -> tuple[Dataset, list[Finding]]:
    source = header(Rows=64, Columns=50, ImageLaterality="R", PatientOrientation=["P", "L"])
    return source, _findings(source, list(placed))


_MASS, _CLUSTER = FindingKind.MASS, FindingKind.CALCIFICATION_CLUSTER
_PIXEL = np.ones((1, 1), dtype=np.bool_)
_ONE_PIXEL_IN_EVERY_CORNER = _at_hand(
    *((_PIXEL, (row, column), _CLUSTER) for row in (0, 63) for column in (0, 49))
)
_A_HOLE = _at_hand((_ring(), (34, 20), _MASS))
_OVERLAPPING = _at_hand((disc(30), (0, 0), _MASS), (disc(30), (5, 5), _CLUSTER))
_THE_SAME_TWICE = _at_hand((disc(9), (3, 3), _MASS), (disc(9), (3, 3), _MASS))


def _stored(found: Finding) -> Finding:
    """The finding as the database gives it back."""
    run = ModelRun(
        model=found.model,
        model_version=found.model_version,
        source_sop_uid=found.source_sop_uid,
    )
    return from_row(to_row(found), run)


def _full_size(found: Finding, source: Dataset) -> NDArray[np.bool_]:
    full = np.zeros((source.Rows, source.Columns), dtype=np.bool_)
    x0, y0, x1, y1 = found.box_px
    full[y0:y1, x0:x1] = found.mask
    return full


def _read(content: bytes) -> Dataset:
    return pydicom.dcmread(BytesIO(content))


def _encode_segmentation(source: Dataset, findings: list[Finding], **options: Any) -> Dataset:
    return encode_segmentation(
        source,
        findings,
        revision=1,
        content_at=CONTENT_AT,
        series_number=9001,
        **{"profile": "ohif"} | options,
    )


@_EXAMPLES
@given(_images())
@example(_ONE_PIXEL_IN_EVERY_CORNER)
@example(_A_HOLE)
@example(_OVERLAPPING)
@example(_THE_SAME_TWICE)
def test_masks_come_back_bit_for_bit(image: tuple[Dataset, list[Finding]]) -> None:
    """By pydicom as frames and by highdicom as segments, from the file as it is and deflated."""
    source, findings = image
    stored = [_stored(found) for found in findings]
    content = part10(_encode_segmentation(source, stored))
    expected = np.stack([_full_size(found, source) for found in findings])
    frames = _read(deflated(content)).pixel_array
    np.testing.assert_array_equal(frames.reshape(expected.shape), expected)
    read = Segmentation.from_dataset(_read(content))
    pixels = read.get_pixels_by_source_instance(
        [str(source.SOPInstanceUID)],
        ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )
    np.testing.assert_array_equal(np.moveaxis(pixels[0], -1, 0), expected)
    overlapping = bool((expected.sum(axis=0) > 1).any())
    assert read.SegmentsOverlap == ("YES" if overlapping else "NO")


@_EXAMPLES
@given(_images())
@example(_OVERLAPPING)
def test_a_class_is_the_union_of_its_findings(image: tuple[Dataset, list[Finding]]) -> None:
    """One frame per kind, in the order of the first findings."""
    source, findings = image
    read = _read(part10(_encode_segmentation(source, findings, segments_per="class")))
    kinds = list(dict.fromkeys(found.kind for found in findings))
    expected = [
        np.any([_full_size(each, source) for each in findings if each.kind is kind], axis=0)
        for kind in kinds
    ]
    frames = read.pixel_array.reshape(len(kinds), source.Rows, source.Columns)
    np.testing.assert_array_equal(frames, np.stack(expected))


@_EXAMPLES
@given(_images())
@example(_ONE_PIXEL_IN_EVERY_CORNER)
@example(_A_HOLE)
@example(_THE_SAME_TWICE)
def test_contours_come_back_within_a_pixel(image: tuple[Dataset, list[Finding]]) -> None:
    """The report's polylines against the stored contours and against the edge of the masks."""
    source, findings = image
    run = outcome(source, findings=tuple(_stored(found) for found in findings))
    report = encode_report(
        [ImageAnalysis(source, "ImagerPixelSpacing", (run,))],
        revision=1,
        content_at=CONTENT_AT,
        segmentations={},
        predecessor=None,
        profile="plain",
    )
    content = MeasurementReport.from_sequence([_read(part10(report))])
    groups = content.get_planar_roi_measurement_groups()
    assert len(groups) == len(findings)
    for group, found in zip(groups, findings, strict=True):
        points = group.roi.value
        np.testing.assert_array_equal(points[0], points[-1])
        stored = np.array(found.contour_px)
        np.testing.assert_allclose(points[:-1], stored, atol=1e-3)
        assert group.tracking_uid == found.tracking_uid
        assert (
            group.finding_sites[0].laterality.value
            == {"L": "7771000", "R": "24028007"}[source.ImageLaterality]
        )
        _assert_runs_along_the_edge(points, found)


def _assert_runs_along_the_edge(points: NDArray[np.float64], found: Finding) -> None:
    """No point of the polygon is further than a pixel from the edge of the largest part, nor back.

    On a grid of quarter pixels, where a pixel's edge is a line of its own.
    """
    fine = 4
    x0, y0, _, _ = found.box_px
    largest = np.pad(_largest_part(found.mask), 2).repeat(fine, axis=0).repeat(fine, axis=1)
    corners = np.round((points - [x0 - 2, y0 - 2]) * fine).astype(np.int32)
    drawn = np.zeros(largest.shape, dtype=np.uint8)
    cv2.polylines(drawn, [corners.reshape(-1, 1, 2)], isClosed=True, color=1)
    edge = cv2.morphologyEx(largest.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    for one, other in ((drawn, edge), (edge, drawn)):
        distance = cv2.distanceTransform(1 - other, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        # The rasters themselves are off by up to one quarter pixel each.
        assert distance[one > 0].max() <= (_TOLERANCE_PX + 0.5) * fine


def _largest_part(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest 8-connected part with its holes filled: a contour knows no holes."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    part = (labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    outlines, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(part)
    cv2.drawContours(filled, outlines, -1, color=1, thickness=cv2.FILLED)
    return np.asarray(filled > 0)
