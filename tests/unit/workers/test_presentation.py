"""The presentation state of one image, read back."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    ColorSoftcopyPresentationStateStorage,
    GrayscaleSoftcopyPresentationStateStorage,
)

from models.contract import FindingKind
from node.errors import EncodingError
from tests.results import (
    CONTENT_AT,
    disc,
    finding,
    findings_of,
    header,
    outcome,
    ultrasound_header,
)
from workers.analyses import ImageAnalysis
from workers.dicom.outline_shutter import outline_bits
from workers.findings import Finding
from workers.presentation import encode_presentation, is_presentable

Box = tuple[float, float, float, float]


def _analysis(source: Dataset, findings: list[Finding], **changes: Any) -> ImageAnalysis:
    return ImageAnalysis(source, None, (outcome(source, findings=tuple(findings)),), **changes)


def _bytes(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _encoded(analysis: ImageAnalysis, **changes: Any) -> Dataset:
    """Encoded, written and read again."""
    arguments = {"revision": 1, "content_at": CONTENT_AT, "instance_number": 1}
    written = encode_presentation(analysis, **arguments | changes)
    return pydicom.dcmread(BytesIO(_bytes(written)))


def _lines(state: Dataset) -> list[NDArray[np.float64]]:
    return [
        np.array(item.GraphicData, dtype=np.float64).reshape(-1, 2)
        for annotation in state.GraphicAnnotationSequence
        for item in annotation.get("GraphicObjectSequence", ())
    ]


def _texts(state: Dataset) -> dict[str, tuple[str, Box]]:
    """Text -> units and box (left, top, right, bottom)."""
    return {
        item.UnformattedTextValue: (
            item.BoundingBoxAnnotationUnits,
            (*item.BoundingBoxTopLeftHandCorner, *item.BoundingBoxBottomRightHandCorner),
        )
        for annotation in state.GraphicAnnotationSequence
        for item in annotation.get("TextObjectSequence", ())
    }


def _labels(state: Dataset) -> list[Box]:
    return [box for units, box in _texts(state).values() if units == "PIXEL"]


def _shared(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)


def test_outlines_are_closed_and_those_of_the_findings() -> None:
    """One POLYLINE per part in pixel coordinates, filled by nothing, tracked as in the report."""
    source = header()
    findings = findings_of(source)
    state = _encoded(_analysis(source, findings))
    assert state.SOPClassUID == GrayscaleSoftcopyPresentationStateStorage
    for line, found in zip(_lines(state), findings, strict=True):
        np.testing.assert_array_equal(line[0], line[-1])
        np.testing.assert_array_equal(line[:-1], found.contour_px)
    items = [
        item
        for each in state.GraphicAnnotationSequence
        for item in each.get("GraphicObjectSequence", ())
    ]
    assert {(item.GraphicType, item.GraphicAnnotationUnits) for item in items} == {
        ("POLYLINE", "PIXEL")
    }
    assert [item.TrackingUID for item in items] == [found.tracking_uid for found in findings]


def test_every_speck_of_a_cluster_is_outlined() -> None:
    """Three parts of one finding give three closed lines, each with its points, and one label."""
    mask = np.zeros((30, 40), dtype=bool)
    mask[2:4, 3:5], mask[10:20, 10:20], mask[25:26, 30:39] = True, True, True
    mask[10:15, 10:15] = False
    state = _encoded(_analysis(header(), [finding(mask)]))
    assert len(_lines(state)) == 3
    (annotation,) = (
        each for each in state.GraphicAnnotationSequence if "GraphicObjectSequence" in each
    )
    counts = [item.NumberOfGraphicPoints for item in annotation.GraphicObjectSequence]
    assert counts == [len(line) for line in _lines(state)]
    assert len(set(counts)) > 1
    assert len(_labels(state)) == 1


def test_a_finding_in_every_corner_is_drawn_and_labelled_inside() -> None:
    """Outlines reach the outer edge of the last pixel; labels stay in the image, beside them."""
    source = header()  # 400 rows, 300 columns
    findings = [
        finding(disc(40), offset, number=number)
        for number, offset in enumerate([(0, 0), (0, 260), (360, 0), (360, 260)], start=1)
    ]
    state = _encoded(_analysis(source, findings))
    points = np.concatenate(_lines(state))
    assert points.min(axis=0).tolist() == [0, 0]
    assert points.max(axis=0).tolist() == [300, 400]
    boxes = _labels(state)
    assert len(boxes) == 4
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= 300
        assert 0 <= top < bottom <= 400
    for box in boxes:
        assert all(_shared(box, found.box_px) == 0 for found in findings)


def test_labels_of_twenty_findings_hide_none_of_them() -> None:
    """On a full-size mammogram there is room for all; labels do not lie on each other either."""
    source = header(Rows=4096, Columns=3328)
    findings = [
        finding(disc(120), (200 + 700 * (n // 4), 200 + 750 * (n % 4)), number=n + 1)
        for n in range(20)
    ]
    boxes = _labels(_encoded(_analysis(source, findings)))
    assert len(boxes) == 20
    for index, box in enumerate(boxes):
        assert all(_shared(box, found.box_px) == 0 for found in findings)
        assert all(_shared(box, other) == 0 for other in boxes[:index])


def test_labels_say_kind_score_and_model() -> None:
    """What a reader needs to find the finding in the report."""
    source = header()
    texts = _texts(_encoded(_analysis(source, findings_of(source))))
    assert "Mass 1, 87 %\r\nmask_rcnn_mg 1.0.0" in texts
    assert "Arterial calcification 3, 87 %\r\nmask_rcnn_mg 1.0.0" in texts


def test_every_kind_has_a_layer_with_colours() -> None:
    """Layers that occur, each named by its annotation, white on grey displays."""
    source = header()
    state = _encoded(_analysis(source, findings_of(source)[:2]))
    layers = {layer.GraphicLayer: layer for layer in state.GraphicLayerSequence}
    assert list(layers) == ["AI_MASS", "AI_CALCIFICATION", "AI_NOTICE"]
    assert [each.GraphicLayer for each in state.GraphicAnnotationSequence] == list(layers)
    colours = {tuple(each.GraphicLayerRecommendedDisplayCIELabValue) for each in layers.values()}
    assert len(colours) == len(layers)
    grey = {each.GraphicLayerRecommendedDisplayGrayscaleValue for each in layers.values()}
    assert grey == {0xFFFF}


def test_what_failed_is_written_on_the_image() -> None:
    """With findings of another model or without any: never an unmarked image alone."""
    source = header()
    failed = outcome(source, model="mtu_net", error="Triton did\n not answer in time")
    declined = outcome(source, model="other", error="no breast in it", declined=True)
    for findings in (findings_of(source), []):
        runs = (outcome(source, findings=tuple(findings)), failed, declined)
        texts = _texts(_encoded(ImageAnalysis(source, None, runs)))
        assert "Research use only. Not a medical device." in texts
        assert "AI INCOMPLETE: 2 of 3 models did not assess this image" in texts
        assert "mtu_net 1.0.0 FAILED: Triton did not answer in time" in texts
        assert "other 1.0.0 DECLINED: no breast in it" in texts
        assert not any("No finding" in text for text in texts)


def test_the_notice_avoids_the_findings() -> None:
    """It stands below; where a finding is there, above; inside the displayed area in any case."""
    for offset, expected in (((20, 100), range(200, 401)), ((355, 100), range(200))):
        texts = _texts(_encoded(_analysis(header(), [finding(disc(40), offset)])))
        units, (left, top, right, bottom) = texts["Research use only. Not a medical device."]
        assert units == "DISPLAY"
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
        assert int(top * 400) in expected
        assert int(bottom * 400) in expected


def test_an_image_without_findings_or_failures_gets_none() -> None:
    """There is nothing to draw, and the report tells of the success."""
    source = header()
    analysis = _analysis(source, [])
    assert not is_presentable(analysis)
    with pytest.raises(EncodingError, match="a finding or a failure"):
        _encoded(analysis)


def test_a_finding_outside_the_image_is_refused() -> None:
    """A contour that leaves the image means that the findings are another image's."""
    with pytest.raises(EncodingError, match="cannot be written"):
        _encoded(_analysis(header(), [finding(disc(40), (380, 40))]))


def test_encoding_again_gives_the_same_bytes() -> None:
    """Grey and colour; a new revision is a new object in a new series."""
    source, colour = header(), ultrasound_header()
    colour.PhotometricInterpretation = "RGB"
    for each in (source, colour):
        analysis = _analysis(each, findings_of(each))
        arguments: dict[str, Any] = {"content_at": CONTENT_AT, "instance_number": 1}
        first, again, second = (
            encode_presentation(analysis, revision=revision, **arguments) for revision in (1, 1, 2)
        )
        assert _bytes(first) == _bytes(again)
        assert first.SOPInstanceUID != second.SOPInstanceUID
        assert first.SeriesInstanceUID != second.SeriesInstanceUID


def _overlay(state: Dataset) -> NDArray[np.bool_]:
    """What the shutter covers, (rows, columns)."""
    group = state.ShutterOverlayGroup
    shape = (state[group, 0x0010].value, state[group, 0x0011].value)
    bits = np.unpackbits(np.frombuffer(state[group, 0x3000].value, np.uint8), bitorder="little")
    return bits[: shape[0] * shape[1]].reshape(shape).astype(bool)


def _covered(found: Finding, shape: tuple[int, int]) -> NDArray[np.bool_]:
    whole = np.zeros(shape, bool)
    x0, y0, x1, y1 = found.box_px
    whole[y0:y1, x0:x1] = found.mask
    return whole


def test_a_shutter_lies_around_the_findings_and_on_none() -> None:
    """In every corner too; the graphics are there as without it, the object is another one."""
    source = header(Rows=399, Columns=301)  # not of whole bytes
    findings = [
        finding(disc(40), offset, number=number)
        for number, offset in enumerate([(0, 0), (0, 261), (359, 0), (200, 130)], start=1)
    ]
    analysis = _analysis(source, findings)
    state, plain = _encoded(analysis, shuttered=True), _encoded(analysis)
    assert (state.ShutterShape, state.ShutterPresentationValue) == ("BITMAP", 0xFFFF)
    overlay = _overlay(state)
    masks = [_covered(found, overlay.shape) for found in findings]
    assert not (overlay & np.any(masks, axis=0)).any()
    for mask in masks:
        beside = np.zeros_like(mask)
        beside[1:] |= mask[:-1]
        beside[:-1] |= mask[1:]
        beside[:, 1:] |= mask[:, :-1]
        beside[:, :-1] |= mask[:, 1:]
        assert overlay[beside & ~mask].all()
    assert state.GraphicAnnotationSequence == plain.GraphicAnnotationSequence
    assert state.SOPInstanceUID != plain.SOPInstanceUID
    assert state.SeriesInstanceUID != plain.SeriesInstanceUID
    assert "ShutterShape" not in plain


def _in_colour(source: Dataset) -> Dataset:
    source.SamplesPerPixel, source.PhotometricInterpretation = 3, "RGB"
    return source


def test_the_line_of_a_shutter_is_wider_on_a_larger_image() -> None:
    """Two pixels where the image is as long as a screen is high, six on a full-size mammogram."""
    for rows, width in ((300, 1), (1400, 2), (4096, 6)):
        bits = outline_bits((rows, rows), [finding(disc(40), (100, 100))])
        assert bits[120].sum() == 2 * width


def test_lines_of_overlapping_findings_all_show() -> None:
    """A cluster within a mass has its line, on the mass; on itself it has none."""
    mass = finding(disc(80), (100, 100))
    cluster = finding(disc(20), (130, 130), number=2, kind=FindingKind.CALCIFICATION_CLUSTER)
    state = _encoded(_analysis(header(), [mass, cluster]), shuttered=True)
    overlay = _overlay(state)
    within = _covered(cluster, overlay.shape)
    assert not (overlay & within).any()
    assert overlay[140, [129, 150]].all()
    assert overlay[140, [99, 180]].all()
    assert (overlay & _covered(mass, overlay.shape)).sum() < within.sum()


def test_a_shutter_takes_a_group_that_the_image_does_not_use() -> None:
    """The image's own overlay stays what it is; where none is free the first is used twice."""
    source = header()
    source.add_new((0x6000, 0x0010), "US", 10)
    findings = findings_of(source)
    assert _encoded(_analysis(source, findings), shuttered=True).ShutterOverlayGroup == 0x6002
    for group in range(0x6002, 0x6010, 2):
        source.add_new((group, 0x0010), "US", 10)
    state = _encoded(_analysis(source, findings), shuttered=True)
    assert state.ShutterOverlayGroup == 0x6000
    assert _overlay(state).any()


@pytest.mark.parametrize("shuttered", [False, True])
def test_the_overlays_of_the_image_are_activated(shuttered: bool) -> None:
    """All of them, below the marks; the plane of a shutter is not, for the shutter shows it."""
    source = header()
    for group in (0x6000, 0x6004):
        source.add_new((group, 0x0010), "US", 10)
    state = _encoded(_analysis(source, findings_of(source)), shuttered=shuttered)
    assert {state[group, 0x1001].value for group in (0x6000, 0x6004)} == {"IMAGE_OVERLAY"}
    assert ((0x6002, 0x1001) in state) is shuttered
    assert not shuttered or state[0x6002, 0x1001].is_empty
    lowest = min(state.GraphicLayerSequence, key=lambda layer: int(layer.GraphicLayerOrder))
    assert lowest.GraphicLayer == "IMAGE_OVERLAY"
    plain = _encoded(_analysis(header(), findings_of(source)))
    assert "IMAGE_OVERLAY" not in {layer.GraphicLayer for layer in plain.GraphicLayerSequence}


RECTANGLE = {
    "ShutterLeftVerticalEdge": 11,
    "ShutterRightVerticalEdge": 290,
    "ShutterUpperHorizontalEdge": 21,
    "ShutterLowerHorizontalEdge": 380,
}
POLYGON = {"VerticesOfThePolygonalShutter": [1, 1, 1, 300, 400, 150]}


@pytest.mark.parametrize(
    ("own", "kept"),
    [
        ({"ShutterShape": "RECTANGULAR", **RECTANGLE, "ShutterPresentationValue": 40000}, {}),
        (
            {"ShutterShape": ["CIRCULAR", "POLYGONAL"], "CenterOfCircularShutter": [200, 150]}
            | {"RadiusOfCircularShutter": 190, **POLYGON},
            {"ShutterPresentationValue": 0},
        ),
        (
            {"ShutterShape": ["RECTANGULAR", "POLYGONAL"], **POLYGON},
            {"ShutterShape": "POLYGONAL", "ShutterPresentationValue": 0},
        ),
    ],
)
def test_the_shutter_of_the_image_is_kept(own: dict[str, Any], kept: dict[str, Any]) -> None:
    """Under a state nobody looks at the image's own; black where it has no value of its own."""
    source = header(**own)
    for analysis, how in (
        (_analysis(source, findings_of(source)), {}),
        (ImageAnalysis(source, None, (outcome(source, error="away"),)), {"shuttered": True}),
    ):
        state = _encoded(analysis, **how)
        named = {each.keyword: each.value for each in state if "Shutter" in each.keyword}
        assert named == own | kept
    in_colour = _in_colour(header(**own))
    state = _encoded(_analysis(in_colour, findings_of(in_colour)))
    assert list(state.ShutterPresentationColorCIELabValue) == [0, 0x8080, 0x8080]


@pytest.mark.parametrize(
    "own",
    [
        {},
        {"ShutterShape": "BITMAP", "ShutterOverlayGroup": 0x6000},
        {"ShutterShape": "RECTANGULAR", "ShutterLeftVerticalEdge": 11},
        {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [1, 1, 1, 300]},
    ],
)
def test_a_shutter_that_is_none_stays_behind(own: dict[str, Any]) -> None:
    """One that lacks what its shape is made of would be an error in the state."""
    source = header(**own)
    state = _encoded(_analysis(source, findings_of(source)))
    assert [each.keyword for each in state if "Shutter" in each.keyword] == []


def test_outlines_take_the_place_of_the_image_s_own_shutter() -> None:
    """A state has one shutter, and this destination asked for the outlines."""
    source = header(ShutterShape="RECTANGULAR", **RECTANGLE, ShutterPresentationValue=40000)
    state = _encoded(_analysis(source, findings_of(source)), shuttered=True)
    assert (state.ShutterShape, state.ShutterPresentationValue) == ("BITMAP", 0xFFFF)
    assert "ShutterLeftVerticalEdge" not in state


def test_what_only_failed_has_no_shutter() -> None:
    """There is nothing to draw a line around; the notice is text."""
    source = header()
    analysis = ImageAnalysis(source, None, (outcome(source, error="Triton is away"),))
    assert "ShutterShape" not in _encoded(analysis, shuttered=True)


def test_the_shutter_of_a_loop_is_for_the_analysed_frame_alone() -> None:
    """Unlike graphics, which name their frame, a shutter counts for all that the state names."""
    source = _in_colour(ultrasound_header(30))
    analysis = _analysis(source, findings_of(source), frame_number=15)
    state = _encoded(analysis, shuttered=True)
    image = state.ReferencedSeriesSequence[0].ReferencedImageSequence[0]
    assert image.ReferencedFrameNumber == 15
    assert list(state.ShutterPresentationColorCIELabValue) == [0xFFFF, 0x8080, 0x8080]


def test_the_marks_of_a_loop_are_on_the_analysed_frame() -> None:
    """The state counts for the whole loop, its marks for one frame of it."""
    source = ultrasound_header(30)
    state = _encoded(_analysis(source, findings_of(source), frame_number=15))
    image = state.ReferencedSeriesSequence[0].ReferencedImageSequence[0]
    assert image.ReferencedSOPClassUID == source.SOPClassUID
    assert "ReferencedFrameNumber" not in image
    for annotation in state.GraphicAnnotationSequence:
        marked = annotation.ReferencedImageSequence[0]
        assert marked.ReferencedSOPClassUID == source.SOPClassUID
        assert marked.ReferencedFrameNumber == 15


@pytest.mark.parametrize(
    ("photometric", "samples", "is_grey"),
    [
        ("MONOCHROME1", 1, True),
        ("MONOCHROME2", None, True),
        ("PALETTE COLOR", 1, False),
        ("YBR_FULL_422", 3, False),
        (None, 1, True),
        (None, 3, False),
    ],
)
def test_the_class_is_that_of_the_pixels(
    photometric: str | None, samples: int | None, is_grey: bool
) -> None:
    """Palettes are colour; without a photometric interpretation the samples decide."""
    source = header(PhotometricInterpretation=photometric, SamplesPerPixel=samples)
    state = _encoded(_analysis(source, [finding()]))
    assert (state.SOPClassUID == GrayscaleSoftcopyPresentationStateStorage) is is_grey


def test_a_colour_image_gets_a_colour_state() -> None:
    """The grayscale class cannot refer to RGB; the colour one needs an ICC input profile."""
    source = ultrasound_header()
    source.SamplesPerPixel, source.PhotometricInterpretation = 3, "RGB"
    state = _encoded(_analysis(source, findings_of(source)))
    assert state.SOPClassUID == ColorSoftcopyPresentationStateStorage
    assert state.ICCProfile[12:20] == b"scnrRGB "
    assert "PresentationLUTShape" not in state


def test_the_whole_image_is_displayed_unturned() -> None:
    """No flip, no rotation: hanging is the workstation's, and marks turn with the image."""
    source = header(PatientOrientation=["P", "L"], ImageLaterality="R")
    state = _encoded(_analysis(source, findings_of(source)))
    area = state.DisplayedAreaSelectionSequence[0]
    assert area.DisplayedAreaTopLeftHandCorner == [1, 1]
    assert area.DisplayedAreaBottomRightHandCorner == [300, 400]
    assert area.PresentationSizeMode == "SCALE TO FIT"
    assert "ImageRotation" not in state
    assert "ImageHorizontalFlip" not in state


def test_kinds_have_layers_of_their_own() -> None:
    """A kind that is added to the models needs a layer and a colour, or this fails."""
    source = header()
    for kind in FindingKind:
        state = _encoded(_analysis(source, [finding(kind=kind)]))
        assert len(state.GraphicLayerSequence) == 2
