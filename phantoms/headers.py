"""The modules that every phantom object has: patient, study, series, equipment, general image.

In: a `StudyIdentity` and the place of the image in its study. Out: a data set with the Type 1 and 2
attributes of these modules (PS3.3 C.7), ready for the modality's own modules.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, ExplicitVRLittleEndian

from phantoms.identity import (
    DEVICE_UID,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    StudyIdentity,
)


@dataclass(frozen=True, slots=True)
class ImagePlace:
    """Where an image stands in its study.

    `series` and `image` name it for its UIDs; `second` is its acquisition time after 09:00:00.
    """

    series: str
    image: str
    series_number: int
    series_description: str
    instance_number: int
    second: int


def new_image(
    identity: StudyIdentity, place: ImagePlace, sop_class_uid: UID, modality: str
) -> FileDataset:
    """Data set with file meta information, and the modules named above."""
    sop_instance_uid = identity.sop_instance_uid(place.series, place.image)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class_uid
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class_uid
    dataset.SOPInstanceUID = sop_instance_uid
    _patient_and_study(dataset, identity)
    _series(dataset, identity, place, modality)
    _equipment(dataset)
    _general_image(dataset, identity, place)
    return dataset


def _patient_and_study(dataset: Dataset, identity: StudyIdentity) -> None:
    """Patient (C.7.1.1), General Study (C.7.2.1) and Patient Study (C.7.2.2)."""
    dataset.PatientName = "PHANTOM^SYNTHETIC"
    dataset.PatientID = identity.patient_id
    dataset.IssuerOfPatientID = "SENTINODE PHANTOM"
    dataset.PatientBirthDate = _da(identity.birth_date)
    dataset.PatientSex = "F"
    dataset.PatientAge = f"{identity.study_date.year - identity.birth_date.year:03d}Y"
    dataset.PatientComments = "Computer generated; not a patient"
    dataset.StudyInstanceUID = identity.study_instance_uid
    dataset.StudyDate = _da(identity.study_date)
    dataset.StudyTime = "090000"
    dataset.ReferringPhysicianName = ""
    dataset.StudyID = "1"
    dataset.AccessionNumber = identity.accession_number
    dataset.StudyDescription = "Synthetic breast study"


def _series(dataset: Dataset, identity: StudyIdentity, place: ImagePlace, modality: str) -> None:
    """General Series (C.7.3.1)."""
    dataset.Modality = modality
    dataset.SeriesInstanceUID = identity.series_instance_uid(place.series)
    dataset.SeriesNumber = place.series_number
    dataset.SeriesDescription = place.series_description
    dataset.SeriesDate = _da(identity.study_date)
    dataset.SeriesTime = "090000"
    dataset.BodyPartExamined = "BREAST"


def _equipment(dataset: Dataset) -> None:
    """General Equipment (C.7.5.1)."""
    dataset.Manufacturer = "Sentinode"
    dataset.ManufacturerModelName = "Phantom"
    dataset.DeviceSerialNumber = "0"
    dataset.DeviceUID = DEVICE_UID
    dataset.SoftwareVersions = IMPLEMENTATION_VERSION_NAME
    dataset.InstitutionName = "Sentinode phantom"
    dataset.StationName = "PHANTOM"


def _general_image(dataset: Dataset, identity: StudyIdentity, place: ImagePlace) -> None:
    """General Image (C.7.6.1) and General Acquisition (C.7.10.1)."""
    day = _da(identity.study_date)
    time = f"09{place.second // 60:02d}{place.second % 60:02d}"
    dataset.InstanceNumber = place.instance_number
    dataset.AcquisitionNumber = place.instance_number
    dataset.ContentDate, dataset.ContentTime = day, time
    dataset.AcquisitionDate, dataset.AcquisitionTime = day, time
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = day, time
    dataset.LossyImageCompression = "00"
    dataset.BurnedInAnnotation = "NO"
    dataset.QualityControlImage = "NO"


def set_pixels(dataset: Dataset, pixels: NDArray[np.uint16] | NDArray[np.uint8], bits: int) -> None:
    """Image Pixel (C.7.6.3): one unsigned grey frame (rows, columns) of `bits` stored bits."""
    dataset.SamplesPerPixel = 1
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = 8 * pixels.itemsize
    dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = 0
    data = np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder("<")).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OW"


def code_item(code: Code) -> Dataset:
    """A code sequence item (PS3.3 Table 8.8-1a)."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def breast_region() -> Dataset:
    """Item of the Anatomic Region Sequence."""
    return code_item(codes.SCT.Breast)


def _da(day: date) -> str:
    """A DA value."""
    return day.strftime("%Y%m%d")
