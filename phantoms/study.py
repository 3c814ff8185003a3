"""One synthetic study as DICOM files with its truth beside them.

In: a seed and options. Out: a folder with the objects, `truth/<SOPInstanceUID>.json` with one mask
picture per lesion, and `index.json`. The same seed and options write the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydicom.dataset import FileDataset

from phantoms.dataset import write_truth
from phantoms.headers import ImagePlace
from phantoms.identity import StudyIdentity
from phantoms.mammogram import mammogram
from phantoms.mammography_object import (
    PRESENTATION_SERIES,
    PROCESSING_SERIES,
    Photometric,
    VoiFunction,
    presentation_object,
    processing_object,
)
from phantoms.truth import Laterality, Phantom, View
from phantoms.ultrasound import ultrasound
from phantoms.ultrasound_object import ultrasound_object

ViewName = Literal["LCC", "RCC", "LMLO", "RMLO", "US"]

MAMMOGRAM_VIEWS: dict[str, tuple[Laterality, View]] = {
    "LCC": ("L", "CC"),
    "RCC": ("R", "CC"),
    "LMLO": ("L", "MLO"),
    "RMLO": ("R", "MLO"),
}
VIEW_NAMES: tuple[ViewName, ...] = ("LCC", "RCC", "LMLO", "RMLO", "US")

# Studies draw from seeds that training never sees: whoever trains on generator seeds below this
# may be evaluated on the study of any seed.
FIRST_STUDY_SEED = 1_000_000_000


@dataclass(frozen=True, slots=True)
class StudyOptions:
    """What a study holds. `rows`: of the mammograms; 3328 is full resolution (0.07 mm)."""

    views: tuple[ViewName, ...] = ("LCC", "RCC", "LMLO", "RMLO")
    rows: int = 1664
    processing: bool = True
    photometric: Photometric = "MONOCHROME2"
    voi: VoiFunction = "LINEAR"

    @property
    def size_px(self) -> tuple[int, int]:
        """Rows and columns of a mammogram, in the proportion of 3328 to 2560."""
        return self.rows, 8 * round(self.rows * 2560 / 3328 / 8)

    @property
    def variant(self) -> str:
        """Names what changes the pixels of an object, not which objects there are.

        So a study sent in two parts, or with a view added later, stays one study.
        """
        return f"{self.rows}/{self.photometric}/{self.voi}"


@dataclass(frozen=True, slots=True)
class WrittenImage:
    """One line of the index."""

    path: Path
    dataset: FileDataset
    phantom: Phantom


def write_study(
    directory: Path, seed: int, options: StudyOptions, on_image: Callable[[], None] | None = None
) -> Path:
    """Write one study into `directory` and return the path of its index.

    `on_image` is called after each file. Raises ValueError for a negative seed or a size too small.
    """
    directory.mkdir(parents=True, exist_ok=True)
    identity = StudyIdentity(seed, options.variant)
    entries = []
    for image in _images(directory, identity, options):
        image.dataset.save_as(image.path, enforce_file_format=True)
        write_truth(directory, str(image.dataset.SOPInstanceUID), image.phantom)
        entries.append(_entry(image))
        if on_image is not None:
            on_image()
    index = {
        "seed": seed,
        "study_instance_uid": identity.study_instance_uid,
        "patient_id": identity.patient_id,
        "files": entries,
    }
    path = directory / "index.json"
    path.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return path


def count_images(options: StudyOptions) -> int:
    """How many files a study of these options has."""
    mammograms = sum(view != "US" for view in options.views)
    return mammograms * (2 if options.processing else 1) + 2 * ("US" in options.views)


def _images(
    directory: Path, identity: StudyIdentity, options: StudyOptions
) -> Iterator[WrittenImage]:
    """The objects of a study, one at a time: a full-size study does not fit in little memory."""
    for view in options.views:
        if view == "US":
            yield from _ultrasound_pair(directory, identity)
        else:
            yield from _exposure(directory, identity, options, view)


def _exposure(
    directory: Path, identity: StudyIdentity, options: StudyOptions, view: ViewName
) -> Iterator[WrittenImage]:
    """For Presentation and, if wanted, For Processing objects of one view."""
    laterality, projection = MAMMOGRAM_VIEWS[view]
    seed = FIRST_STUDY_SEED + identity.seed
    phantom = mammogram(seed, laterality, projection, options.size_px)
    number = VIEW_NAMES.index(view) + 1
    place = _place(PRESENTATION_SERIES, view, 1, "FFDM, for presentation", number)
    yield WrittenImage(
        directory / f"MG-{view}-presentation.dcm",
        presentation_object(phantom, identity, place, options.photometric, options.voi),
        phantom,
    )
    if options.processing:
        place = _place(PROCESSING_SERIES, view, 2, "FFDM, for processing", number)
        path = directory / f"MG-{view}-processing.dcm"
        yield WrittenImage(path, processing_object(phantom, identity, place), phantom)


def _ultrasound_pair(directory: Path, identity: StudyIdentity) -> Iterator[WrittenImage]:
    """One ultrasound image of each breast."""
    sides: tuple[Laterality, Laterality] = ("L", "R")
    for number, laterality in enumerate(sides):
        seed = FIRST_STUDY_SEED + 2 * identity.seed + number
        phantom = ultrasound(seed, laterality=laterality)
        place = _place("ultrasound", laterality, 3, "Breast ultrasound", number + 1)
        path = directory / f"US-{laterality}.dcm"
        yield WrittenImage(path, ultrasound_object(phantom, identity, place), phantom)


def _place(
    series: str, image: str, series_number: int, description: str, number: int
) -> ImagePlace:
    """Place of an image; exposures are half a minute apart."""
    second = 30 * number + 600 * (series_number == 3)
    return ImagePlace(series, image, series_number, description, number, second)


def _entry(image: WrittenImage) -> dict[str, Any]:
    """What the index says of one file."""
    uid = str(image.dataset.SOPInstanceUID)
    return {
        "file": image.path.name,
        "sop_class_uid": str(image.dataset.SOPClassUID),
        "sop_instance_uid": uid,
        "modality": image.phantom.modality,
        "laterality": image.phantom.laterality,
        "view": image.phantom.view,
        "label": image.phantom.label,
        "truth": f"truth/{uid}.json",
    }
