"""DICOM images of public data sets, as pixels in [0, 1].

In: a Part 10 file with one grey frame. Out: a `BreastImage`. What must hold: the same grey levels
as in service: Modality LUT, then VOI LUT or window, else a stretch between two percentiles (PS3.4
N.2); MONOCHROME1 turned round; the logarithm For Processing. The service's own reader, made for
hostile files, is not used here because models may not depend on workers; a test holds both equal.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, cast

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.errors import InvalidDicomError
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from models.contract import BreastImage, Laterality, Modality
from models.imaging.intensity import stretched

# What damaged files make of pydicom and imagecodecs (whose errors are RuntimeErrors).
DAMAGE = (
    *(InvalidDicomError, AttributeError, EOFError, IndexError, KeyError, MemoryError),
    *(OSError, RuntimeError, TypeError, ValueError, struct.error),
)

_AXES = 2  # rows, columns

_JPEG = {uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1}
_JPEG_LS = {uid.JPEGLSLossless, uid.JPEGLSNearLossless}
_JPEG_2000 = {uid.JPEG2000Lossless, uid.JPEG2000}


def read_dicom(
    path: Path,
    modality: Modality = "MG",
    laterality: Laterality | None = None,
    view: str | None = None,
    pixel_spacing_mm: tuple[float, float] | None = None,
) -> BreastImage:
    """Read one image; what is not told here is taken from the header. Raises OSError."""
    try:
        dataset = pydicom.dcmread(path)
        stored = stored_values(dataset)
        if stored.ndim != _AXES:
            raise OSError(
                f"{path} has colour or several frames: {stored.shape}; one grey is needed"
            )
        pixels = to_grey(dataset, stored)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} is missing") from error
    except DAMAGE as error:
        reason = error if isinstance(error, OSError) else type(error).__name__
        raise OSError(f"{path} is not a readable DICOM image ({reason})") from error
    side = dataset.get("ImageLaterality") or dataset.get("Laterality")
    return BreastImage(
        pixels,
        modality,
        laterality or (cast(Laterality, side) if side in ("L", "R") else None),
        view or str(dataset.get("ViewPosition") or "") or None,
        pixel_spacing_mm or spacing_mm(dataset),
        dataset.get("PresentationIntentType") == "FOR PROCESSING",
    )


def stored_values(dataset: Dataset) -> NDArray[Any]:
    """(rows, columns) as stored, decompressed where need be."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_compressed or syntax == uid.RLELossless:
        return dataset.pixel_array
    stream = next(generate_frames(dataset.PixelData, number_of_frames=1))
    if syntax in _JPEG:
        return np.asarray(imagecodecs.jpeg8_decode(stream))
    if syntax in _JPEG_LS:
        return np.asarray(imagecodecs.jpegls_decode(stream))
    if syntax in _JPEG_2000:
        return np.asarray(imagecodecs.jpeg2k_decode(stream))
    raise OSError(f"transfer syntax {syntax.name} is not one of the data sets known here")


def to_grey(dataset: Dataset, stored: NDArray[Any]) -> NDArray[np.float32]:
    """Grey from 0 (air) to 1, as the device means it to be seen."""
    values = apply_modality_lut(stored, dataset)
    if dataset.get("PresentationIntentType") == "FOR PROCESSING":
        return _of_processing(dataset, np.asarray(values, np.float64))
    inverse = dataset.get("PhotometricInterpretation") == "MONOCHROME1"
    table = bool(dataset.get("VOILUTSequence"))
    if table:
        values = np.rint(values).astype(np.int32)  # entries of a table have whole numbers
    # Empty elements are as good as none.
    if table or dataset.get("WindowWidth"):
        shown = np.asarray(apply_voi_lut(values, dataset, prefer_lut=True), np.float64)
        low, high = _range_shown(dataset)
    elif dataset.BitsStored <= 8:
        shown, (low, high) = np.asarray(values, np.float64), (0.0, 255.0)
    else:
        return stretched(np.asarray(-values if inverse else values, np.float64))
    grey = np.clip((shown - low) / max(high - low, 1e-9), 0.0, 1.0)
    return np.asarray(1.0 - grey if inverse else grey, np.float32)


def _of_processing(dataset: Dataset, values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Grey of a detector's signal, by its relationship and sign (PS3.3 C.8.11.3.1.2)."""
    sign = dataset.get("PixelIntensityRelationshipSign")
    grows = sign > 0 if sign else dataset.get("PhotometricInterpretation") == "MONOCHROME1"
    exposure = values if grows else _range_stored(dataset)[1] - values
    linear = dataset.get("PixelIntensityRelationship") != "LOG"
    return stretched(-np.log1p(np.maximum(exposure, 0.0)) if linear else -exposure)


def spacing_mm(dataset: Dataset) -> tuple[float, float] | None:
    """Between rows, between columns: calibrated, else that of the detector (PS3.3 10.7.1.3)."""
    spacing = dataset.get("PixelSpacing") or dataset.get("ImagerPixelSpacing")
    return None if not spacing else (float(spacing[0]), float(spacing[1]))


def _range_shown(dataset: Dataset) -> tuple[float, float]:
    """What pydicom maps the lowest and the highest value to."""
    if dataset.get("VOILUTSequence"):
        entries = dataset.VOILUTSequence[0].LUTData
        values = np.frombuffer(entries, "<u2") if isinstance(entries, bytes) else entries
        return 0.0, float(np.max(values))
    return _range_stored(dataset)


def _range_stored(dataset: Dataset) -> tuple[float, float]:
    """The lowest and the highest value that can be stored, rescaled."""
    slope = float(dataset.get("RescaleSlope") or 1.0)
    intercept = float(dataset.get("RescaleIntercept") or 0.0)
    low, high = 0, (1 << dataset.BitsStored) - 1
    if dataset.PixelRepresentation:
        low, high = -(1 << (dataset.BitsStored - 1)), (1 << (dataset.BitsStored - 1)) - 1
    return low * slope + intercept, high * slope + intercept
