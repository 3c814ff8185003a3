"""Every transfer syntax gives the same image, and every broken file an error that says why."""

from __future__ import annotations

import random
import shutil
import subprocess
import tracemalloc
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate, get_frame

from node.errors import DecodingError
from tests.datasets import add_pixels, mammogram
from workers.dicom.decoding import Frame, read_frame, read_source
from workers.images import SourceImage

ROWS, COLUMNS = 96, 80


def stored_pixels(bits: int = 12) -> NDArray[np.uint16]:
    """A smooth breast-like hill with a little noise, (96, 80), all of the range in use."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    hill = np.exp(-((rows - 48) ** 2 + columns**2) / 1800)
    noise = np.random.default_rng(0).normal(0, 0.004, hill.shape)
    grey = np.clip(hill + noise, 0, 1)
    return np.asarray(np.round(grey * ((1 << bits) - 1)), np.uint16)


def made(pixels: NDArray[np.uint16] | None = None, **changes: Any) -> FileDataset:
    """A mammogram whose window covers its 12 bits, so that grey is stored value over 4095."""
    dataset = mammogram()
    add_pixels(dataset, stored_pixels() if pixels is None else pixels)
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


def written(dataset: FileDataset, folder: Path, name: str = "image.dcm") -> Path:
    path = folder / name
    dataset.save_as(path, enforce_file_format=True)
    return path


def encoded(pixels: NDArray[np.uint16], syntax: uid.UID) -> bytes:
    """One frame in `syntax`."""
    match syntax:
        case uid.JPEGBaseline8Bit:
            return bytes(imagecodecs.jpeg8_encode(pixels.astype(np.uint8), level=98))
        case uid.JPEGExtended12Bit:
            return bytes(imagecodecs.jpeg8_encode(pixels, level=90, bitspersample=12))
        case uid.JPEGLosslessSV1:
            return bytes(imagecodecs.jpeg8_encode(pixels, lossless=True, bitspersample=12))
        case uid.JPEGLSLossless:
            return bytes(imagecodecs.jpegls_encode(pixels))
        case uid.JPEG2000Lossless:
            options: dict[str, Any] = {"level": 0, "reversible": True, "codecformat": "j2k"}
            return bytes(imagecodecs.jpeg2k_encode(pixels, bitspersample=12, **options))
        case uid.HTJ2KLossless:
            return bytes(imagecodecs.htj2k_encode(pixels))
    return pixels.tobytes()


def with_frames(dataset: FileDataset, syntax: uid.UID, frames: list[bytes]) -> FileDataset:
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].VR = "OB"
    return dataset


def dcmtk(program: str, *options: str) -> Callable[[Path], Path]:
    """Return a function that recodes a file with one of DCMTK's programs."""

    def recode(path: Path) -> Path:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install dcmtk")
        target = path.with_name(f"{program}{''.join(options)}.dcm")
        subprocess.run([program, *options, path, target], check=True, capture_output=True)
        return target

    return recode


EXPECTED = stored_pixels() / np.float32(4095)


@pytest.mark.parametrize(
    "syntax",
    [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian],
)
def test_native_syntaxes_are_exact(tmp_path: Path, syntax: uid.UID) -> None:
    """Uncompressed pixels come out as they went in."""
    dataset = made()
    dataset.file_meta.TransferSyntaxUID = syntax
    assert np.array_equal(read_source(written(dataset, tmp_path)).image.pixels, EXPECTED)


def test_big_endian_is_exact(tmp_path: Path) -> None:
    """The retired syntax of old archives is still read."""
    path = dcmtk("dcmconv", "+tb")(written(made(), tmp_path))
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == uid.ExplicitVRBigEndian
    assert np.array_equal(read_frame(path).pixels, EXPECTED)


@pytest.mark.parametrize(
    "syntax",
    [uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.HTJ2KLossless, uid.JPEGLosslessSV1],
    ids=lambda syntax: syntax.keyword,
)
def test_lossless_syntaxes_are_exact(tmp_path: Path, syntax: uid.UID) -> None:
    """Losslessly compressed pixels come out as they went in."""
    dataset = with_frames(made(), syntax, [encoded(stored_pixels(), syntax)])
    pixels = read_source(written(dataset, tmp_path)).image.pixels
    assert np.allclose(pixels, EXPECTED, atol=1e-6)


def _as_words(pixels: NDArray[np.uint16], syntax: uid.UID) -> bytes:
    """One frame of whole 16-bit words in `syntax`."""
    match syntax:
        case uid.JPEGLosslessSV1:
            return bytes(imagecodecs.ljpeg_encode(pixels, bitspersample=16))
        case uid.JPEG2000Lossless:
            options: dict[str, Any] = {"level": 0, "reversible": True, "codecformat": "j2k"}
            return bytes(imagecodecs.jpeg2k_encode(pixels, **options))
        case uid.RLELossless:
            whole = made(pixels, BitsStored=16, HighBit=15)
            whole.compress(uid.RLELossless)
            return get_frame(whole.PixelData, 0, number_of_frames=1)
    return encoded(pixels, syntax)


@pytest.mark.parametrize(
    "syntax",
    [uid.RLELossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless],
    ids=lambda syntax: syntax.keyword,
)
def test_compressed_values_end_at_the_high_bit(tmp_path: Path, syntax: uid.UID) -> None:
    """Twelve bits at the top of sixteen: read from the bottom they are noise, and no error."""
    frame = _as_words(stored_pixels() << 4, syntax)
    dataset = with_frames(made(HighBit=15), syntax, [frame])
    pixels = read_source(written(dataset, tmp_path)).image.pixels
    assert np.allclose(pixels, EXPECTED, atol=1e-6)


@pytest.mark.parametrize(
    "recode",
    [
        dcmtk("dcmcjpeg", "+el"),
        dcmtk("dcmcjpeg", "+e1"),
        dcmtk("dcmcjpls", "+el"),
        dcmtk("dcmcrle"),
    ],
)
def test_what_dcmtk_compressed_is_exact(tmp_path: Path, recode: Callable[[Path], Path]) -> None:
    """Another implementation's lossless streams come out as they went in."""
    path = recode(written(made(), tmp_path))
    assert np.allclose(read_source(path).image.pixels, EXPECTED, atol=1e-6)


@pytest.mark.parametrize("bits", [8, 10, 14, 16])
def test_lossless_jpeg_of_any_depth_is_exact(tmp_path: Path, bits: int) -> None:
    """Detectors of 10 and 14 bits store lossless JPEG of just that precision."""
    dataset = made(stored_pixels(bits), BitsStored=bits, HighBit=bits - 1)
    full = 1 << bits
    dataset.WindowCenter, dataset.WindowWidth = full // 2, full
    path = dcmtk("dcmcjpeg", "+e1")(written(dataset, tmp_path))
    expected = stored_pixels(bits) / np.float32(full - 1)
    assert np.allclose(read_source(path).image.pixels, expected, atol=1e-6)


@pytest.mark.parametrize("process", ["+ee", "+eb"])
def test_lossy_jpeg_agrees_with_dcmtk(tmp_path: Path, process: str) -> None:
    """JPEG Baseline and 12-bit Extended decode to what DCMTK decodes, sample by sample."""
    compressed = dcmtk("dcmcjpeg", process, "+q", "90")(written(made(), tmp_path))
    reference = dcmtk("dcmdjpeg")(compressed)
    ours, theirs = read_source(compressed).image.pixels, read_source(reference).image.pixels
    assert np.array_equal(ours, theirs)


def test_twelve_bit_jpeg_of_a_real_mammogram_agrees_with_dcmtk(
    tmp_path: Path, real_data: Path
) -> None:
    """The 14-megapixel film image that other decoders refuse is exact."""
    source = real_data / "dicom_mg" / "dicom-test-files__MG1_JPLY.dcm"
    copy = tmp_path / "source.dcm"
    shutil.copyfile(source, copy)
    reference = read_frame(dcmtk("dcmdjpeg")(copy)).pixels
    assert np.array_equal(read_frame(source).pixels, reference)


def test_padding_before_the_end_of_a_jpeg_ls_stream_is_forgiven(tmp_path: Path) -> None:
    """Some encoders write a zero before EOI; CharLS alone would refuse the image."""
    stream = encoded(stored_pixels(), uid.JPEGLSLossless)
    dataset = with_frames(made(), uid.JPEGLSLossless, [stream[:-2] + b"\x00\xff\xd9"])
    assert np.allclose(read_frame(written(dataset, tmp_path)).pixels, EXPECTED, atol=1e-6)


def shown(tmp_path: Path, pixels: list[int], **changes: Any) -> list[float]:
    """Grey of one row of 12-bit stored values under the changed header."""
    dataset = made(np.array([pixels], np.uint16))
    del dataset.WindowCenter, dataset.WindowWidth
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return [round(float(grey), 4) for grey in read_frame(written(dataset, tmp_path)).pixels[0]]


def lut(first: int, bits: int, *entries: int) -> list[Dataset]:
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.add_new("LUTData", "OW", np.array(entries, "<u2").tobytes())
    return [item]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("LINEAR", [0.0, 0.4949, 0.5051, 1.0]),
        ("LINEAR_EXACT", [0.0, 0.49, 0.5, 1.0]),
        ("SIGMOID", [0.1192, 0.49, 0.5, 0.8808]),
    ],
)
def test_windows_follow_the_standard(tmp_path: Path, function: str, expected: list[float]) -> None:
    """The three functions of PS3.3 C.11.2.1 at the ends and about the centre."""
    window = {"WindowCenter": 500, "WindowWidth": 100, "VOILUTFunction": function}
    assert shown(tmp_path, [450, 499, 500, 550], **window) == expected


def test_the_first_of_several_windows_counts(tmp_path: Path) -> None:
    """Alternatives are ordered by the device."""
    window = {"WindowCenter": [1, 3000], "WindowWidth": [2, 10]}
    assert shown(tmp_path, [0, 1, 4095], **window) == [0.0, 1.0, 1.0]


def test_a_lut_comes_before_a_window(tmp_path: Path) -> None:
    """Values outside the LUT take its first and last entry."""
    changes = {"VOILUTSequence": lut(100, 8, 0, 51, 255), "WindowCenter": 1, "WindowWidth": 2}
    assert shown(tmp_path, [0, 100, 101, 102, 4000], **changes) == [0.0, 0.0, 0.2, 1.0, 1.0]


def test_rescale_comes_before_the_window(tmp_path: Path) -> None:
    """The window is in units of the rescaled values."""
    changes = {"RescaleSlope": "2", "RescaleIntercept": "-100"}
    window = {"WindowCenter": 100, "WindowWidth": 200, "VOILUTFunction": "LINEAR_EXACT"}
    assert shown(tmp_path, [50, 100, 150], **changes, **window) == [0.0, 0.5, 1.0]


def test_a_modality_lut_comes_before_the_window(tmp_path: Path) -> None:
    """The Modality LUT replaces rescale."""
    changes = {"ModalityLUTSequence": lut(0, 16, 0, 100, 200), "VOILUTFunction": "LINEAR_EXACT"}
    window = {"WindowCenter": 100, "WindowWidth": 200}
    assert shown(tmp_path, [0, 1, 2, 3], **changes, **window) == [0.0, 0.5, 1.0, 1.0]


@pytest.mark.parametrize(
    "changes", [{"PhotometricInterpretation": "MONOCHROME1"}, {"PresentationLUTShape": "INVERSE"}]
)
def test_inverse_images_are_inverted(tmp_path: Path, changes: dict[str, str]) -> None:
    """Air is dark whichever way the device stores it."""
    window = {"WindowCenter": 500, "WindowWidth": 1000, "VOILUTFunction": "LINEAR_EXACT"}
    assert shown(tmp_path, [0, 250, 1000], **changes, **window) == [1.0, 0.75, 0.0]


def test_padding_is_black_and_does_not_count(tmp_path: Path) -> None:
    """Padding stays black in an inverted image and out of the percentiles."""
    changes = {"PixelPaddingValue": 4000, "PixelPaddingRangeLimit": 4095}
    inverse = {"PhotometricInterpretation": "MONOCHROME1"}
    row = [4000, 4095, 4050, 100, 200]
    assert shown(tmp_path, row, **changes, **inverse) == [0.0, 0.0, 0.0, 0.8, 0.0]


def test_signed_values_keep_their_sign(tmp_path: Path) -> None:
    """Twelve-bit two's complement: 4095 is minus one."""
    changes = {"PixelRepresentation": 1, "VOILUTFunction": "LINEAR_EXACT"}
    window = {"WindowCenter": 0, "WindowWidth": 4}
    assert shown(tmp_path, [4094, 4095, 0, 1, 2], **changes, **window) == [
        0.0, 0.25, 0.5, 0.75, 1.0
    ]  # fmt: skip


def test_overlay_bits_are_not_pixels(tmp_path: Path) -> None:
    """Bits above Bits Stored are cut off."""
    window = {"WindowCenter": 500, "WindowWidth": 1000, "VOILUTFunction": "LINEAR_EXACT"}
    assert shown(tmp_path, [0x1000 + 500, 0x8000], **window) == [0.5, 0.0]


def test_without_a_window_outliers_do_not_decide(tmp_path: Path) -> None:
    """One hot pixel in two thousand leaves the contrast of the rest alone."""
    row = [*range(1000, 3000), 4095]
    grey = shown(tmp_path, row)
    assert grey[-1] == 1.0
    assert abs(grey[1000] - 0.4) < 0.01


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_without_a_window_calcium_keeps_its_contrast(tmp_path: Path, photometric: str) -> None:
    """Specks in one pixel of a thousand stand out of the brightest tissue, and air stays black."""
    row = [*range(1000, 3000), 3200, 3300]
    stored = [4095 - value for value in row] if photometric == "MONOCHROME1" else row
    grey = shown(tmp_path, stored, PhotometricInterpretation=photometric)
    assert grey[0] == 0.0
    assert max(grey[:-2]) + 0.05 < grey[-2] < grey[-1] < 1.0


def test_for_processing_looks_like_for_presentation(tmp_path: Path) -> None:
    """Detector signal falls exponentially with tissue; the image grows linearly with it."""
    tissue = np.linspace(0, 1, 201)
    signal = np.round(4000 * np.exp(-2 * tissue)).astype(int).tolist()
    changes = {
        "PresentationIntentType": "FOR PROCESSING",
        "PixelIntensityRelationship": "LIN",
        "PixelIntensityRelationshipSign": 1,
    }
    grey = np.array(shown(tmp_path, signal, **changes))
    assert np.allclose(grey, np.clip(0.8 * (tissue - 0.005) / 0.993, 0, 1), atol=0.01)


def test_for_processing_keeps_room_for_calcium(tmp_path: Path) -> None:
    """Specks in one pixel of a thousand differ from the densest tissue, and from each other."""
    tissue = np.append(np.linspace(0, 1, 2000), [1.1, 1.2])
    signal = np.round(4000 * np.exp(-2 * tissue)).astype(int).tolist()
    changes = {"PresentationIntentType": "FOR PROCESSING", "PixelIntensityRelationshipSign": 1}
    grey = np.array(shown(tmp_path, signal, **changes))
    assert grey[-3] + 0.05 < grey[-2] < grey[-1] - 0.05 < 1.0


@pytest.mark.parametrize("planar", [0, 1])
def test_colour_becomes_luminance(tmp_path: Path, planar: int) -> None:
    """RGB ultrasound is weighted as ITU-R BT.601, in both planar configurations."""
    rgb = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    dataset = colour(rgb, "RGB", PlanarConfiguration=planar)
    dataset.PixelData = (np.moveaxis(rgb, -1, 0) if planar else rgb).tobytes()
    pixels = read_source(written(dataset, tmp_path)).image.pixels
    assert np.allclose(pixels, [[0.299, 0.587, 0.114, 1.0]], atol=1e-3)


def test_ybr_gives_its_luma(tmp_path: Path) -> None:
    """Of YBR_FULL and of subsampled YBR_FULL_422 the Y is all that is needed."""
    full = np.array([[[10, 1, 2], [20, 3, 4]]], np.uint8)
    dataset = colour(full, "YBR_FULL")
    assert read_frame(written(dataset, tmp_path)).pixels.tolist() == [
        [pytest.approx(10 / 255), pytest.approx(20 / 255)]
    ]
    dataset = colour(full, "YBR_FULL_422")
    dataset.PixelData = bytes([10, 20, 1, 3])
    assert read_frame(written(dataset, tmp_path)).pixels.tolist() == [
        [pytest.approx(10 / 255), pytest.approx(20 / 255)]
    ]


def test_colour_jpeg_gives_the_same_luminance(tmp_path: Path) -> None:
    """YBR_FULL_422 JPEG as ultrasound machines send it is the luminance of its RGB."""
    rgb = np.repeat(np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], 48, 0), 3, 2)
    dataset = colour(rgb, "YBR_FULL_422")
    with_frames(dataset, uid.JPEGBaseline8Bit, [bytes(imagecodecs.jpeg8_encode(rgb, level=98))])
    pixels = read_source(written(dataset, tmp_path)).image.pixels
    assert np.allclose(pixels, rgb[..., 0] / 255, atol=0.02)


def test_a_palette_is_applied(tmp_path: Path) -> None:
    """PALETTE COLOR of old ultrasound machines goes through its three tables."""
    dataset = colour(np.zeros((1, 2, 3), np.uint8), "PALETTE COLOR", SamplesPerPixel=1)
    dataset.PixelData = bytes([0, 1])
    for name in ("Red", "Green", "Blue"):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        table = np.zeros(256, "<u2")
        table[1] = 0xFFFF
        setattr(dataset, f"{name}PaletteColorLookupTableData", table.tobytes())
    assert read_frame(written(dataset, tmp_path)).pixels.tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_of_bytes_in_words_is_not_black(tmp_path: Path, bits: int) -> None:
    """Older devices wrote bytes as words, and some called them words: a model saw nothing in it."""
    dataset = colour(np.zeros((1, 2, 3), np.uint8), "PALETTE COLOR", SamplesPerPixel=1)
    dataset.PixelData = bytes([0, 255])
    for name in ("Red", "Green", "Blue"):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [256, 0, bits])
        table = np.arange(256, dtype="<u2").tobytes()
        setattr(dataset, f"{name}PaletteColorLookupTableData", table)
    assert np.allclose(read_frame(written(dataset, tmp_path)).pixels, [[0.0, 1.0]])


def colour(pixels: NDArray[np.uint8], photometric: str, **changes: Any) -> FileDataset:
    dataset = made(np.zeros(pixels.shape[:2], np.uint16), Modality="US", SamplesPerPixel=3)
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PlanarConfiguration = 0
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OB"
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


def loop(frames: int, **changes: Any) -> FileDataset:
    """A cine loop whose frame n is of grey n, 1-based."""
    pixels = np.repeat(np.arange(1, frames + 1, dtype=np.uint16), 6).reshape(frames, 2, 3)
    dataset = made(pixels[0], Modality="US", NumberOfFrames=frames)
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = 50, 100, "LINEAR_EXACT"
    dataset.PixelData = pixels.tobytes()
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("changes", "asked", "expected"),
    [({}, None, 5), ({"RepresentativeFrameNumber": 7}, None, 7), ({}, 2, 2)],
)
def test_one_frame_of_a_loop_is_chosen(
    tmp_path: Path, changes: dict[str, int], asked: int | None, expected: int
) -> None:
    """The middle one, the representative one, or the one that was asked for; and it is told."""
    source = read_source(written(loop(9, **changes), tmp_path), asked)
    assert source.frame_number == expected
    assert np.allclose(source.image.pixels, expected / 100)


def test_a_frame_of_a_compressed_loop_is_found(tmp_path: Path) -> None:
    """Frames are told apart without a Basic Offset Table as well."""
    frames = [encoded(np.full((2, 3), n, np.uint16), uid.JPEGLSLossless) for n in (1, 2, 3)]
    dataset = loop(3)
    with_frames(dataset, uid.JPEGLSLossless, frames)
    dataset.PixelData = encapsulate(frames, has_bot=False)
    assert np.allclose(read_frame(written(dataset, tmp_path), 3).pixels, 0.03)


def test_the_header_comes_without_pixels(tmp_path: Path) -> None:
    """Laterality, view and intent are read; the data set no longer holds the pixel data."""
    source = read_source(written(made(PresentationIntentType="FOR PROCESSING"), tmp_path))
    assert (source.image.modality, source.image.laterality, source.image.view) == ("MG", "L", "CC")
    assert source.image.for_processing
    assert "PixelData" not in source.dataset
    assert source.dataset.PatientID == "TEST-1"


BROKEN: dict[str, tuple[Callable[[FileDataset], Any], str]] = {
    "truncated": (lambda d: setattr(d, "PixelData", d.PixelData[:1000]), "truncated: 96 x 80"),
    "empty": (lambda d: setattr(d, "PixelData", b""), "is empty"),
    "none": (lambda d: d.__delitem__("PixelData"), "is not an image"),
    "absurd": (lambda d: d.update(made(Rows=65535, Columns=65535)), "hostile"),
    "no rows": (lambda d: d.__delitem__("Rows"), "Rows is missing"),
    "no columns": (lambda d: setattr(d, "Columns", 0), "Columns is missing"),
    "32 bits": (lambda d: setattr(d, "BitsAllocated", 32), "32 bits"),
    "2 samples": (lambda d: setattr(d, "SamplesPerPixel", 2), "no such image exists"),
    "stored above allocated": (lambda d: setattr(d, "BitsStored", 17), "no such image exists"),
    "colour space": (lambda d: setattr(d, "PhotometricInterpretation", "HSV"), "'HSV'"),
    "modality": (lambda d: setattr(d, "Modality", "CT"), "neither mammography nor ultrasound"),
    "frames": (lambda d: setattr(d, "NumberOfFrames", 10**6), "truncated"),
    "video": (
        lambda d: with_frames(d, uid.MPEG4HP41, [b"\0" * 64]),
        "MPEG-4.* is not supported",
    ),
    "not JPEG": (lambda d: with_frames(d, uid.JPEGBaseline8Bit, [b"\0" * 64]), "not a JPEG"),
    "not JPEG 2000": (lambda d: with_frames(d, uid.JPEG2000, [b"\0" * 64]), "no SIZ"),
    "not RLE": (lambda d: with_frames(d, uid.RLELossless, [b"\0" * 64]), "damaged RLE"),
    "other size": (
        lambda d: with_frames(
            d, uid.JPEGLSLossless, [encoded(np.zeros((2, 3), np.uint16), uid.JPEGLSLossless)]
        ),
        "is 2 x 3 x 1 and its data set says 96 x 80 x 1",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_is_said(tmp_path: Path, name: str) -> None:
    """Each defect has its own sentence."""
    spoil, said = BROKEN[name]
    dataset = made()
    spoil(dataset)
    with pytest.raises(DecodingError, match=said):
        read_source(written(dataset, tmp_path))


def test_a_file_that_is_no_dicom_is_said(tmp_path: Path) -> None:
    """Neither text nor an empty file escapes as another error; an absent one is the disk's."""
    path = tmp_path / "image.dcm"
    for content in (b"", b"hello", b"\0" * 200):
        path.write_bytes(content)
        with pytest.raises(DecodingError):
            read_source(path)
    with pytest.raises(FileNotFoundError):
        read_source(tmp_path / "absent.dcm")


def test_an_element_of_impossible_length_is_said(tmp_path: Path) -> None:
    """pydicom's own exception for it quotes the value, and must not get out."""
    path = written(made(), tmp_path)
    content = bytearray(path.read_bytes())
    content[138] = 5  # length of (0002,0000), an UL of four bytes
    path.write_bytes(content)
    with pytest.raises(DecodingError, match=r"damaged \(BytesLengthException\)"):
        read_source(path)


def test_an_inflating_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small deflated file that claims too much is refused before it is inflated whole."""
    monkeypatch.setattr("workers.dicom.decoding.MAX_FILE_BYTES", 4 << 20)
    dataset = made(np.zeros((4000, 4000), np.uint16))
    dataset.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    path = written(dataset, tmp_path)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(DecodingError, match="inflates beyond"):
        read_source(path)


def test_a_codestream_bomb_is_never_decoded(tmp_path: Path) -> None:
    """A stream that claims 65535 x 65535 pixels costs no memory."""
    for syntax, at in ((uid.JPEGLSLossless, b"\xff\xf7"), (uid.JPEGBaseline8Bit, b"\xff\xc0")):
        stream = bytearray(encoded(stored_pixels(), syntax))
        start = stream.index(at) + 5
        stream[start : start + 4] = b"\xff\xff\xff\xff"
        path = written(with_frames(made(), syntax, [bytes(stream)]), tmp_path)
        tracemalloc.start()
        with pytest.raises(DecodingError, match="65535 x 65535"):
            read_source(path)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
        tracemalloc.stop()


@pytest.mark.parametrize(
    "syntax",
    [
        uid.ExplicitVRLittleEndian,
        uid.JPEGExtended12Bit,
        uid.JPEGLosslessSV1,
        uid.JPEGLSLossless,
        uid.JPEG2000Lossless,
        uid.HTJ2KLossless,
    ],
    ids=lambda syntax: syntax.keyword,
)
def test_damaged_files_give_an_image_or_a_decoding_error(tmp_path: Path, syntax: uid.UID) -> None:
    """Files with random bytes changed or the end cut off never end in another error."""
    dataset = made()
    if syntax.is_encapsulated:
        with_frames(dataset, syntax, [encoded(stored_pixels(), syntax)])
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    whole, path = buffer.getvalue(), tmp_path / "damaged.dcm"
    outcomes = {"image": 0, "error": 0}
    for seed in range(120):
        path.write_bytes(damaged(whole, random.Random(seed)))
        try:
            pixels = read_frame(path).pixels
        except DecodingError:
            outcomes["error"] += 1
        else:
            outcomes["image"] += 1
            assert pixels.dtype == np.float32
            assert np.isfinite(pixels).all()
    assert min(outcomes.values()) > 0


def damaged(whole: bytes, chance: random.Random) -> bytes:
    content = bytearray(whole)
    if chance.random() < 0.25:
        del content[chance.randrange(140, len(content)) :]
    # Half of the damage goes where headers are, since that is where parsers break.
    reach = min(len(content), 1200) if chance.random() < 0.5 else len(content)
    for _ in range(chance.choice([1, 2, 8])):
        content[chance.randrange(132, reach)] = chance.randrange(256)
    return bytes(content)


@pytest.mark.parametrize("folder", ["dicom_mg", "dicom_odd"])
def test_real_and_odd_files_give_an_image_or_a_decoding_error(real_data: Path, folder: str) -> None:
    """No file of the public test sets ends in another error, and images are images."""
    paths = sorted((real_data / folder).iterdir())
    images = 0
    for path in paths:
        read: Callable[[Path], Frame | SourceImage]
        for read in (read_frame, read_source):
            try:
                found = read(path)
            except DecodingError:
                continue
            images += read is read_frame
            pixels = found.image.pixels if isinstance(found, SourceImage) else found.pixels
            assert pixels.ndim == 2
            assert pixels.dtype == np.float32
            assert 0 <= pixels.min() <= pixels.max() <= 1
    assert images == {"dicom_mg": 4, "dicom_odd": 98}[folder]


def test_our_chain_agrees_with_pydicom_on_real_files(real_data: Path) -> None:
    """Decoded samples equal pydicom's where it decodes, before any window."""
    compared = 0
    for path in sorted((real_data / "dicom_odd").iterdir()):
        try:
            frame = read_frame(path)
            dataset = pydicom.dcmread(path)
            theirs = dataset.pixel_array
        except (DecodingError, RuntimeError):
            continue
        if theirs.ndim != 2 or not str(dataset.PhotometricInterpretation).startswith("MONO"):
            continue
        # Grey is monotonic in the stored value, so equal samples must have equal grey.
        order = np.argsort(theirs.ravel(), kind="stable")
        steps = np.diff(frame.pixels.ravel()[order])
        inverse = dataset.PhotometricInterpretation == "MONOCHROME1"
        if "PixelPaddingValue" not in dataset and "ModalityLUTSequence" not in dataset:
            assert (steps <= 0).all() if inverse else (steps >= 0).all(), path.name
            compared += 1
    assert compared > 20
