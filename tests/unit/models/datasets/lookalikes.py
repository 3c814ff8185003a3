"""Small files in the form of the real sets: DICOM images and masks, pictures, TFRecords."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid


def breast(rows: int = 120, columns: int = 90) -> NDArray[np.uint16]:
    """A bright half disc at the left edge, 12 bits."""
    y, x = np.mgrid[:rows, :columns]
    inside = (y - rows / 2) ** 2 + x**2 < (0.4 * rows) ** 2
    return np.where(inside, 1500 + 10 * (x % 50), 20).astype(np.uint16)


def mask(box: tuple[int, int, int, int], shape: tuple[int, int] = (120, 90)) -> NDArray[np.uint8]:
    """255 in a box (top, left, height, width)."""
    canvas = np.zeros(shape, np.uint8)
    canvas[box[0] : box[0] + box[2], box[1] : box[1] + box[3]] = 255
    return canvas


def write_dicom(
    path: Path,
    pixels: NDArray[np.uint8] | NDArray[np.uint16],
    patient: str = "P",
    series: str | None = None,
    **elements: object,
) -> Path:
    """A grey image without compression, with `elements` by keyword."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.DigitalMammographyXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.PatientID = "MG", patient
    dataset.SeriesInstanceUID = series or generate_uid()
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = 8 * pixels.dtype.itemsize
    dataset.BitsStored = 8 if pixels.dtype == np.uint8 else 12
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelData = pixels.tobytes()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_picture(path: Path, level: int = 100) -> Path:
    """An 8-bit picture of 100 rows and 80 columns with a bright part at the left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas = np.zeros((100, 80), np.uint8)
    canvas[20:80, :50] = level
    cv2.imwrite(str(path), canvas)
    return path
