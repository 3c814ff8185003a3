"""From a received file to a `SourceImage`: stage 5 begins here.

In: a Part 10 file. Out: header and one frame, windowed, float32. What must hold: every file gives
an image or a DecodingError whose text says what is wrong and what to do, in bounded memory; a disk
that cannot be read says nothing of the file, and is an OSError; no text holds an attribute's value
that could identify a patient.

Which frame: a single-frame object has one. Of a cine loop the Representative Frame Number (PS3.3
C.7.6.14), else the middle one: a sweep begins and ends beside the lesion it was recorded for.
"""

from __future__ import annotations

import errno
import math
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR, VR

from models.contract import BreastImage, Modality
from node.errors import DecodingError
from node.header import without_escapes
from workers.dicom.age import read_age_years
from workers.dicom.anatomy import read_laterality, read_view
from workers.dicom.frames import frame_count, read_stored_frame
from workers.dicom.grayscale import to_grey
from workers.dicom.spacing import read_spacing
from workers.images import SourceImage

# A whole file is held in memory while its frame is read; the largest tomosynthesis objects are 1.5
# GiB uncompressed.
MAX_FILE_BYTES = 2 << 30
_INFLATE_CHUNK_BYTES = 1 << 20
_ESCAPE = "\x1b"

# Digitised film comes as secondary capture under any of the last four.
_RADIOGRAPHY = {"MG", "CR", "DX", "RG", "OT", "SC", "XC", ""}

# What pydicom lets escape on damaged or hostile encodings: bad VR, impossible nesting or length.
_PARSER_ERRORS = (
    BytesLengthException,
    InvalidDicomError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
# An offset that the file claims and cannot have, or a library's own. Any other is the disk's: a
# mount that is lost, a file that is not there, no descriptor left.
_OF_THE_CONTENT = (None, errno.EINVAL, errno.EOVERFLOW)


@dataclass(frozen=True, slots=True)
class Frame:
    """`dataset` without pixel data; `pixels` float32 (rows, columns), 0 air to 1 brightest."""

    dataset: Dataset
    pixels: NDArray[np.float32]
    frame_number: int


def read_source(path: Path, frame_number: int | None = None) -> SourceImage:
    """Read a mammogram or an ultrasound image.

    `frame_number`: 1-based; None chooses, see above. Raises DecodingError, OSError.
    """
    frame = read_frame(path, frame_number)
    dataset = frame.dataset
    try:
        modality = _modality(dataset)
        spacing = read_spacing(dataset)
        image = BreastImage(
            pixels=frame.pixels,
            modality=modality,
            laterality=read_laterality(dataset),
            view=read_view(dataset),
            pixel_spacing_mm=None if spacing is None else spacing[0],
            for_processing=dataset.get("PresentationIntentType") == "FOR PROCESSING",
            patient_age_years=read_age_years(dataset),
        )
    except _PARSER_ERRORS as error:
        raise _unreadable(error) from error
    source = None if spacing is None else spacing[1]
    return SourceImage(dataset, image, source, frame.frame_number)


def read_frame(path: Path, frame_number: int | None = None) -> Frame:
    """Read one frame of any grey or colour image. Raises DecodingError, OSError."""
    # pydicom's warnings quote attribute values, and those may be a patient's.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _frame(_dataset(path), frame_number)
        except OSError as error:
            if error.errno in _OF_THE_CONTENT:
                raise _unreadable(error) from error
            raise
        except _PARSER_ERRORS as error:
            raise _unreadable(error) from error


def _dataset(path: Path) -> Dataset:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise DecodingError(f"the file is larger than {MAX_FILE_BYTES} bytes")
    meta = pydicom.filereader.read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        _check_inflated_size(path, int(meta.FileMetaInformationGroupLength))
    return pydicom.dcmread(path)


def _check_inflated_size(path: Path, meta_bytes: int) -> None:
    """Inflate without keeping: 2 MB of zeros can claim 2 GB (PS3.5 A.5)."""
    inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with path.open("rb") as stream:
        stream.seek(132 + 12 + meta_bytes)  # preamble, prefix, group length element (PS3.10 7.1)
        while chunk := inflater.unconsumed_tail or stream.read(_INFLATE_CHUNK_BYTES):
            total += len(inflater.decompress(chunk, _INFLATE_CHUNK_BYTES))
            if inflater.eof:
                return
            if total > MAX_FILE_BYTES:
                raise DecodingError(f"the data set inflates beyond {MAX_FILE_BYTES} bytes")


def _frame(dataset: Dataset, frame_number: int | None) -> Frame:
    if "PixelData" not in dataset:
        raise DecodingError(f"no pixel data: {_kind(dataset)} is not an image")
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        raise DecodingError("TransferSyntaxUID is missing from the file; send the instance again")
    number = frame_number or chosen_frame(dataset)
    stored = read_stored_frame(dataset, UID(syntax), number)
    del dataset.PixelData
    if stored.is_luminance:
        return Frame(dataset, stored.values, number)
    return Frame(dataset, to_grey(dataset, stored.values, stored.bits), number)


def read_header(stream: BinaryIO) -> Dataset:
    """The header of a received Part 10 file, as results inherit from it.

    Raises DecodingError, OSError.
    """
    try:
        return readable(pydicom.dcmread(stream, stop_before_pixels=True))
    except OSError:
        raise
    except _PARSER_ERRORS as error:
        raise _unreadable(error) from error


def readable(header: Dataset) -> Dataset:
    """`header` with every value converted, sequences included, and without those that cannot be.

    pydicom converts a value when it is first looked at: text of a sequence that nobody has looked
    at would be copied into a result as bytes in the character set of the image. A decimal that is
    no number ("0,1", "NaN") would take the report of the whole study with it. Escape sequences that
    pydicom leaves in Chinese text (IR 58) would make another name of it than the archive's.
    """
    # pydicom's warnings quote attribute values, and those may be a patient's.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _convert(header)
    return header


def _convert(header: Dataset) -> None:
    for tag in list(header.keys()):
        try:
            element = header[tag]
        except _PARSER_ERRORS:
            del header[tag]
            continue
        if element.VR == VR.SQ:
            for item in element.value:
                _convert(item)
        elif element.VR in (VR.DS, VR.IS) and not _are_numbers(element.value):
            del header[tag]
        elif element.VR in CUSTOMIZABLE_CHARSET_VR:
            _drop_escapes(element)


def _drop_escapes(element: DataElement) -> None:
    """Take what is left of ISO 2022 from a text; results are in UTF-8, which has none of it."""
    value = element.value
    texts = [str(each) for each in value] if isinstance(value, MultiValue) else [str(value or "")]
    if any(_ESCAPE in text for text in texts):
        plain = [without_escapes(text) for text in texts]
        element.value = plain if len(plain) > 1 else plain[0]


def _are_numbers(value: object) -> bool:
    """Whether each of the values is a finite number, or empty."""
    values = value if isinstance(value, MultiValue) else [value]
    return all(
        each in (None, "") or (isinstance(each, int | float) and math.isfinite(each))
        for each in values
    )


def chosen_frame(dataset: Dataset) -> int:
    """The frame that stands for the object, 1-based. Raises DecodingError."""
    count = frame_count(dataset)
    chosen = dataset.get("RepresentativeFrameNumber")
    if isinstance(chosen, int) and 1 <= chosen <= count:
        return chosen
    return (count + 1) // 2


def _modality(dataset: Dataset) -> Modality:
    value = str(dataset.get("Modality") or "")
    if value == "US":
        return "US"
    if value in _RADIOGRAPHY:
        return "MG"
    raise DecodingError(f"Modality {value} is neither mammography nor ultrasound; route it nowhere")


def _kind(dataset: Dataset) -> str:
    return UID(str(dataset.get("SOPClassUID") or "")).name or "an object without SOP Class UID"


def _unreadable(error: BaseException) -> DecodingError:
    return DecodingError(f"the data set is damaged ({type(error).__name__}); send it again")
