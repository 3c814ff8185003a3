"""Stage 7: Key Object Selection documents (PS3.3 A.35.4, PS3.16 TID 2010).

In: the analyses of a study revision, or headers of result objects that are out of date. Out: a
document "Of Interest" that names the images with findings, or a rejection note (IHE Radiology,
Imaging Object Change Management, transaction RAD-66). What must hold: the same input gives the same
bytes; only what exists is named; a selection says which models failed.

The selection names images only: a destination that gets it need not get SEG or GSPS, and a
reference to an object that never came is an error in many archives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dictionary
from pydicom.sr.coding import Code
from pydicom.uid import SecondaryCaptureImageStorage, SegmentationStorage

from node.errors import EncodingError
from node.identifiers import derived_uid
from workers.analyses import ImageAnalysis, models_of, shortfall, whose
from workers.dicom import codes, equipment
from workers.dicom.equipment import ModelIdentity
from workers.dicom.inheritance import inherit, plain_header, site_time, stamp_creation
from workers.dicom.measurement import run_sentence
from workers.dicom.observer import device_observer
from workers.dicom.provenance import state_origin

# Behind images, report and segmentations.
KEY_OBJECTS_SERIES_NUMBER: Final = 9800
REJECTION_SERIES_NUMBER: Final = 9900

RejectionReason = Literal["quality", "patient safety"]
# PS3.16 CID 7010. Archives hide what is rejected for quality reasons and let an administrator see
# it; what is rejected for patient safety reasons nobody may see again (RAD TF-3 4.66.4.1.3).
_TITLE: Final[dict[RejectionReason, Code]] = {
    "quality": dictionary.DCM.RejectedForQualityReasons,  # 113001
    "patient safety": dictionary.DCM.RejectedForPatientSafetyReasons,  # 113037
}
_OF_INTEREST: Final[Code] = dictionary.DCM.OfInterest  # 113000, CID 7010
# Results that a content item of type IMAGE names; all others are COMPOSITE (PS3.3 C.18.3, C.18.4).
_IMAGES: Final = frozenset({SegmentationStorage, SecondaryCaptureImageStorage})


def encode_key_objects(
    analyses: Sequence[ImageAnalysis], *, revision: int, content_at: datetime
) -> Dataset:
    """Encode the selection of the images with findings.

    `content_at`: aware. Raises EncodingError when no image has a finding, or a header lacks what
    identifies it.
    """
    chosen = [analysis for analysis in analyses if analysis.findings]
    if not chosen:
        raise EncodingError("a key object selection needs an image with findings")
    headers = [_as_image(plain_header(analysis.source)) for analysis in chosen]
    models = models_of(run for each in analyses for run in each.runs)
    names = [f"{model.name}:{model.version}" for model in models]
    study_uid = str(headers[0].StudyInstanceUID)
    sop_uids = sorted(str(header.SOPInstanceUID) for header in headers)
    source = whose(chosen)
    at = site_time(content_at, source)
    result = _document(
        headers,
        title=_OF_INTEREST,
        description=_description(analyses),
        series_uid=derived_uid("KOS series", study_uid, *names),
        series_number=KEY_OBJECTS_SERIES_NUMBER,
        sop_uid=derived_uid("KOS", study_uid, *sop_uids, revision, *names),
        instance_number=revision,
        series_description="AI key images, research use only",
        models=models,
        at=at,
    )
    _name_frames(result, chosen)
    state_origin(result, source, models, at)
    return result


def encode_rejection_note(
    objects: Sequence[Dataset],
    *,
    revision: int,
    content_at: datetime,
    reason: RejectionReason = "quality",
    withdrawn: bool = False,
) -> Dataset:
    """Encode a note that tells an archive to hide result objects of an earlier revision.

    `objects`: headers as the results were written (pixels are not needed), all of one study; their
    patient and study attributes become the note's. `revision`: the one that replaces them;
    `content_at`: when that one was complete, aware. `reason`: superseded results are rejected for
    "quality" reasons, since IHE has no reason of its own for them and nothing was unsafe.
    `withdrawn`: nothing replaces them, because every image they are about was rejected.
    Raises EncodingError when there is no object, a header lacks what identifies it, or the objects
    are of several studies.
    """
    if not objects:
        raise EncodingError("a rejection note needs an object")
    headers = [plain_header(each) for each in objects]
    study_uids = {str(header.StudyInstanceUID) for header in headers}
    if len(study_uids) > 1:
        raise EncodingError("a rejection note is about one study; write one note for each")
    study_uid = study_uids.pop()
    for header in headers:
        if header.SOPClassUID in _IMAGES:
            _as_image(header)
    at = site_time(content_at, objects[0])
    why = f"Superseded by revision {revision} of the analysis."
    if withdrawn:
        why = "Withdrawn: every image of the study that was analysed is rejected."
    sop_uids = sorted({str(header.SOPInstanceUID) for header in headers})
    result = _document(
        headers,
        title=_TITLE[reason],
        description=f"{why} {equipment.RESEARCH_USE_ONLY}",
        series_uid=derived_uid("KOS rejection series", study_uid),
        series_number=REJECTION_SERIES_NUMBER,
        sop_uid=derived_uid("KOS rejection", study_uid, reason, revision, *sop_uids),
        instance_number=revision,
        series_description="AI results superseded, research use only",
        models=[],
        at=at,
    )
    inherit(result, objects[0])
    stamp_creation(result, at)
    # The library names itself here, with the time of day; no model contributes to a note.
    del result.ContributingEquipmentSequence
    return result


def _document(
    headers: Sequence[Dataset],
    *,
    title: Code,
    description: str,
    series_uid: str,
    series_number: int,
    sop_uid: str,
    instance_number: int,
    series_description: str,
    models: Sequence[ModelIdentity],
    at: datetime,
) -> KeyObjectSelectionDocument:
    try:
        return KeyObjectSelectionDocument(
            evidence=headers,
            content=KeyObjectSelection(
                document_title=title,
                referenced_objects=headers,
                observer_device_context=device_observer(models),
                description=description,
            ),
            series_instance_uid=series_uid,
            series_number=series_number,
            sop_instance_uid=sop_uid,
            instance_number=instance_number,
            manufacturer=equipment.MANUFACTURER,
            manufacturer_model_name=equipment.MANUFACTURER_MODEL_NAME,
            software_versions=equipment.software_version(),
            device_serial_number=equipment.device_serial_number(models),
            series_description=series_description,
            content_date=at.date(),
            content_time=at.time(),
        )
    except ValueError as error:
        raise EncodingError(f"the key object selection cannot be written: {error}") from error


def _description(analyses: Sequence[ImageAnalysis]) -> str:
    """Key Object Description: what viewers show beside the images. Failures come first."""
    runs = [run for analysis in analyses for run in analysis.runs]
    lines = [equipment.RESEARCH_USE_ONLY]
    if incomplete := shortfall(runs):
        lines.append(incomplete)
    lines.extend(
        f"{analysis.name}: {_counts(analysis)}" for analysis in analyses if analysis.findings
    )
    lines.extend(
        f"{analysis.name}: {run_sentence(run)}"
        for analysis in analyses
        for run in analysis.runs
        if run.error is not None
    )
    return "\r\n".join(lines)


def _counts(analysis: ImageAnalysis) -> str:
    """For example "2 x mass, 1 x arterial calcification"."""
    numbers = Counter(found.kind for found in analysis.findings)
    return ", ".join(
        f"{numbers[kind]} x {label.lower()}"
        for kind, label in codes.FINDING_LABEL.items()
        if numbers[kind]
    )


def _name_frames(result: Dataset, chosen: Sequence[ImageAnalysis]) -> None:
    """Add Referenced Frame Number for multi-frame images (PS3.3 table C.18.4-1)."""
    frames = {each.reference.sop_instance_uid: each.reference.frame_numbers for each in chosen}
    for item in result.ContentSequence:
        for reference in item.get("ReferencedSOPSequence", ()):
            numbers = frames[str(reference.ReferencedSOPInstanceUID)]
            if numbers:
                reference.ReferencedFrameNumber = numbers


def _as_image(header: Dataset) -> Dataset:
    """The library takes what has Rows and Columns for an image, and nothing else."""
    header.Rows, header.Columns = header.get("Rows") or 1, header.get("Columns") or 1
    return header
