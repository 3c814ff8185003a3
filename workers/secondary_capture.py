"""Stage 7: pictures with burnt-in marks as Secondary Capture (PS3.3 A.8.1), the last resort.

In: a study revision, with its pixels at hand. Out: a summary of the study, always, and one picture
for each image with findings. What must hold: whoever gets only these can tell "no findings" from
"not analysed" and sees every failed model; every picture says that it is for research use only; the
same input gives the same bytes.

Pictures are native RGB in Explicit VR Little Endian, which every archive takes, and single-frame,
since old viewers know no multi-frame capture. Their modality is OT: a hanging protocol that looks
for the current mammograms must not find them in place of the images. They have no pixel spacing:
who measures must measure on the image itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import highdicom
from highdicom.sr import CodedConcept
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dictionary
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from node.errors import EncodingError
from node.identifiers import derived_uid
from workers.analyses import (
    EncodedResult,
    ImageAnalysis,
    StudyAnalysis,
    models_of,
    shortfall,
    whose,
)
from workers.dicom import codes, equipment
from workers.dicom.anatomy import read_laterality, read_view
from workers.dicom.display import aspect_ratio
from workers.dicom.inheritance import is_code_string, pair_of, plain_header, site_time
from workers.dicom.lossy import lossy_history
from workers.dicom.provenance import state_origin
from workers.findings import RunOutcome
from workers.pictures.overlay import draw_overlay
from workers.pictures.summary_page import summary_pages

SECONDARY_CAPTURE_SERIES_NUMBER: Final = 9700

# Half a full-field mammogram: 10 MB native in RGB, where the full size would be 41 MB a picture,
# and still more than the 2-megapixel displays that an archive without SEG or SR is read on.
LONGEST_SIDE_PX: Final = 2048


def encode_secondary_captures(study: StudyAnalysis) -> Iterator[EncodedResult]:
    """The summary, then one picture for each image with findings, in one series.

    Raises EncodingError when there is no image or a header lacks what identifies it, DecodingError
    when an image cannot be read again.
    """
    if not study.analyses:
        raise EncodingError("a summary needs at least one image")
    at = site_time(study.content_at, study.analyses[0].source)
    number = 0
    for number, page in enumerate(summary_pages(study, at), start=1):
        yield EncodedResult("SC", "", encode_summary(study, page, number))
    for analysis in study.analyses:
        if analysis.findings:
            number += 1
            picture = encode_overlay(
                analysis,
                revision=study.revision,
                content_at=study.content_at,
                instance_number=number,
            )
            yield EncodedResult("SC", "", picture, str(analysis.source.SOPInstanceUID))


def encode_overlay(
    analysis: ImageAnalysis, *, revision: int, content_at: datetime, instance_number: int
) -> Dataset:
    """Encode one image with its findings drawn on it; `content_at` is aware."""
    picture = draw_overlay(
        analysis.read_image().image,
        analysis.findings,
        longest_side_px=LONGEST_SIDE_PX,
        notes=[_failure(run) for run in analysis.runs if run.error is not None],
    )
    result = _capture(
        [analysis], picture, "overlay", revision, content_at, instance_number=instance_number
    )
    source = analysis.source
    result.update(lossy_history(source))
    ratio = aspect_ratio(source)
    if ratio != [1, 1]:
        # Both sides are scaled alike, so the pixels are as oblong as those of the image.
        result.PixelAspectRatio = ratio
    # What hangs the picture the right way round and on the right side; views are no part of the
    # IOD.
    result.PatientOrientation = pair_of(source, "PatientOrientation")
    laterality, view = read_laterality(source), read_view(source)
    if laterality:
        result.ImageLaterality = laterality
        del result.Laterality  # C.7.3.1: one or the other
    for keyword, value in (
        ("BodyPartExamined", source.get("BodyPartExamined")),
        ("ViewPosition", view),
    ):
        if is_code_string(value):
            setattr(result, keyword, value)
    if view in codes.VIEW:
        result.ViewCodeSequence = [CodedConcept.from_code(codes.VIEW[view])]
    result.DerivationDescription = (
        f"Window, resampling, AI marks burnt in. {equipment.RESEARCH_USE_ONLY}"
    )
    return result


def encode_summary(study: StudyAnalysis, page: Image.Image, number: int) -> Dataset:
    """Encode one page of the summary; `number` is 1-based."""
    result = _capture(
        study.analyses,
        page,
        f"summary {number}",
        study.revision,
        study.content_at,
        instance_number=number,
    )
    result.DerivationDescription = (
        f"Summary of an AI analysis, drawn as text. {equipment.RESEARCH_USE_ONLY}"
    )
    return result


def _capture(
    analyses: Sequence[ImageAnalysis],
    picture: Image.Image,
    what: str,
    revision: int,
    content_at: datetime,
    *,
    instance_number: int,
) -> Dataset:
    """A Secondary Capture of `picture` that names the images it comes from."""
    headers = [plain_header(analysis.source) for analysis in analyses]
    source, study_uid = whose(analyses), str(headers[0].StudyInstanceUID)
    runs = [run for analysis in analyses for run in analysis.runs]
    models = models_of(runs)
    names = [f"{model.name}:{model.version}" for model in models]
    sop_uids = sorted(str(header.SOPInstanceUID) for header in headers)
    at = site_time(content_at, source)
    result = highdicom.SOPClass(
        study_instance_uid=study_uid,
        series_instance_uid=derived_uid("SC series", study_uid, revision),
        series_number=SECONDARY_CAPTURE_SERIES_NUMBER,
        sop_instance_uid=derived_uid("SC", what, study_uid, *sop_uids, revision, *names),
        sop_class_uid=SecondaryCaptureImageStorage,
        instance_number=instance_number,
        modality="OT",
        manufacturer=equipment.MANUFACTURER,
        manufacturer_model_name=equipment.MANUFACTURER_MODEL_NAME,
        device_serial_number=equipment.device_serial_number(models),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description="AI overlay, research use only",
        content_date=at.date(),
        content_time=at.time(),
    )
    state_origin(result, source, models, at)
    _describe(result, analyses, at)
    _add_pixels(result, picture)
    return result


def _describe(result: Dataset, analyses: Sequence[ImageAnalysis], at: datetime) -> None:
    """General Image, SC Equipment and SC Image modules (PS3.3 C.7.6.1, C.8.6.1, C.8.6.2)."""
    result.ImageType = ["DERIVED", "SECONDARY"]
    result.PatientOrientation = None
    # The series holds both breasts, so it has no side (C.7.3.1, type 2C).
    result.Laterality = None
    result.BurnedInAnnotation = "YES"
    result.ImageComments = _comment([run for analysis in analyses for run in analysis.runs])
    result.ConversionType = "WSD"
    result.SecondaryCaptureDeviceManufacturer = equipment.MANUFACTURER
    result.SecondaryCaptureDeviceManufacturerModelName = equipment.MANUFACTURER_MODEL_NAME
    result.SecondaryCaptureDeviceSoftwareVersions = equipment.software_version()
    result.DateOfSecondaryCapture = at.strftime("%Y%m%d")
    result.TimeOfSecondaryCapture = at.strftime("%H%M%S.%f")
    result.SourceImageSequence = [_source(analysis) for analysis in analyses]


def _source(analysis: ImageAnalysis) -> Dataset:
    reference = analysis.reference
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reference.frame_numbers:
        item.ReferencedFrameNumber = reference.frame_numbers
    purpose = dictionary.DCM.SourceImageForImageProcessingOperation
    item.PurposeOfReferenceCodeSequence = [CodedConcept.from_code(purpose)]
    return item


def _add_pixels(result: Dataset, picture: Image.Image) -> None:
    """Image Pixel module (PS3.3 C.7.6.3): 8-bit RGB, colour by pixel."""
    result.Columns, result.Rows = picture.size
    result.SamplesPerPixel = 3
    result.PhotometricInterpretation = "RGB"
    result.PlanarConfiguration = 0
    result.BitsAllocated, result.BitsStored, result.HighBit = 8, 8, 7
    result.PixelRepresentation = 0
    content = picture.convert("RGB").tobytes()
    result.PixelData = content + b"\0" * (len(content) % 2)


def _comment(runs: Sequence[RunOutcome]) -> str:
    incomplete = shortfall(runs)
    return f"{equipment.RESEARCH_USE_ONLY} {incomplete or ''}".strip()


def _failure(run: RunOutcome) -> str:
    state = "DECLINED" if run.declined else "FAILED"
    return f"{run.model} {run.model_version} {state}, not assessed: {run.error}"
