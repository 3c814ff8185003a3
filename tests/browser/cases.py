"""What a radiologist may have before her: phantoms of every sort, and the results on them.

In: the name of a case. Out: the images of one study with the findings that a model with exactly
these masks would report, and the result objects that the node would send for them. What must hold:
findings are measured and objects encoded by the code that does it in production.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.uid import UltrasoundMultiFrameImageStorage

from models.contract import FindingKind, Region
from phantoms.headers import ImagePlace
from phantoms.identity import StudyIdentity
from phantoms.mammogram import mammogram
from phantoms.mammography_object import Photometric, presentation_object
from phantoms.truth import LesionKind, LesionRequest, Phantom
from phantoms.ultrasound import ultrasound
from phantoms.ultrasound_object import ultrasound_object
from workers.analyses import EncodedResult, Form, ImageAnalysis, StudyAnalysis
from workers.combined import Partner
from workers.dicom.anatomy import read_laterality, read_view
from workers.dicom.decoding import read_source
from workers.dicom.spacing import read_spacing
from workers.dicom.writing import part10
from workers.findings import Finding, RunOutcome, measure
from workers.images import SourceImage
from workers.results import encode_study

Mask = NDArray[np.bool_]
Marked = tuple[FindingKind, Mask]

CONTENT_AT: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OHIF_FORMS: Final[frozenset[Form]] = frozenset({("SEG", "ohif"), ("SR", "ohif")})
_SEED: Final = 5
_FIRST_PATIENT: Final = 900_000
_KIND: dict[LesionKind, FindingKind] = {
    "mass": FindingKind.MASS,
    "calcification_cluster": FindingKind.CALCIFICATION_CLUSTER,
    "arterial_calcification": FindingKind.ARTERIAL_CALCIFICATION,
}
_LESIONS: Final = (
    LesionRequest("mass", margin="circumscribed", size_mm=22.0, conspicuity=0.8, height=-0.3),
    LesionRequest("calcification_cluster", size_mm=16.0, conspicuity=0.8, height=0.4),
    LesionRequest("arterial_calcification", size_mm=50.0, conspicuity=0.9),
)
_ANALYSED_FRAME, _N_FRAMES = 4, 6


@dataclass(frozen=True)
class Picture:
    """One image of a study.

    `marked`: what was found, each with a mask, bool (rows, columns). `frame_number`: 1-based.
    """

    source: FileDataset
    marked: tuple[Marked, ...]
    frame_number: int = 1

    @property
    def masks(self) -> list[Mask]:
        """The mask of every finding."""
        return [mask for _, mask in self.marked]

    @property
    def all_masks(self) -> Mask:
        """Where there is any finding, bool (rows, columns)."""
        union: Mask = np.logical_or.reduce(self.masks)
        return union


@dataclass(frozen=True)
class Case:
    """One study. `analysis`: what the models said of it, as values."""

    pictures: tuple[Picture, ...]
    analysis: StudyAnalysis

    @property
    def study_uid(self) -> str:
        """Study Instance UID."""
        return str(self.pictures[0].source.StudyInstanceUID)

    @property
    def findings(self) -> list[Finding]:
        """Of all images, in the order of the report."""
        return [found for each in self.analysis.analyses for found in each.findings]

    def results(
        self, wanted: Collection[Form] = OHIF_FORMS, partner: Partner | None = None
    ) -> list[EncodedResult]:
        """The objects that the node would send."""
        return list(encode_study(self.analysis, wanted, partner))


def draw(name: str) -> Case:
    """The case of this name, one of `CASES`."""
    # A patient of its own, or the viewer would list all other cases as her earlier studies.
    identity = StudyIdentity(_FIRST_PATIENT + list(CASES).index(name), "viewer")
    pictures = tuple(CASES[name](identity))
    analyses = tuple(_analysis(picture) for picture in pictures)
    return Case(pictures, StudyAnalysis(analyses, 1, CONTENT_AT))


def _analysis(picture: Picture) -> ImageAnalysis:
    source = picture.source
    spacing = read_spacing(source)
    facts: dict[str, Any] = {
        "model": "mask_rcnn_us" if source.Modality == "US" else "mask_rcnn_mg",
        "model_version": "1.0",
        "source_sop_uid": str(source.SOPInstanceUID),
    }
    found = tuple(
        measure(
            Region(kind, 0.97 - 0.1 * number, mask, (0, 0)),
            **facts,
            study_uid=str(source.StudyInstanceUID),
            revision=1,
            number=number,
            laterality=read_laterality(source),
            view=read_view(source),
            spacing_mm=None if spacing is None else spacing[0],
        )
        for number, (kind, mask) in enumerate(picture.marked, start=1)
    )
    run = RunOutcome(**facts, error=None, seconds=1.0, findings=found, probabilities={})
    return ImageAnalysis(
        source,
        None if spacing is None else spacing[1],
        (run,),
        picture.frame_number,
        partial(_decoded, source),
    )


def _decoded(source: FileDataset) -> SourceImage:
    """The image as the worker reads it."""
    with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        file.write(part10(source))
        file.flush()
        return read_source(Path(file.name))


def _mammogram(
    identity: StudyIdentity,
    view: str = "LCC",
    lesions: Sequence[LesionRequest] = _LESIONS[:1],
    photometric: Photometric = "MONOCHROME2",
) -> Picture:
    side, projection = view[0], view[1:]
    phantom = mammogram(_SEED, side, projection, lesions=lesions)  # type: ignore[arg-type]
    source = presentation_object(phantom, identity, _place(view), photometric, "LINEAR")
    return Picture(source, _truth(phantom))


def _ultrasound(identity: StudyIdentity, n_masses: int = 1, seed: int = _SEED) -> Picture:
    lesions = [LesionRequest("mass", margin="circumscribed", size_mm=11.0)] * n_masses
    phantom = ultrasound(seed, lesions=lesions, laterality="R")
    return Picture(ultrasound_object(phantom, identity, _place("US")), _truth(phantom))


def _place(image: str) -> ImagePlace:
    return ImagePlace(image, image, 1, image, 1, 0)


def _truth(phantom: Phantom) -> tuple[Marked, ...]:
    marked = []
    for lesion in phantom.lesions:
        mask = np.zeros(phantom.pixels.shape, np.bool_)
        (row, column), (height, width) = lesion.offset_px, lesion.mask.shape
        mask[row : row + height, column : column + width] = lesion.mask
        marked.append((_KIND[lesion.kind], mask))
    return tuple(marked)


def _at_edges(picture: Picture) -> Picture:
    """The same image with findings that all four of its edges and a corner cut."""
    rows, columns = picture.source.Rows, picture.source.Columns
    centres = (
        (0, columns // 2),
        (rows - 1, columns // 3),
        (rows // 2, 0),
        (rows // 2, columns - 1),
    )
    masks = [
        _disc(rows, columns, centre, rows // 12) for centre in (*centres, (rows - 1, columns - 1))
    ]
    return Picture(picture.source, tuple((FindingKind.MASS, mask) for mask in masks))


def _disc(rows: int, columns: int, centre: tuple[int, int], radius_px: int) -> Mask:
    y, x = np.ogrid[:rows, :columns]
    inside: Mask = np.hypot(y - centre[0], x - centre[1]) <= radius_px
    return inside


def _flipped(picture: Picture) -> Picture:
    """The same breast read out from the other side: rows and orientation run the other way."""
    source = picture.source
    source.PixelData = np.ascontiguousarray(source.pixel_array[::-1, ::-1]).tobytes()
    turned = str.maketrans("APLRHF", "PARLFH")
    source.PatientOrientation = [each.translate(turned) for each in source.PatientOrientation]
    marked = tuple((kind, mask[::-1, ::-1].copy()) for kind, mask in picture.marked)
    return Picture(source, marked)


def _overlapping(picture: Picture) -> Picture:
    """A cluster of calcifications within the mass, and another finding that crosses its rim."""
    rows, columns = picture.all_masks.shape
    y, x = (int(values.mean()) for values in np.nonzero(picture.all_masks))
    within = _disc(rows, columns, (y, x), 14)
    across = _disc(rows, columns, (y + 45, x), 30)
    cluster = FindingKind.CALCIFICATION_CLUSTER
    return Picture(picture.source, (*picture.marked, (cluster, within), (FindingKind.MASS, across)))


def _without_spacing(picture: Picture) -> Picture:
    del picture.source.ImagerPixelSpacing
    return picture


def _calibrated(picture: Picture) -> Picture:
    """Pixel Spacing of its own, at the depth of the breast (PS3.3 10.7.1.3)."""
    picture.source.PixelSpacing = [0.2, 0.2]
    return picture


def _magnified(picture: Picture) -> Picture:
    picture.source.EstimatedRadiographicMagnificationFactor = "1.8"
    return picture


def _in_colour(picture: Picture) -> Picture:
    """Stored as RGB, as most scanners do also where nothing is coloured."""
    source = picture.source
    source.PixelData = np.repeat(source.pixel_array[..., np.newaxis], 3, axis=2).tobytes()
    source["PixelData"].VR = "OW"
    source.SamplesPerPixel, source.PlanarConfiguration = 3, 0
    source.PhotometricInterpretation = "RGB"
    return picture


def _cine(picture: Picture) -> Picture:
    """A loop; what moves is the brightness."""
    source = picture.source
    source.SOPClassUID = UltrasoundMultiFrameImageStorage
    source.file_meta.MediaStorageSOPClassUID = source.SOPClassUID
    gains = 0.5 + 0.1 * np.arange(_N_FRAMES)[:, np.newaxis, np.newaxis]
    source.PixelData = (gains * source.pixel_array).astype(np.uint8).tobytes()
    source["PixelData"].VR = "OW"
    source.NumberOfFrames = _N_FRAMES
    source.FrameTime = 40
    source.FrameIncrementPointer = 0x00181063
    source.RepresentativeFrameNumber = _ANALYSED_FRAME
    return Picture(source, picture.marked, _ANALYSED_FRAME)


Draw = Callable[[StudyIdentity], Sequence[Picture]]
CASES: Final[dict[str, Draw]] = {
    "left CC": lambda at: [_mammogram(at)],
    "right CC, three kinds": lambda at: [_mammogram(at, "RCC", _LESIONS)],
    "left MLO, edges": lambda at: [_at_edges(_mammogram(at, "LMLO"))],
    "right MLO, MONOCHROME1": lambda at: [
        _mammogram(at, "RMLO", _LESIONS[:2], photometric="MONOCHROME1")
    ],
    "MONOCHROME1, edges": lambda at: [_at_edges(_mammogram(at, "RCC", photometric="MONOCHROME1"))],
    "flipped": lambda at: [_flipped(_mammogram(at, "LMLO", _LESIONS[:2]))],
    "flipped right": lambda at: [_flipped(_mammogram(at, "RCC", _LESIONS[:2]))],
    "overlapping": lambda at: [_overlapping(_mammogram(at))],
    "no spacing": lambda at: [_without_spacing(_mammogram(at))],
    "calibrated": lambda at: [_calibrated(_mammogram(at))],
    "magnified": lambda at: [_magnified(_mammogram(at))],
    "both breasts": lambda at: [_mammogram(at, "LCC"), _mammogram(at, "RCC", _LESIONS[:2])],
    "ultrasound": lambda at: [_ultrasound(at)],
    "ultrasound, two masses": lambda at: [_ultrasound(at, 2)],
    "ultrasound, edges": lambda at: [_at_edges(_ultrasound(at))],
    "ultrasound, RGB": lambda at: [_in_colour(_ultrasound(at))],
    "ultrasound cine": lambda at: [_cine(_ultrasound(at, 2))],
}
