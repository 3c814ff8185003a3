"""Pictures with burnt-in marks, and the summary that always comes with them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from models.contract import BreastImage
from node.errors import DecodingError, EncodingError
from node.header import read_file
from node.routes import load_routes
from tests.results import CONTENT_AT, disc, finding, header, outcome, ultrasound_header
from workers.analyses import ImageAnalysis, StudyAnalysis
from workers.findings import Finding, RunOutcome
from workers.images import SourceImage
from workers.pictures.palette import RGB_OF_KIND
from workers.secondary_capture import encode_overlay, encode_secondary_captures

GREY = 0.4


def _analysis(
    source: Dataset, findings: list[Finding], *others: RunOutcome, **changes: Any
) -> ImageAnalysis:
    pixels = np.full((source.Rows, source.Columns), GREY, np.float32)

    def read() -> SourceImage:
        return SourceImage(source, BreastImage(pixels, "MG", "L", "CC"), None)

    runs = (outcome(source, findings=tuple(findings)), *others)
    return ImageAnalysis(source, None, runs, read_image=read, **changes)


def _study(*analyses: ImageAnalysis, revision: int = 1) -> StudyAnalysis:
    return StudyAnalysis(analyses, revision, CONTENT_AT)


def _bytes(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _encoded(study: StudyAnalysis) -> list[Dataset]:
    """Encoded, written and read again."""
    results = encode_secondary_captures(study)
    return [pydicom.dcmread(BytesIO(_bytes(result.dataset))) for result in results]


def _overlay(analysis: ImageAnalysis) -> Dataset:
    written = encode_overlay(analysis, revision=1, content_at=CONTENT_AT, instance_number=2)
    return pydicom.dcmread(BytesIO(_bytes(written)))


def _coloured(pixels: NDArray[np.uint8], found: Finding) -> NDArray[np.bool_]:
    distance = np.abs(pixels.astype(int) - RGB_OF_KIND[found.kind]).max(axis=2)
    return np.asarray(distance < 24)


def test_the_outline_is_drawn_where_the_finding_is() -> None:
    """A full-size mammogram, scaled to 2048 rows: coloured on the rim, untouched elsewhere."""
    source = header(Rows=4096, Columns=3328)
    found = finding(disc(400), (1500, 1000))
    pixels = _overlay(_analysis(source, [found])).pixel_array
    assert pixels.shape[1] == 1664
    rows, columns = np.nonzero(_coloured(pixels[700:1000, 450:750], found))
    radius = np.hypot(rows + 0.5 - 150, columns + 0.5 - 150)
    ring = radius[radius < 130]
    assert ring.size > 1000
    assert np.abs(ring - 100).max() < 4
    grey = round(GREY * 255)
    assert (pixels[1100:2000] == grey).all()
    assert (pixels[840:860, 590:610] == grey).all()


@pytest.mark.parametrize("offset", [(0, 0), (0, 632), (824, 0), (824, 632)])
def test_a_finding_at_the_edge_is_drawn(offset: tuple[int, int]) -> None:
    """Half the line lies outside; the rest is there, and so is the label."""
    found = finding(disc(200), offset)
    pixels = _overlay(_analysis(header(Rows=1024, Columns=832), [found])).pixel_array[:2048]
    top, left = offset[0] * 2, offset[1] * 2
    assert _coloured(pixels[top : top + 400, left : left + 400], found).sum() > 1000


def test_a_small_image_keeps_its_place_between_black() -> None:
    """A narrow image is enlarged at most twice and stands in the middle of the legend's width."""
    found = finding(disc(60), (100, 100))
    pixels = _overlay(_analysis(header(), [found])).pixel_array
    assert pixels.shape == (800 + 76, 760, 3)
    assert (pixels[:800, :80] == 0).all()
    rows, columns = np.nonzero(_coloured(pixels[:800], found))
    radius = np.hypot(rows + 0.5 - 260, columns + 0.5 - (80 + 260))
    assert np.abs(radius[radius < 90] - 60).max() < 4


def test_the_picture_says_that_a_model_failed() -> None:
    """Below the image, in lines of its own; the summary and the comment say it too."""
    source = header()
    failed = outcome(source, model="mtu_net", error="Triton did not answer in time")
    with_failure = _study(_analysis(source, [finding()], failed))
    without = _study(_analysis(source, [finding()]))
    for bad, good in zip(_encoded(with_failure), _encoded(without), strict=True):
        assert "INCOMPLETE: 1 of 2 analyses failed." in bad.ImageComments
        assert "INCOMPLETE" not in good.ImageComments
        assert _yellow(bad.pixel_array) > _yellow(good.pixel_array) + 300


def _yellow(pixels: NDArray[np.uint8]) -> int:
    """How many pixels have the colour of warnings."""
    return int((np.abs(pixels.astype(int) - (255, 236, 130)).max(axis=2) < 40).sum())


def test_a_study_without_findings_still_gets_its_summary() -> None:
    """Or "no findings" and "not analysed" would look the same."""
    results = list(encode_secondary_captures(_study(_analysis(header(), []))))
    assert len(results) == 1
    assert results[0].source_sop_uid is None
    clean, failed = (
        _encoded(_study(_analysis(header(), [], *others)))[0].pixel_array
        for others in ((), (outcome(header(), error="out of memory"),))
    )
    assert (clean != failed).any()


def test_one_picture_for_each_image_with_findings() -> None:
    """Summary first; images without findings have no picture; numbers go on."""
    first, second, third = (header() for _ in range(3))
    for source in (second, third):
        source.StudyInstanceUID = first.StudyInstanceUID
    study = _study(
        _analysis(first, [finding()]), _analysis(second, []), _analysis(third, [finding()])
    )
    results = list(encode_secondary_captures(study))
    assert [each.source_sop_uid for each in results] == [
        None,
        first.SOPInstanceUID,
        third.SOPInstanceUID,
    ]
    assert [each.dataset.InstanceNumber for each in results] == [1, 2, 3]
    assert len({each.dataset.SeriesInstanceUID for each in results}) == 1
    assert len({each.dataset.SOPInstanceUID for each in results}) == 3
    sources = [item.ReferencedSOPInstanceUID for item in results[0].dataset.SourceImageSequence]
    assert sources == [each.SOPInstanceUID for each in (first, second, third)]


def test_a_long_study_gets_several_pages() -> None:
    """Thirty images of three models do not run off the page."""
    sources = [ultrasound_header() for _ in range(30)]
    for source in sources:
        source.StudyInstanceUID = sources[0].StudyInstanceUID
    study = _study(*(_analysis(each, [], *[outcome(each, model="b")] * 2) for each in sources))
    pages = _encoded(study)
    assert len(pages) > 3
    for page in pages:
        assert page.pixel_array.shape == (1280, 1024, 3)
        margin = page.pixel_array[:, 1024 - 40 :]
        assert (margin == margin[0, 0]).all(), "text runs over the edge"
    assert len({page.SOPInstanceUID for page in pages}) == len(pages)


def test_what_hangs_a_picture_is_carried_over() -> None:
    """Side, view and orientation of the source, turned or not; no spacing to measure by."""
    source = header(ImageLaterality="R", PatientOrientation=["P", "L"], ViewPosition="MLO")
    picture = _overlay(_analysis(source, [finding()]))
    assert (picture.ImageLaterality, picture.ViewPosition) == ("R", "MLO")
    assert picture.PatientOrientation == ["P", "L"]
    assert picture.BodyPartExamined == "BREAST"
    assert picture.ViewCodeSequence[0].CodeValue == "399368009"
    assert "PixelSpacing" not in picture
    assert picture.Modality == "OT"


@pytest.mark.parametrize(
    ("spacing", "ratio"),
    [(["0.1", "0.05"], [100, 50]), (["0.1", "0.1"], None), (None, None)],
)
def test_oblong_pixels_stay_oblong(spacing: list[str] | None, ratio: list[int] | None) -> None:
    """Without the ratio, which no spacing tells here, a viewer would squeeze the breast."""
    picture = _overlay(_analysis(header(ImagerPixelSpacing=spacing), [finding()]))
    assert picture.get("PixelAspectRatio") == ratio


def test_a_derived_burnt_in_capture_says_so() -> None:
    """Module by module what a reader of SC looks at."""
    source = header(LossyImageCompression="01", LossyImageCompressionRatio="12")
    picture = _overlay(_analysis(source, [finding()]))
    assert picture.SOPClassUID == SecondaryCaptureImageStorage
    assert picture.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert picture.ImageType == ["DERIVED", "SECONDARY"]
    assert (picture.ConversionType, picture.BurnedInAnnotation) == ("WSD", "YES")
    assert (picture.LossyImageCompression, picture.LossyImageCompressionRatio) == ("01", 12)
    assert "Research use only" in picture.DerivationDescription
    assert picture.SeriesDescription == "AI overlay, research use only"
    assert (picture.StudyInstanceUID, picture.PatientID) == (source.StudyInstanceUID, "TEST-1")
    [reference] = picture.SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"


def test_a_loop_is_named_with_its_frame() -> None:
    """The picture shows one frame and says which."""
    source = ultrasound_header(30)
    picture = _overlay(_analysis(source, [finding()], frame_number=15))
    assert picture.SourceImageSequence[0].ReferencedFrameNumber == 15


def test_encoding_again_gives_the_same_bytes() -> None:
    """Pictures and summary; another revision is another series."""
    source = header()
    first, again, second = (
        list(encode_secondary_captures(_study(_analysis(source, [finding()]), revision=revision)))
        for revision in (1, 1, 2)
    )
    assert [_bytes(each.dataset) for each in first] == [_bytes(each.dataset) for each in again]
    uids = {each.dataset.SOPInstanceUID for each in (*first, *second)}
    assert len(uids) == len(first) + len(second)
    assert first[0].dataset.SeriesInstanceUID != second[0].dataset.SeriesInstanceUID


def test_a_study_without_images_is_refused() -> None:
    """There is nothing to summarise."""
    with pytest.raises(EncodingError, match="at least one image"):
        list(encode_secondary_captures(_study()))


def test_an_image_that_cannot_be_read_again_is_an_error() -> None:
    """Never a picture without the image."""

    def read() -> SourceImage:
        raise DecodingError("the file is damaged")

    source = header(SOPInstanceUID=generate_uid())
    analysis = ImageAnalysis(
        source, None, (outcome(source, findings=(finding(),)),), read_image=read
    )
    with pytest.raises(DecodingError, match="damaged"):
        list(encode_secondary_captures(_study(analysis)))


def test_a_picture_that_comes_back_is_not_analysed(tmp_path: Path) -> None:
    """An archive may forward it as any image: the built-in rules know it as the node's own."""
    source = header()
    path = tmp_path / "overlay.dcm"
    path.write_bytes(_bytes(_overlay(_analysis(source, [finding()]))))
    sent_back, _ = read_file(path)
    assert sent_back.attributes["ViewPosition"] == "CC"
    assert load_routes(None).decide(sent_back.attributes).route == "own results"
