"""Stage 7: the findings of one image become one Segmentation object (PS3.3 A.51).

In: the image's header, its findings, revision and time. Out: a BINARY SEG with one segment per
finding, in the pixel matrix of the image. What must hold: the same input gives the same bytes; the
masks read back are the masks that went in; the source image is not changed.

A 2D image has no frame of reference, so the object refers to it by Derivation Image (A.51.5). The
profile "ohif" adds plane macros with identity values, without which OHIF 3 does not draw it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import highdicom
import numpy as np
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from models.contract import FindingKind
from node.errors import EncodingError
from node.identifiers import derived_uid
from workers.dicom import codes, equipment
from workers.dicom.equipment import ModelIdentity
from workers.dicom.inheritance import (
    ImageReference,
    inherit,
    pair_of,
    plain_header,
    reference_to,
    single_frame_class,
    site_time,
    stamp_creation,
)
from workers.findings import Finding

Profile = Literal["ohif", "plain"]

# Recommended Display CIELab Value: red, yellow and cyan keep apart on grey.
_COLORS = {
    FindingKind.MASS: CIELabColor(53.0, 80.0, 67.0),
    FindingKind.CALCIFICATION_CLUSTER: CIELabColor(97.0, -21.0, 94.0),
    FindingKind.ARTERIAL_CALCIFICATION: CIELabColor(91.0, -48.0, -14.0),
}


def encode_segmentation(
    source: Dataset,
    findings: Sequence[Finding],
    *,
    revision: int,
    content_at: datetime,
    series_number: int,
    profile: Profile,
    frame_number: int = 1,
) -> Dataset:
    """Encode all findings of one image.

    `source`: the header of the image; pixel data is not needed. `content_at`: aware.
    `frame_number`: the frame of a multi-frame image that was analysed, 1-based.
    Raises EncodingError when there is no finding, one lies outside the image, or the SOP class
    cannot be segmented in 2D.
    """
    if not findings:
        raise EncodingError("a segmentation needs at least one finding")
    header = plain_header(source)
    if not (header.get("Rows") and header.get("Columns")):
        raise EncodingError("the source image has no Rows or no Columns")
    # The library refuses multi-frame images without a place in the patient: it gets one frame.
    header.SOPClassUID = single_frame_class(source)
    models = sorted({ModelIdentity(found.model, found.model_version) for found in findings})
    at = site_time(content_at, source)
    identity = (header.StudyInstanceUID, header.SOPInstanceUID, revision)
    names = [f"{model.name}:{model.version}" for model in models]
    if profile == "plain":
        names.append(profile)
    try:
        result = Segmentation(
            source_images=[header],
            pixel_array=_pixels(findings, int(header.Rows), int(header.Columns)),
            segmentation_type="BINARY",
            segment_descriptions=[
                _describe(number, found) for number, found in enumerate(findings, start=1)
            ],
            series_instance_uid=derived_uid("SEG series", *identity, *names),
            series_number=series_number,
            sop_instance_uid=derived_uid("SEG", *identity, *names),
            instance_number=1,
            manufacturer=equipment.MANUFACTURER,
            manufacturer_model_name=equipment.MANUFACTURER_MODEL_NAME,
            software_versions=equipment.software_version(),
            device_serial_number=equipment.device_serial_number(models),
            content_label="AI_FINDINGS",
            content_description=equipment.RESEARCH_USE_ONLY,
            series_description="AI segmentation, research use only",
            content_date=at.date(),
            content_time=at.time(),
        )
    except ValueError as error:
        raise EncodingError(f"the image cannot be segmented: {error}") from error
    _complete(result, source, models, at)
    _refer_to(result, reference_to(source, frame_number))
    if profile == "ohif":
        _add_identity_planes(result, source)
    else:
        # PS3.3 C.7.6.1.1.1: the segmentation lies in the source's own pixel matrix.
        result.PatientOrientation = source.get("PatientOrientation")
    return result


def _pixels(findings: Sequence[Finding], rows: int, columns: int) -> NDArray[np.uint8 | np.bool_]:
    """The masks as highdicom takes them.

    A label map (rows, columns), uint8, when no two findings share a pixel: a twentieth of the
    memory for twenty findings. Else a stack (1, rows, columns, findings), bool.
    """
    for found in findings:
        x0, y0, x1, y1 = found.box_px
        if x0 < 0 or y0 < 0 or x1 > columns or y1 > rows:
            raise EncodingError(f"finding {found.number} of {found.model} leaves the image")
    if len(findings) <= np.iinfo(np.uint8).max:
        labels = np.zeros((rows, columns), dtype=np.uint8)
        if all(_paint(labels, found, value) for value, found in enumerate(findings, start=1)):
            return labels
    # One contiguous plane per finding; the library wants the findings on the last axis.
    stack = np.zeros((len(findings), rows, columns), dtype=np.bool_)
    for plane, found in zip(stack, findings, strict=True):
        x0, y0, x1, y1 = found.box_px
        plane[y0:y1, x0:x1] = found.mask
    return np.moveaxis(stack, 0, -1)[np.newaxis]


def _paint(labels: NDArray[np.uint8], found: Finding, value: int) -> bool:
    """Write one finding into the label map; False when another one is there already."""
    x0, y0, x1, y1 = found.box_px
    crop = labels[y0:y1, x0:x1]
    if crop[found.mask].any():
        return False
    crop[found.mask] = value
    return True


def _describe(segment_number: int, found: Finding) -> SegmentDescription:
    label = f"{codes.FINDING_LABEL[found.kind]} {segment_number}"
    description = SegmentDescription(
        segment_number=segment_number,
        segment_label=label,
        segmented_property_category=codes.FINDING_CATEGORY,
        segmented_property_type=codes.FINDING_TYPE[found.kind],
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=found.model,
            family=codes.ALGORITHM_FAMILY,
            version=found.model_version,
            source=equipment.MANUFACTURER,
        ),
        tracking_uid=found.tracking_uid,
        tracking_id=f"{label}, {found.model} {found.model_version}"[:64],
        anatomic_regions=[codes.BREAST],
        display_color=_COLORS[found.kind],
    )
    description.SegmentDescription = (
        f"Certainty {100 * found.score:.1f} %. {equipment.RESEARCH_USE_ONLY}"
    )
    if found.laterality in codes.LATERALITY:
        # PS3.3 table 10-5: laterality modifies the anatomic region.
        side = highdicom.sr.CodedConcept.from_code(codes.LATERALITY[found.laterality])
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [side]
    return description


def _complete(
    result: Segmentation, source: Dataset, models: Sequence[ModelIdentity], at: datetime
) -> None:
    """Everything that the constructor draws at random, takes from the clock or cannot know."""
    inherit(result, source)
    stamp_creation(result, at)
    equipment.identify(result, source, models, at)
    organization_uid = derived_uid("dimensions", result.SOPInstanceUID)
    for item in (*result.DimensionIndexSequence, *result.DimensionOrganizationSequence):
        item.DimensionOrganizationUID = organization_uid


def _refer_to(result: Segmentation, reference: ImageReference) -> None:
    """Make all references say what was segmented, the frame of a multi-frame image included."""
    for series in result.ReferencedSeriesSequence:
        for image in series.ReferencedInstanceSequence:
            image.ReferencedSOPClassUID = reference.sop_class_uid
    for image in result.SourceImageSequence:
        image.ReferencedSOPClassUID = reference.sop_class_uid
    for frame in result.PerFrameFunctionalGroupsSequence:
        for image in frame.DerivationImageSequence[0].SourceImageSequence:
            image.ReferencedSOPClassUID = reference.sop_class_uid
            if reference.frame_numbers:
                image.ReferencedFrameNumber = reference.frame_numbers


def _add_identity_planes(result: Segmentation, source: Dataset) -> None:
    """Add plane orientation, position and pixel measures that say nothing but "as the image".

    The spacing is the header's own, else 1 mm: it places the overlay, it measures nothing.
    """
    spacing = pair_of(source, "PixelSpacing", "ImagerPixelSpacing") or ["1", "1"]
    orientation = Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures = Dataset()
    measures.PixelSpacing = spacing
    measures.SliceThickness = 1
    shared = result.SharedFunctionalGroupsSequence[0]
    shared.PlaneOrientationSequence = [orientation]
    shared.PixelMeasuresSequence = [measures]
    for frame in result.PerFrameFunctionalGroupsSequence:
        position = Dataset()
        position.ImagePositionPatient = [0, 0, 0]
        frame.PlanePositionSequence = [position]
