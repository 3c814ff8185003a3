"""What is sent: one encoded data set per size, and UIDs of one length to write into it.

Out: the data set in Explicit VR Little Endian with place holders for its three UIDs, and where they
stand. All UIDs have the length of `UID_BYTES`, so that writing one moves nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, DigitalMammographyXRayImageStorageForPresentation
from pynetdicom.dsutils import encode

# The root that pydicom gives out for data of tests.
_ROOT = "1.2.826.0.1.3680043.8.498."
UID_BYTES = 56
_STUDY, _SERIES, _INSTANCE = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Size:
    """One kind of object: how large its image is and how many make a study."""

    name: str
    rows: int
    columns: int
    images_per_study: int
    mammogram: bool = False

    @property
    def sop_class_uid(self) -> str:
        """MG For Presentation, or CT."""
        mammogram = DigitalMammographyXRayImageStorageForPresentation
        return str(mammogram if self.mammogram else CTImageStorage)


SIZES = {
    size.name: size
    for size in (
        Size("27MB", 4096, 3328, images_per_study=4, mammogram=True),
        Size("0.5MB", 512, 512, images_per_study=100),
        Size("10kB", 64, 72, images_per_study=500),
    )
}


@dataclass(frozen=True, slots=True)
class Template:
    """An encoded data set and the offsets of its UIDs in it, in bytes."""

    size: Size
    content: bytes
    study_at: int
    series_at: int
    instance_at: int


@dataclass(frozen=True, slots=True)
class Uids:
    """The UIDs of one object, each `UID_BYTES` long."""

    study: bytes
    series: bytes
    instance: bytes


def uids(run: int, association: int, number: int, images_per_study: int) -> Uids:
    """UIDs of the object `number` (from 0) of an association; no other run makes them again."""
    study = number // images_per_study
    return Uids(
        _uid(_STUDY, run, association, study),
        _uid(_SERIES, run, association, study),
        _uid(_INSTANCE, run, association, number),
    )


def template(size: Size) -> Template:
    """Encode the data set of a size; its pixels are noise."""
    places = uids(0, 0, 0, 1)
    content = encode(_dataset(size, places), is_implicit_vr=False, is_little_endian=True)
    assert content is not None
    return Template(
        size,
        content,
        study_at=content.index(places.study),
        series_at=content.index(places.series),
        instance_at=content.index(places.instance),
    )


def _uid(kind: int, run: int, association: int, number: int) -> bytes:
    # A component must not begin with 0 (PS3.5 9.1), hence the ones before the padded numbers.
    uid = f"{_ROOT}{kind}.1{run:012d}.1{association:03d}.1{number:08d}".encode()
    assert len(uid) == UID_BYTES
    return uid


def _dataset(size: Size, places: Uids) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = size.sop_class_uid
    dataset.SOPInstanceUID = places.instance.decode()
    dataset.StudyInstanceUID = places.study.decode()
    dataset.SeriesInstanceUID = places.series.decode()
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.StudyDate, dataset.StudyTime = "20260101", "120000"
    dataset.PatientID, dataset.PatientName = "BENCHMARK-1", "BENCHMARK^SYNTHETIC"
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "F"
    dataset.AccessionNumber, dataset.StudyID = "1", "1"
    dataset.SeriesNumber, dataset.InstanceNumber = "1", "1"
    dataset.Manufacturer = "Synthetic"
    dataset.Modality = "CT"
    if size.mammogram:
        dataset.Modality = "MG"
        dataset.PresentationIntentType = "FOR PRESENTATION"
        dataset.BodyPartExamined = "BREAST"
        dataset.ImageLaterality, dataset.ViewPosition = "L", "CC"
        dataset.ImagerPixelSpacing = [0.07, 0.07]
    _add_pixels(dataset, size)
    return dataset


def _add_pixels(dataset: Dataset, size: Size) -> None:
    dataset.Rows, dataset.Columns = size.rows, size.columns
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 0
    dataset.PixelData = os.urandom(size.rows * size.columns * 2)
