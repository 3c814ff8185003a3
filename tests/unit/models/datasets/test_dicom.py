from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1

from models.datasets.dicom import read_dicom
from tests.unit.models.datasets.lookalikes import breast, write_dicom
from workers.dicom.decoding import read_source


def lut() -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [4096, 0, 12]
    item.LUTData = (4095 * np.linspace(0, 1, 4096) ** 0.5).astype("<u2").tobytes()
    return item


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"WindowCenter": 1000, "WindowWidth": 1400},
        {"WindowCenter": 900, "WindowWidth": 600, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": 1000, "WindowWidth": 1400, "PhotometricInterpretation": "MONOCHROME1"},
        {"WindowCenter": None, "WindowWidth": None, "VOILUTSequence": []},
        {"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": 2000, "WindowWidth": 3000},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationIntentType": "FOR PROCESSING", "PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationIntentType": "FOR PROCESSING"},
        {"PresentationIntentType": "FOR PROCESSING", "PixelIntensityRelationshipSign": 1},
        {"PresentationIntentType": "FOR PROCESSING", "PixelIntensityRelationship": "LOG"},
    ],
    ids=[
        *("no window", "window", "sigmoid", "inverse", "empty", "rescaled"),
        *(
            "no window, inverse",
            "processing",
            "processing, inverse",
            "processing, sign",
            "processing, logarithm",
        ),
    ],
)
def test_grey_levels_are_those_of_the_service(tmp_path: Path, elements: dict[str, object]) -> None:
    """The loader and the worker's reader see the same picture."""
    path = write_dicom(tmp_path / "a.dcm", breast(), **elements)
    ours, service = read_dicom(path).pixels, read_source(path).image.pixels
    np.testing.assert_allclose(ours, service, atol=2e-3)


def test_a_voi_lut_is_applied(tmp_path: Path) -> None:
    """As in service, also through a LUT."""
    path = write_dicom(tmp_path / "a.dcm", breast(), VOILUTSequence=[lut()])
    np.testing.assert_allclose(read_dicom(path).pixels, read_source(path).image.pixels, atol=2e-3)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLosslessSV1])
def test_compressed_images_are_read(tmp_path: Path, syntax: pydicom.uid.UID) -> None:
    """Lossless streams give the pixels of the uncompressed file."""
    path = write_dicom(tmp_path / "a.dcm", breast(), WindowCenter=1000, WindowWidth=1400)
    expected = read_dicom(path).pixels
    dataset = pydicom.dcmread(path)
    stream = (
        imagecodecs.jpeg2k_encode(breast(), level=0, codecformat="j2k")
        if syntax == JPEG2000Lossless
        else imagecodecs.jpeg_encode(breast(), bitspersample=12, lossless=True)
    )
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(tmp_path / "b.dcm")
    np.testing.assert_array_equal(read_dicom(tmp_path / "b.dcm").pixels, expected)


def test_damage_is_an_error_of_the_file(tmp_path: Path) -> None:
    """No DICOM file, no pixels, too few of them: an OSError that names the file."""
    (tmp_path / "a.dcm").write_bytes(b"no image")
    with pytest.raises(OSError, match=r"a\.dcm is not a readable"):
        read_dicom(tmp_path / "a.dcm")
    path = write_dicom(tmp_path / "b.dcm", breast(), Rows=999)
    with pytest.raises(OSError, match=r"b\.dcm is not a readable"):
        read_dicom(path)


def test_what_the_header_tells(tmp_path: Path) -> None:
    """Side, view and spacing come from the header unless the set's table tells them."""
    path = write_dicom(
        tmp_path / "a.dcm", breast(), ImageLaterality="R", ViewPosition="CC",
        ImagerPixelSpacing=[0.07, 0.08],
    )  # fmt: skip
    image = read_dicom(path)
    assert (image.laterality, image.view, image.pixel_spacing_mm) == ("R", "CC", (0.07, 0.08))
    told = read_dicom(path, "MG", "L", "MLO", (0.1, 0.1))
    assert (told.laterality, told.view, told.pixel_spacing_mm) == ("L", "MLO", (0.1, 0.1))


def test_the_real_mammogram_is_read(real_data: Path) -> None:
    """A GE mammogram in JPEG Lossless: the same grey levels as in service."""
    path = next(
        path
        for path in sorted((real_data / "dicom_mg").rglob("*"))
        if path.is_file() and _is_lossless(path)
    )
    np.testing.assert_allclose(read_dicom(path).pixels, read_source(path).image.pixels, atol=2e-3)


def _is_lossless(path: Path) -> bool:
    try:
        meta = pydicom.filereader.read_file_meta_info(path)
    except (pydicom.errors.InvalidDicomError, EOFError):
        return False
    return bool(meta.get("TransferSyntaxUID") == JPEGLosslessSV1)
