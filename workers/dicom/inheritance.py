"""What a result takes over from the image it was made of, and when it says it was made.

Sources are what modalities send: attributes that the standard demands may be missing, empty or
badly formed. So nothing of the patient passes through the libraries that build results (they
refuse odd values, and log them): they get `plain_header`, and `inherit` then copies the Patient
and Study attributes unchanged, empty where the source has none (PS3.3 C.7.1.1, C.7.2.1: type 2).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Final, NamedTuple

import highdicom
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import (
    UID,
    BreastProjectionXRayImageStorageForPresentation,
    BreastProjectionXRayImageStorageForProcessing,
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
from pydicom.valuerep import DA, TM, DSfloat

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
IDENTITY: Final = (
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
    BreastProjectionXRayImageStorageForPresentation: (
        DigitalMammographyXRayImageStorageForPresentation
    ),
    BreastProjectionXRayImageStorageForProcessing: (
        DigitalMammographyXRayImageStorageForPresentation
    ),
}
_OPTIONAL: Final = ("Rows", "Columns")

_AGE: Final = re.compile(r"(?P<number>[0-9]{1,3})(?P<unit>[DWMY])")
_CODE_STRING: Final = re.compile(r"[A-Z0-9 _]{1,16}")
# -1200 to +1400.
_OFFSET: Final = re.compile(r"(?P<sign>[+-])(?P<hours>0[0-9]|1[0-4])(?P<minutes>[0-5][0-9])")


class ImageReference(NamedTuple):
    """What the SOP Instance Reference and Image Reference macros name (PS3.3 10.8, 10.3)."""

    sop_class_uid: str
    sop_instance_uid: str
    frame_numbers: list[int] | None


def reference_to(source: Dataset, frame_number: int) -> ImageReference:
    """The reference to one frame, 1-based; a single-frame object is named without it.

    Some devices write several frames in a single-frame class: without the number, a mark would
    stand on each of them.
    """
    count = source.get("NumberOfFrames")
    has_frames = source.SOPClassUID in _SINGLE_FRAME_CLASS or (isinstance(count, int) and count > 1)
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
    source lacks, or a SOP class that the libraries do not know.
    """
    missing = [keyword for keyword in _REQUIRED if not source.get(keyword)]
    if missing:
        raise EncodingError(f"the source image has no {', '.join(missing)}")
    sop_class_uid = UID(str(source.SOPClassUID))
    if sop_class_uid.is_private or sop_class_uid.is_retired:
        raise EncodingError(
            f"results cannot refer to SOP class {sop_class_uid}, which is retired or private; "
            "let the routing rules skip it"
        )
    header = Dataset()
    for keyword in _REQUIRED:
        setattr(header, keyword, source.get(keyword))
    for keyword in IDENTITY:
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

    A date, time or age that is none ("00000000") stays behind: no viewer could read it; and so does
    an optional sequence without items, or with empty ones, which is an error in the standard's
    eyes. Numbers get the length that their element allows.
    """
    result.SpecificCharacterSet = CHARACTER_SET
    own = set(result.keys())
    result.copy_patient_and_study_information(source)
    for element in list(result):
        if element.VR in ("DA", "TM", "AS") and isinstance(element.value, str):
            value = standard_form(element.VR, element.value)
            del result[element.tag]
            if value is not None:
                # A new element: a copied one is the source's own.
                result.add_new(element.tag, element.VR, value)
        elif element.VR == "DS" and isinstance(element.value, float) and element.tag not in own:
            result.add_new(element.tag, "DS", decimal(element.value))
        elif element.VR == "SQ" and element.tag not in own:
            del result[element.tag]
            if items := [item for item in element.value if len(item)]:
                result.add_new(element.tag, "SQ", items)
    for keyword in IDENTITY:
        if keyword not in result:
            setattr(result, keyword, None)
    if _zone(source) is not None:
        result.TimezoneOffsetFromUTC = source.TimezoneOffsetFromUTC
    # SOP Common (C.12.1): that the dates above were shifted when the images were de-identified.
    if is_code_string(source.get("LongitudinalTemporalInformationModified")):
        result.LongitudinalTemporalInformationModified = (
            source.LongitudinalTemporalInformationModified
        )


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
    codes = known.get("RequestedProcedureCodeSequence") or []
    item.RequestedProcedureCodeSequence = [code for code in codes if len(code)]
    return item


def standard_form(vr: str, value: str) -> str | None:
    """A DA, TM or AS value as PS3.5 table 6.2-1 has it; None where it is no date, time or age.

    Older devices write "2026.01.31" and "12:30:00", which is no longer allowed, others "45Y".
    """
    if vr == "AS":
        age = _AGE.fullmatch(value.strip().upper())
        return None if age is None else f"{age['number']:0>3}{age['unit']}"
    plain = value.replace("." if vr == "DA" else ":", "")
    try:
        DA(plain) if vr == "DA" else TM(without_leap_second(plain))
    except ValueError:
        return None
    return plain


def without_leap_second(time: str) -> str:
    """A TM value with 59 for 60 seconds, which PS3.5 table 6.2-1 allows and libraries refuse."""
    return f"{time[:4]}59{time[6:]}" if time[4:6] == "60" else time


def decimal(number: float) -> DSfloat:
    """At most 16 characters (PS3.5 table 6.2-1, DS); what the source wrote, where it fits."""
    return DSfloat(number, auto_format=True)


def is_code_string(value: object) -> bool:
    """Whether a value may stand in a CS element (PS3.5 table 6.2-1)."""
    return isinstance(value, str) and _CODE_STRING.fullmatch(value) is not None


def site_time(content_at: datetime, source: Dataset) -> datetime:
    """`content_at` on the clock of the source's other times.

    That is Timezone Offset From UTC (0008,0201) where the source has it, else the zone of this
    machine: a date without an offset is local time (PS3.3 C.12.1.1.8).
    """
    return content_at.astimezone(_zone(source))


def _zone(source: Dataset) -> timezone | None:
    """Timezone Offset From UTC; None where it is absent or, like "+9999", none (C.12.1.1.8)."""
    text = str(source.get("TimezoneOffsetFromUTC") or "").strip()
    found = _OFFSET.fullmatch(text)
    if found is None:
        return None
    offset = timedelta(hours=int(found["hours"]), minutes=int(found["minutes"]))
    return timezone(-offset if found["sign"] == "-" else offset)


def stamp_creation(result: Dataset, at: datetime) -> None:
    """Set Instance Creation Date and Time, so that encoding again gives the same bytes."""
    result.InstanceCreationDate = at.strftime("%Y%m%d")
    result.InstanceCreationTime = at.strftime("%H%M%S.%f")
