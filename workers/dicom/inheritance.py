"""What a result takes over from the image it was made of, and when it says it was made.

Sources are what modalities send: attributes that the standard demands may be missing, empty or
badly formed. So nothing of the patient passes through the libraries that build results (they
refuse odd values, and log them): they get `plain_header`, and `inherit` then copies the Patient
and Study attributes unchanged, empty where the source has none (PS3.3 C.7.1.1, C.7.2.1: type 2).
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Final, NamedTuple

import highdicom
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameSingleBitSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
)
from pydicom.valuerep import DA, TM

from node.errors import EncodingError

# Results are written in UTF-8: every text of every source character set fits.
CHARACTER_SET: Final = "ISO_IR 192"

_REQUIRED: Final = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
)
# Type 2 in the Patient and General Study modules: present, if need be empty.
_TYPE_2: Final = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
# Classes whose images have frames that a reference must name (PS3.3 C.7.6.6), each with the class
# that one frame of it would have.
_SINGLE_FRAME_CLASS: Final = {
    UltrasoundMultiFrameImageStorage: UltrasoundImageStorage,
    MultiFrameSingleBitSecondaryCaptureImageStorage: SecondaryCaptureImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage: SecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage: SecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage: SecondaryCaptureImageStorage,
    BreastTomosynthesisImageStorage: DigitalMammographyXRayImageStorageForPresentation,
}
_OPTIONAL: Final = ("Rows", "Columns", "LossyImageCompression", "LossyImageCompressionRatio")


class ImageReference(NamedTuple):
    """What the SOP Instance Reference and Image Reference macros name (PS3.3 10.8, 10.3)."""

    sop_class_uid: str
    sop_instance_uid: str
    frame_numbers: list[int] | None


def reference_to(source: Dataset, frame_number: int) -> ImageReference:
    """The reference to one frame, 1-based; a single-frame object is named without it."""
    has_frames = source.SOPClassUID in _SINGLE_FRAME_CLASS
    return ImageReference(
        str(source.SOPClassUID),
        str(source.SOPInstanceUID),
        [frame_number] if has_frames else None,
    )


def single_frame_class(source: Dataset) -> str:
    """The SOP class of one frame of `source`, which is its own class for single-frame images."""
    return str(_SINGLE_FRAME_CLASS.get(source.SOPClassUID, source.SOPClassUID))


def plain_header(source: Dataset) -> Dataset:
    """What identifies an image and nothing more: one frame, no patient, no frame of reference.

    A 2D mammogram or ultrasound image has no place in the patient, even where it carries a Frame
    of Reference UID; results share its pixel matrix instead. Raises EncodingError naming what the
    source lacks.
    """
    missing = [keyword for keyword in _REQUIRED if not source.get(keyword)]
    if missing:
        raise EncodingError(f"the source image has no {', '.join(missing)}")
    header = Dataset()
    for keyword in _REQUIRED:
        setattr(header, keyword, source.get(keyword))
    for keyword in _TYPE_2:
        setattr(header, keyword, None)
    header.Modality = source.get("Modality") or "OT"
    for keyword in _OPTIONAL:
        if source.get(keyword):
            setattr(header, keyword, source.get(keyword))
    return header


def pair_of(source: Dataset, *keywords: str) -> list[str] | None:
    """The first of these attributes that has exactly two values, or None."""
    for keyword in keywords:
        values = source.get(keyword)
        if isinstance(values, MultiValue) and len(values) == 2 and all(values):
            return [str(value) for value in values]
    return None


def inherit(result: highdicom.SOPClass, source: Dataset) -> None:
    """Copy the Patient and Study attributes of `source` into `result`.

    A date or time that is none ("00000000") stays behind: no viewer could read it.
    """
    result.SpecificCharacterSet = CHARACTER_SET
    result.copy_patient_and_study_information(source)
    for element in list(result):
        if not _is_readable(element.VR, element.value):
            del result[element.tag]
    for keyword in _TYPE_2:
        if keyword not in result:
            setattr(result, keyword, None)
    if source.get("TimezoneOffsetFromUTC"):
        result.TimezoneOffsetFromUTC = source.TimezoneOffsetFromUTC


def requested_procedure(source: Dataset) -> Dataset | None:
    """The item of Referenced Request Sequence (PS3.3 C.17.2) for the order that `source` names.

    IHE asks for it where an accession number is known; nothing is made up beside it. None without.
    """
    if not source.get("AccessionNumber"):
        return None
    item = Dataset()
    item.StudyInstanceUID = source.StudyInstanceUID
    item.ReferencedStudySequence = []
    item.AccessionNumber = source.AccessionNumber
    item.PlacerOrderNumberImagingServiceRequest = None
    item.FillerOrderNumberImagingServiceRequest = None
    requests = source.get("RequestAttributesSequence") or [Dataset()]
    # Several requests in one image: which one a result answers cannot be known.
    known = requests[0] if len(requests) == 1 else Dataset()
    for keyword in ("RequestedProcedureID", "RequestedProcedureDescription"):
        setattr(item, keyword, known.get(keyword) or None)
    item.RequestedProcedureCodeSequence = known.get("RequestedProcedureCodeSequence") or []
    return item


def _is_readable(vr: str, value: object) -> bool:
    """False for a DA or TM value (PS3.5 table 6.2-1) that is no date or time."""
    if vr not in ("DA", "TM") or not isinstance(value, str):
        return True
    try:
        DA(value) if vr == "DA" else TM(value)
    except ValueError:
        return False
    return True


def site_time(content_at: datetime, source: Dataset) -> datetime:
    """`content_at` on the clock of the source's other times.

    That is Timezone Offset From UTC (0008,0201) where the source has it, else the zone of this
    machine: a date without an offset is local time (PS3.3 C.12.1.1.8).
    """
    offset = str(source.get("TimezoneOffsetFromUTC") or "").strip()
    if len(offset) == 5 and offset[0] in "+-" and offset[1:].isdigit():
        minutes = int(offset[1:3]) * 60 + int(offset[3:5])
        zone = timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))
        return content_at.astimezone(zone)
    return content_at.astimezone()


def stamp_creation(result: Dataset, at: datetime) -> None:
    """Set Instance Creation Date and Time, so that encoding again gives the same bytes."""
    result.InstanceCreationDate = at.strftime("%Y%m%d")
    result.InstanceCreationTime = at.strftime("%H%M%S.%f")
