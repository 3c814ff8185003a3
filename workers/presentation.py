"""Stage 7: the findings of one image become one softcopy presentation state (PS3.3 A.33).

In: an image's analysis. Out: a Grayscale Softcopy Presentation State, or for a colour image a Color
one, with the outlines of all findings, a label beside each, and what failed. What must hold: the
image keeps its own grey scale, its shutter, its overlays and its whole area; no label hides a
finding while there is room; a model that failed is written on the image; the same input gives the
same bytes.

One object per image, because Modality LUT and Presentation LUT Shape count for all images that an
object names: a MONOCHROME1 and a MONOCHROME2 image cannot share one, and workstations list the
states of an image beside it. Outlines are in pixel coordinates, so they follow the image when the
hanging protocol flips or turns it; the notice is placed in the displayed area and stays put.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

from highdicom.pr import ColorSoftcopyPresentationState, GrayscaleSoftcopyPresentationState
from pydicom.dataset import Dataset

from node.destinations import Variant
from node.errors import EncodingError
from node.identifiers import derived_uid
from workers.analyses import EncodedResult, ImageAnalysis, StudyAnalysis, models_of
from workers.dicom import equipment
from workers.dicom.annotation import annotations_of, layers_of
from workers.dicom.colour_profile import srgb_profile
from workers.dicom.display import aspect_ratio, copy_grayscale
from workers.dicom.inheritance import plain_header, single_frame_class, site_time
from workers.dicom.outline_shutter import shutter_outlines
from workers.dicom.overlays import activate_overlays
from workers.dicom.provenance import state_origin
from workers.dicom.shutter import copy_shutter

PRESENTATION_SERIES_NUMBER: Final = 9600


class _Form(NamedTuple):
    """How one variant is told from the other; `names` go into the UIDs."""

    names: tuple[str, ...]
    series_number: int
    series_description: str


_GRAPHICS: Final = _Form((), PRESENTATION_SERIES_NUMBER, "AI marks, research use only")
_SHUTTERED: Final = _Form(
    ("shutter",), PRESENTATION_SERIES_NUMBER + 1, "AI marks as shutter, research use only"
)


def encode_presentations(study: StudyAnalysis, variant: Variant = "") -> Iterator[EncodedResult]:
    """One object for each image of the study that has something to draw. Raises EncodingError.

    `variant`: "shutter" shows the outlines as a bitmap display shutter too.
    """
    for number, analysis in enumerate(study.analyses, start=1):
        if is_presentable(analysis):
            state = encode_presentation(
                analysis,
                revision=study.revision,
                content_at=study.content_at,
                instance_number=number,
                shuttered=variant == "shutter",
            )
            yield EncodedResult("GSPS", variant, state, str(analysis.source.SOPInstanceUID))


def is_presentable(analysis: ImageAnalysis) -> bool:
    """Whether there is something to draw, a finding or a failure to tell of, and where to draw it.

    An image that could not be read may have no size; its failure stands in the report.
    """
    sizes = [analysis.source.get(keyword) for keyword in ("Rows", "Columns")]
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        return any(run.findings for run in analysis.runs)
    return any(run.findings or run.error is not None for run in analysis.runs)


def encode_presentation(
    analysis: ImageAnalysis,
    *,
    revision: int,
    content_at: datetime,
    instance_number: int,
    shuttered: bool = False,
) -> Dataset:
    """Encode what is drawn on one image.

    `content_at`: aware. `instance_number`: 1-based, within the series of the study's revision.
    `shuttered`: the outlines are a bitmap display shutter too.
    Raises EncodingError when there is nothing to draw, a finding leaves the image, or the header
    lacks what identifies it.
    """
    source = analysis.source
    header = _header(source)
    if not is_presentable(analysis):
        raise EncodingError("a presentation state needs a finding or a failure to tell of")
    models = models_of(analysis.runs)
    names = [f"{model.name}:{model.version}" for model in models]
    study_uid, at = str(header.StudyInstanceUID), site_time(content_at, source)
    is_grey = header.SamplesPerPixel == 1
    document = GrayscaleSoftcopyPresentationState if is_grey else ColorSoftcopyPresentationState
    colour: dict[str, Any] = {} if is_grey else {"icc_profile": srgb_profile(at)}
    layers = layers_of(analysis.findings)
    form = _SHUTTERED if shuttered else _GRAPHICS
    try:
        result = document(
            referenced_images=[header],
            series_instance_uid=derived_uid("GSPS series", study_uid, revision, *form.names),
            series_number=form.series_number,
            sop_instance_uid=derived_uid(
                "GSPS", study_uid, header.SOPInstanceUID, revision, *names, *form.names
            ),
            instance_number=instance_number,
            manufacturer=equipment.MANUFACTURER,
            manufacturer_model_name=equipment.MANUFACTURER_MODEL_NAME,
            software_versions=equipment.software_version(),
            device_serial_number=equipment.device_serial_number(models),
            content_label="AI_FINDINGS",
            content_description=equipment.RESEARCH_USE_ONLY,
            graphic_annotations=annotations_of(analysis.runs, header, layers),
            graphic_layers=layers,
            series_description=form.series_description,
            **colour,
        )
    except ValueError as error:
        raise EncodingError(f"the presentation state cannot be written: {error}") from error
    _complete(result, analysis, at)
    if shuttered and analysis.findings:
        shutter_outlines(result, source, analysis.findings, is_grey=is_grey)
        _limit_to_frame(result, analysis)
    else:
        copy_shutter(result, source, is_grey=is_grey)
    activate_overlays(result, source)
    if is_grey:
        copy_grayscale(result, source, analysis.frame_number)
    state_origin(result, source, models, at)
    return result


def _header(source: Dataset) -> Dataset:
    """What the library needs of the image, one frame of it."""
    header = plain_header(source)
    if not (header.get("Rows") and header.get("Columns")):
        raise EncodingError("the source image has no Rows or no Columns")
    header.SOPClassUID = single_frame_class(source)
    # The grayscale class is for MONOCHROME1 and 2 only; palettes count as colour (PS3.3 A.33.2).
    how = str(source.get("PhotometricInterpretation") or "")
    is_grey = how.startswith("MONOCHROME") if how else source.get("SamplesPerPixel") != 3
    header.SamplesPerPixel = 1 if is_grey else 3
    return header


def _complete(result: Dataset, analysis: ImageAnalysis, at: datetime) -> None:
    """Times, whole image, and references that say which frame the marks are on."""
    # The series holds the marks of both breasts, so it has no side (PS3.3 C.7.3.1, type 2C).
    result.Laterality = None
    result.PresentationCreationDate = at.strftime("%Y%m%d")
    result.PresentationCreationTime = at.strftime("%H%M%S.%f")
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner = [1, 1]
    area.DisplayedAreaBottomRightHandCorner = [
        int(analysis.source.Columns),
        int(analysis.source.Rows),
    ]
    area.PresentationSizeMode = "SCALE TO FIT"
    area.PresentationPixelAspectRatio = aspect_ratio(analysis.source)
    result.DisplayedAreaSelectionSequence = [area]
    reference = analysis.reference
    # All frames of a loop keep their grey scale; only one carries the marks.
    for series in result.ReferencedSeriesSequence:
        for image in series.ReferencedImageSequence:
            image.ReferencedSOPClassUID = reference.sop_class_uid
    for annotation in result.GraphicAnnotationSequence:
        for image in annotation.ReferencedImageSequence:
            image.ReferencedSOPClassUID = reference.sop_class_uid
            if reference.frame_numbers:
                image.ReferencedFrameNumber = reference.frame_numbers


def _limit_to_frame(result: Dataset, analysis: ImageAnalysis) -> None:
    """A shutter lies on everything that the state is of: on the analysed frame alone, then."""
    frames = analysis.reference.frame_numbers
    for series in result.ReferencedSeriesSequence:
        for image in series.ReferencedImageSequence:
            if frames:
                image.ReferencedFrameNumber = frames
