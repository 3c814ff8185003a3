"""Stage 7: the findings of one image become one Segmentation object (PS3.3 A.51).

In: the image's header, its findings, revision and time. Out: a BINARY SEG with one segment per
finding or per class, in the pixel matrix of the image. What must hold: the same input gives the
same bytes; the masks read back are the masks that went in; the source image is not changed.

A 2D image has no frame of reference, so the object refers to it by Derivation Image (A.51.5). The
profile "ohif" adds plane macros with identity values, without which OHIF 3 does not draw it. A
tomosynthesis slice has a plane of its own, which the segmentation takes over in both profiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import combinations
from typing import Any, Final, Literal

import numpy as np
from highdicom.seg import Segmentation
from pydicom.dataset import Dataset

from node.destinations import SegmentsPer
from node.errors import EncodingError
from node.identifiers import derived_uid
from workers.dicom import equipment
from workers.dicom.anatomy import read_laterality, read_view
from workers.dicom.binary_frames import overlap, pack_frames
from workers.dicom.equipment import ModelIdentity
from workers.dicom.inheritance import (
    ImageReference,
    pair_of,
    plain_header,
    reference_to,
    single_frame_class,
    site_time,
)
from workers.dicom.lossy import lossy_history
from workers.dicom.planes import place, place_as_the_image, read_plane
from workers.dicom.provenance import state_origin
from workers.dicom.segments import Segment, describe, segments_of
from workers.findings import Finding

Profile = Literal["ohif", "plain"]

_LONGEST_TEXT: Final = 64  # LO


def encode_segmentation(
    source: Dataset,
    findings: Sequence[Finding],
    *,
    revision: int,
    content_at: datetime,
    series_number: int,
    profile: Profile,
    frame_number: int = 1,
    segments_per: SegmentsPer = "finding",
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
    rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
    if not (rows and columns):
        raise EncodingError("the source image has no Rows or no Columns")
    _check_inside(findings, rows, columns)
    segments = segments_of(findings, segments_per)
    models = sorted({ModelIdentity(found.model, found.model_version) for found in findings})
    names = [f"{model.name}:{model.version}" for model in models]
    names += [option for option in (profile, segments_per) if option in ("plain", "class")]
    at = site_time(content_at, source)
    identity = (header.StudyInstanceUID, header.SOPInstanceUID, revision)
    # The library refuses multi-frame images without a place in the patient: it gets one frame.
    header.SOPClassUID = single_frame_class(source)
    try:
        result = _framework(
            header,
            segments,
            series_instance_uid=derived_uid("SEG series", *identity, *names),
            series_number=series_number,
            series_description=_description(source),
            sop_instance_uid=derived_uid("SEG", *identity, *names),
            device_serial_number=equipment.device_serial_number(models),
            content_date=at.date(),
            content_time=at.time(),
        )
    except ValueError as error:
        raise EncodingError(f"the image cannot be segmented: {error}") from error
    _fill(result, segments, rows, columns)
    _complete(result, source, models, at)
    _refer_to(result, reference_to(source, frame_number))
    _place(result, source, frame_number, profile)
    return result


def _description(source: Dataset) -> str:
    """Each image has a series of its own: viewers list them by this."""
    place = " ".join(filter(None, ("AI segmentation", read_laterality(source), read_view(source))))
    number = f", instance {source.InstanceNumber}" if source.get("InstanceNumber") else ""
    whole = f"{place}{number}, research use only"
    return whole if len(whole) <= _LONGEST_TEXT else f"{place}, research use only"


def _check_inside(findings: Sequence[Finding], rows: int, columns: int) -> None:
    for found in findings:
        x0, y0, x1, y1 = found.box_px
        if x0 < 0 or y0 < 0 or x1 > columns or y1 > rows:
            raise EncodingError(f"finding {found.number} of {found.model} leaves the image")


def _framework(header: Dataset, segments: Sequence[Segment], **identity: Any) -> Segmentation:
    """The object around one pixel per segment, in an image of one row.

    The library takes half a second to pack twenty frames of 3328 x 4096 pixels, so it gets frames
    of as many pixels as there are segments; `_fill` puts the real ones in their place.
    """
    n_segments = len(segments)
    header.Rows, header.Columns = 1, n_segments
    return Segmentation(
        source_images=[header],
        # (frame, row, column, segment)
        pixel_array=np.eye(n_segments, dtype=np.bool_)[np.newaxis, np.newaxis],
        segmentation_type="BINARY",
        segment_descriptions=[describe(segment) for segment in segments],
        instance_number=1,
        manufacturer=equipment.MANUFACTURER,
        manufacturer_model_name=equipment.MANUFACTURER_MODEL_NAME,
        software_versions=equipment.software_version(),
        content_label="AI_FINDINGS",
        content_description=equipment.RESEARCH_USE_ONLY,
        **identity,
    )


def _fill(result: Segmentation, segments: Sequence[Segment], rows: int, columns: int) -> None:
    """Replace matrix and pixels by those of the image; one frame per segment, in order."""
    result.Rows, result.Columns = rows, columns
    result.PixelData = pack_frames([segment.crops for segment in segments], rows, columns)
    is_overlapping = any(
        overlap(crop, other)
        for one, two in combinations(segments, 2)
        for crop in one.crops
        for other in two.crops
    )
    result.SegmentsOverlap = "YES" if is_overlapping else "NO"


def _complete(
    result: Segmentation, source: Dataset, models: Sequence[ModelIdentity], at: datetime
) -> None:
    """Everything that the constructor draws at random, takes from the clock or cannot know."""
    state_origin(result, source, models, at)
    result.update(lossy_history(source))
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


def _place(result: Segmentation, source: Dataset, frame_number: int, profile: Profile) -> None:
    plane = read_plane(source, frame_number)
    if plane is not None:
        place(result, plane)
    elif profile == "ohif":
        place_as_the_image(result, source)
    else:
        # PS3.3 C.7.6.1.1.1: the segmentation lies in the source's own pixel matrix.
        result.PatientOrientation = pair_of(source, "PatientOrientation")
