"""The UIDs of an encoded object, read from its file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from node.errors import NotFoundError

_TAGS = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]


@dataclass(frozen=True, slots=True)
class Identity:
    """What a destination is asked about."""

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    transfer_syntax_uid: str


def read_identity(path: Path) -> Identity:
    """Read the UIDs. Raises NotFoundError where the file is gone or is no DICOM file, OSError."""
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
        return Identity(
            sop_class_uid=str(dataset.SOPClassUID),
            sop_instance_uid=str(dataset.SOPInstanceUID),
            study_uid=str(dataset.StudyInstanceUID),
            series_uid=str(dataset.SeriesInstanceUID),
            transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
        )
    except (FileNotFoundError, InvalidDicomError, AttributeError) as error:
        raise NotFoundError(
            f"the result {path.name} is gone or damaged; remove what is left and retry the study"
        ) from error
