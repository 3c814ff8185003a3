"""Presentation states as DCMTK and DICOMscope show them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileDataset
from pydicom.pixels.utils import pack_bits
from pydicom.uid import UltrasoundMultiFrameImageStorage

from tests.conformance.dicom_tools import run
from tests.conformance.dicomscope import Drawing, draw
from tests.conformance.test_marks_and_keys import SHUTTER
from tests.datasets import mammogram, saved
from tests.results import CONTENT_AT, disc, finding, findings_of, outcome
from workers.analyses import ImageAnalysis
from workers.dicom.outline_shutter import outline_bits
from workers.findings import Finding
from workers.presentation import encode_presentation

# DICOMscope draws on the image in this size, with lines of one pixel of the screen.
ZOOM = 3
FRAME = 2
# It places the first pixel's corner at 1\1, where PS3.3 table C.10-5 (and SR, and this project)
# has 0.0\0.0: everything is drawn one pixel of the image up and left.
ONE = 1.0


class Shown(NamedTuple):
    """An image, its state, and what is on which frame of it."""

    image: Path
    state: Path
    frame_number: int
    findings: list[Finding]


def _image(**changes: Any) -> FileDataset:
    """A 400 x 300 mammogram with a window of its own."""
    dataset = mammogram(size_px=(400, 300))
    dataset.update({"WindowCenter": 1700, "WindowWidth": 2600})
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


def _table() -> Dataset:
    """A curved VOI LUT of 4096 entries of 12 bits, as mammography units write it."""
    item = Dataset()
    entries = np.round(4095 * (np.arange(4096) / 4095) ** 2).astype("<u2")
    item.add_new("LUTDescriptor", "US", [4096, 0, 12])
    item.add_new("LUTData", "OW", entries.tobytes())
    return item


def _loop() -> FileDataset:
    """Three frames of grey ultrasound; the second was analysed."""
    dataset = _image(Modality="US", SOPClassUID=UltrasoundMultiFrameImageStorage)
    dataset.file_meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
    dataset.PixelData = dataset.PixelData * 3
    dataset.NumberOfFrames = 3
    return dataset


def _corners(source: FileDataset) -> list[Finding]:
    return [
        finding(disc(40), offset, number=number, source_sop_uid=str(source.SOPInstanceUID))
        for number, offset in enumerate([(0, 0), (0, 260), (360, 0), (360, 260)], start=1)
    ]


def _shown(
    source: FileDataset, findings: list[Finding], folder: Path, *, shuttered: bool = False
) -> Shown:
    """Image and state as files."""
    runs = (
        outcome(source, findings=tuple(findings)),
        outcome(source, model="mtu_net", error="Triton did not answer in time"),
    )
    frame = FRAME if "NumberOfFrames" in source else 1
    state = encode_presentation(
        ImageAnalysis(source, None, runs, frame_number=frame),
        revision=1,
        content_at=CONTENT_AT,
        instance_number=1,
        shuttered=shuttered,
    )
    path = folder / f"{state.SOPInstanceUID}.dcm"
    state.save_as(path, enforce_file_format=True)
    return Shown(saved(source, folder), path, frame, findings)


def _all_shown(folder: Path, *, shuttered: bool = False) -> list[Shown]:
    sources = [
        _image(),
        _image(PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE"),
        _image(
            ImageLaterality="R", PatientOrientation=["P", "L"], RescaleSlope=2, RescaleIntercept=5
        ),
        _loop(),
    ]
    shown = [_shown(source, findings_of(source), folder, shuttered=shuttered) for source in sources]
    return [*shown, _shown(corners := _image(), _corners(corners), folder, shuttered=shuttered)]


def _run(program: str, *arguments: str | Path) -> str:
    done = run(program, "dcmtk", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def _grey(shown: Shown, out: Path, *options: str | Path) -> NDArray[np.uint8]:
    """What dcmp2pgm makes of the image, with the options."""
    _run("dcmp2pgm", *options, "-f", str(shown.frame_number), shown.image, out)
    return np.asarray(Image.open(out).convert("L"))


def test_dcmtk_reads_what_was_written(tmp_path: Path) -> None:
    """Layers, texts and every point of every outline, in the order of the findings."""
    for shown in _all_shown(tmp_path):
        said = _run("dcmp2pgm", "-v", "-p", shown.state, shown.image, tmp_path / "out.pgm")
        if shown.frame_number > 1:  # it prints what is on the first frame
            assert "coordinates" not in said
            continue
        lines = re.findall(r"coordinates: (.*), $", said, flags=re.MULTILINE)
        points = [
            [tuple(float(value) for value in point.split("\\")) for point in line.split(", ")]
            for line in lines
        ]
        assert points == [
            [*outline, outline[0]] for found in shown.findings for outline in found.outlines_px
        ]
        assert "Graphic Layer #1 [AI_MASS]" in said
        assert "FAILED: Triton did not answer in time" in said
        assert "Rotation: none" in said
        assert "Flip: no" in said


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
        {"RescaleSlope": 2, "RescaleIntercept": -100},
        {"WindowCenter": [900, 1700], "WindowWidth": [800, 2600]},
        {"VOILUTSequence": [_table()]},
    ],
)
def test_the_grey_scale_under_the_state_is_the_images_own(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    """What dcmp2pgm shows with the state is what dcmj2pnm shows by the image alone.

    With its table (+Wl) where it has one, else with its first window (+Wi).
    """
    source = _image(**changes)
    shown = _shown(source, findings_of(source), tmp_path)
    how = "+Wl" if "VOILUTSequence" in source else "+Wi"
    _run("dcmj2pnm", how, "1", shown.image, tmp_path / "own.pgm")
    own = np.asarray(Image.open(tmp_path / "own.pgm").convert("L"))
    grey = _grey(shown, tmp_path / "state.pgm", "-p", shown.state)
    assert np.ptp(grey) > 100
    assert np.abs(grey.astype(int) - own).max() <= 1


def test_dcmp2pgm_draws_the_outlines_of_a_shutter(tmp_path: Path) -> None:
    """White around every finding, exactly where the line is; all else as without the shutter."""
    for number, shown in enumerate(_all_shown(tmp_path, shuttered=True)):
        state = pydicom.dcmread(shown.state)
        bits = outline_bits((400, 300), shown.findings).astype(bool)
        grey = _grey(shown, tmp_path / f"{number}.pgm", "-p", shown.state)
        del state.ShutterShape, state.ShutterOverlayGroup, state.ShutterPresentationValue
        state.save_as(plain := tmp_path / f"{number}.dcm")
        without = _grey(shown, tmp_path / f"{number}-plain.pgm", "-p", plain)
        assert bits.any()
        np.testing.assert_array_equal(grey[bits], 255)
        np.testing.assert_array_equal(grey[~bits], without[~bits])


def test_dcmtk_reads_the_shutter_of_the_image_from_the_state(tmp_path: Path) -> None:
    """As the image has it; outlines as a shutter take its place."""
    source = _image(**SHUTTER, ShutterPresentationValue=4096)
    said = {}
    for shuttered in (False, True):
        shown = _shown(source, findings_of(source), tmp_path, shuttered=shuttered)
        lines = _run("dcmp2pgm", "-v", "-p", shown.state, shown.image, tmp_path / "out.pgm")
        said[shuttered] = re.findall(r"^I: (.* shutter: .*?),? *$", lines, flags=re.MULTILINE)
        assert ("Shutter presentation value: 0x1000" in lines) is not shuttered
    assert said[False] == [
        "Rectangular shutter: LV=11 RV=290 UH=21 LH=380",
        # DCMTK prints the column first.
        "Circular shutter: center=150\\200 radius=190",
        "Polygonal shutter: points=3 coordinates=1\\1, 300\\1, 150\\400",
        "Bitmap shutter: none",
    ]
    none = [f"{shape} shutter: none" for shape in ("Rectangular", "Circular", "Polygonal")]
    assert said[True][:3] == none
    assert said[True][3] != "Bitmap shutter: none"


def _add_overlay(source: FileDataset, group: int, row: int) -> None:
    """A plane of graphics that is one row of the image."""
    shown = np.zeros((400, 300), np.uint8)
    shown[row] = 1
    for element, vr, value in (
        (0x0010, "US", 400),
        (0x0011, "US", 300),
        (0x0040, "CS", "G"),
        (0x0050, "SS", [1, 1]),
        (0x0100, "US", 1),
        (0x0102, "US", 0),
        (0x3000, "OW", pack_bits(shown.ravel())),
    ):
        source.add_new((group, element), vr, value)


@pytest.mark.parametrize("shuttered", [False, True])
def test_dcmtk_finds_the_overlays_of_the_image_activated(
    tmp_path: Path, shuttered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a layer of their own below the marks, and the image's alone; `dcmp2pgm` draws none."""
    monkeypatch.chdir(tmp_path)  # it writes each overlay as a picture into the working folder
    source = _image()
    for group, row in ((0x6000, 5), (0x6002, 9)):
        _add_overlay(source, group, row)
    shown = _shown(source, findings_of(source), tmp_path, shuttered=shuttered)
    said = _run("dcmp2pgm", "-v", "-p", shown.state, shown.image, tmp_path / "out.pgm")
    layers = said.partition("Overlays available")[0].split("Graphic Layer #")[1:]
    activated = {
        layer[2 : layer.index("]")].lstrip("["): re.findall(r"overlay \d+: group=0x(\w+)", layer)
        for layer in layers
    }
    assert activated.pop("IMAGE_OVERLAY") == ["6000", "6002"]
    assert layers[0].startswith("1 [IMAGE_OVERLAY]")
    assert activated
    assert not any(activated.values())


def test_dcmp2pgm_takes_the_shutter_from_the_state_where_the_image_uses_every_group(
    tmp_path: Path,
) -> None:
    """Sixteen overlays of the image, and the outlines in the group of the first of them."""
    source = _image()
    for row, group in enumerate(range(0x6000, 0x6020, 2)):
        _add_overlay(source, group, row)
    shown = _shown(source, findings_of(source), tmp_path, shuttered=True)
    bits = outline_bits((400, 300), shown.findings).astype(bool)
    grey = _grey(shown, tmp_path / "out.pgm", "-p", shown.state)
    np.testing.assert_array_equal(grey[bits], 255)
    assert (grey[~bits] < 255).any()


def test_dicomscope_draws_the_outlines_and_labels(tmp_path: Path) -> None:
    """Red along every outline of the truth; else only where labels and notice stand.

    On the first frame of a loop of which the second was analysed: nothing.
    """
    everything = _all_shown(tmp_path)
    unmarked = [
        shown._replace(frame_number=1, findings=[])
        for shown in everything
        if shown.frame_number > 1
    ]
    drawings = [_drawing(shown, tmp_path) for shown in (*everything, *unmarked)]
    draw(drawings)
    for shown, drawing in zip(everything, drawings, strict=False):
        _check(shown, drawing)
    assert unmarked
    for drawing in drawings[-len(unmarked) :]:
        before, after = _pixels(drawing)
        np.testing.assert_array_equal(before, after)


def _drawing(shown: Shown, folder: Path) -> Drawing:
    """The frame as DCMTK shows it, enlarged, to be drawn on."""
    name = f"{shown.state.stem}-{shown.frame_number}"
    grey = _grey(shown, folder / f"{name}.pgm", "-p", shown.state)
    size = (ZOOM * grey.shape[1], ZOOM * grey.shape[0])
    picture = folder / f"{name}.png"
    Image.fromarray(cv2.resize(grey, size, interpolation=cv2.INTER_NEAREST)).save(picture)
    out = picture.with_suffix(".out")
    return Drawing(shown.image, shown.state, shown.frame_number, picture, out)


def _pixels(drawing: Drawing) -> list[NDArray[np.int64]]:
    """RGB before and after."""
    return [
        np.asarray(Image.open(each).convert("RGB")).astype(np.int64)
        for each in (drawing.picture, drawing.out)
    ]


def _check(shown: Shown, drawing: Drawing) -> None:
    before, after = _pixels(drawing)
    changed = (before != after).any(axis=2)
    on_line = np.zeros(changed.shape, np.uint8)
    for found in shown.findings:
        for outline in found.outlines_px:
            points = np.round((np.array(outline) - ONE) * ZOOM).astype(np.int32)
            cv2.polylines(on_line, [points], True, 1)
    # Antialiasing and the viewer's own stroke may be two pixels wide on either side.
    near = cv2.dilate(on_line, np.ones((5, 5), np.uint8)).astype(bool)
    drawn = cv2.dilate(changed.astype(np.uint8), np.ones((5, 5), np.uint8))
    missing = on_line.astype(bool) & (drawn == 0)
    # At the very edge half of the viewer's stroke is cut off.
    assert not missing[2:-2, 2:-2].any(), "a piece of an outline is missing"
    red = changed & (after[..., 0] > 150) & (after[..., 1] < 100) & (after[..., 2] < 100)
    assert red[near].sum() > 300 * len(shown.findings) // 2
    for found in shown.findings:
        x0, y0, x1, y1 = (max(0, ZOOM * (value - 1)) for value in found.box_px)
        inside = changed[y0:y1, x0:x1] & ~near[y0:y1, x0:x1]
        assert not inside.any(), "something else is drawn on a finding"
    far = changed & ~near
    assert far.any(), "labels and notice are missing"
    assert far.mean() < 0.05
