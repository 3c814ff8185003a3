"""Small valid data sets that tests send: a few kilobytes, header right, pixels plain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    DigitalMammographyXRayImageStorageForPresentation,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    generate_uid,
)


def mammogram(
    study_uid: str | None = None,
    laterality: str = "L",
    view: str = "CC",
    *,
    size_px: tuple[int, int] = (64, 48),
    seed: int = 0,
) -> FileDataset:
    """A tiny MG image: right half bright noise, the rest air."""
    dataset = _dataset(DigitalMammographyXRayImageStorageForPresentation, study_uid)
    dataset.Modality = "MG"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.BodyPartExamined = "BREAST"
    dataset.ImageLaterality = laterality
    dataset.ViewPosition = view
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.ImagerPixelSpacing = [0.1, 0.1]
    rows, columns = size_px
    pixels = np.zeros(size_px, np.uint16)
    noise = np.random.default_rng(seed).integers(500, 3000, (rows, columns // 2))
    pixels[:, : columns // 2] = noise
    add_pixels(dataset, pixels)
    return dataset


def add_pixels(dataset: Dataset, pixels: NDArray[np.uint16]) -> None:
    """Attach 12-bit MONOCHROME2 pixels (rows, columns) of dtype uint16."""
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.tobytes()


def encapsulated_pdf(study_uid: str | None = None) -> FileDataset:
    """An object without pixels."""
    dataset = _dataset(EncapsulatedPDFStorage, study_uid)
    dataset.Modality = "DOC"
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = b"%PDF-1.4 nothing to see\n"
    return dataset


def rejection_note(*named: Dataset, title: str = "113001") -> FileDataset:
    """A Key Object Selection with this title (Code Value, DCM) about objects of one study."""
    dataset = _dataset(KeyObjectSelectionDocumentStorage, named[0].StudyInstanceUID)
    dataset.Modality, dataset.ValueType = "KO", "CONTAINER"
    dataset.ConceptNameCodeSequence = [
        _item(CodeValue=title, CodingSchemeDesignator="DCM", CodeMeaning="Rejected")
    ]
    series = [
        _item(
            SeriesInstanceUID=each.SeriesInstanceUID,
            ReferencedSOPSequence=[
                _item(
                    ReferencedSOPClassUID=each.SOPClassUID,
                    ReferencedSOPInstanceUID=each.SOPInstanceUID,
                )
            ],
        )
        for each in named
    ]
    dataset.CurrentRequestedProcedureEvidenceSequence = [
        _item(StudyInstanceUID=named[0].StudyInstanceUID, ReferencedSeriesSequence=series)
    ]
    return dataset


def saved(dataset: FileDataset, folder: Path) -> Path:
    """Write a data set as a Part 10 file."""
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _dataset(sop_class_uid: str, study_uid: str | None) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = sop_class_uid
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = study_uid or generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    dataset.PatientID = "TEST-1"
    dataset.PatientName = "TEST^SYNTHETIC"
    dataset.StudyDate, dataset.StudyTime = "20260101", "120000"
    return dataset
