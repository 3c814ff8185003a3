"""What stage 7 encodes: the images of one study revision and what every model said of them.

In: headers as received and recorded runs. Out: the values that each encoder takes, and the value
that it gives back. An object has a *variant* where viewers need different bytes of one content:
"ohif" and "plain" are objects of their own, with UIDs of their own; every other kind has "".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations
from typing import NamedTuple

from pydicom.dataset import Dataset

from node.destinations import ResultKind, Variant
from node.errors import EncodingError
from workers.dicom.anatomy import read_laterality, read_view
from workers.dicom.equipment import ModelIdentity
from workers.dicom.inheritance import IDENTITY, ImageReference, reference_to
from workers.findings import Finding, RunOutcome
from workers.images import SourceImage

# A kind in one variant.
Form = tuple[ResultKind, Variant]


def _no_pixels() -> SourceImage:
    raise EncodingError("the pixels of this image are not at hand")


@dataclass(frozen=True, slots=True)
class ImageAnalysis:
    """One image of the study: its header as received and every run on it.

    `frame_number`: the frame of a multi-frame image that was analysed, 1-based. `read_image`:
    decodes the frame again, for objects that show it; raises DecodingError.
    """

    source: Dataset
    spacing_source: str | None
    runs: tuple[RunOutcome, ...]
    frame_number: int = 1
    read_image: Callable[[], SourceImage] = _no_pixels

    @property
    def reference(self) -> ImageReference:
        """How other objects name the image."""
        return reference_to(self.source, self.frame_number)

    @property
    def name(self) -> str:
        """What people find it again by: modality, side, view, instance and frame number."""
        source = self.source
        place = (source.get("Modality"), read_laterality(source), read_view(source))
        number = source.get("InstanceNumber")
        parts = (
            " ".join(str(word) for word in place if word),
            f"instance {number}" if number else None,
            self._frame,
        )
        return ", ".join(part for part in parts if part) or "image"

    @property
    def frames(self) -> int:
        """How many the image has; of several one was looked at."""
        count = self.source.get("NumberOfFrames")
        return count if isinstance(count, int) and count > 1 else 1

    @property
    def _frame(self) -> str | None:
        if not self.reference.frame_numbers:
            return None
        return f"frame {self.frame_number}" + (f" of {self.frames}" if self.frames > 1 else "")

    @property
    def findings(self) -> list[Finding]:
        """What all models found on it, in the order of the runs."""
        return [finding for run in self.runs for finding in run.findings]


@dataclass(frozen=True, slots=True)
class StudyAnalysis:
    """One revision of one study.

    `content_at`: aware; when the study was complete. `predecessors`: the objects of the last
    delivered revision that this one's replace, by form; headers without pixels. `left_out`: how
    many other images had come by then that no model looked at, by reason.
    """

    analyses: tuple[ImageAnalysis, ...]
    revision: int
    content_at: datetime
    predecessors: Mapping[Form, Dataset] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EncodedResult:
    """One object. `source_sop_uid`: the image it is about, None for one about the study."""

    kind: ResultKind
    variant: Variant
    dataset: Dataset
    source_sop_uid: str | None = None


def models_of(runs: Iterable[RunOutcome]) -> list[ModelIdentity]:
    """Every model that ran, in the order in which results name them; each once."""
    return sorted({ModelIdentity(run.model, run.model_version) for run in runs})


def whose(analyses: Sequence[ImageAnalysis]) -> Dataset:
    """The header that an object about several images takes patient and study from.

    The first that says most, a Patient ID before all: one image without, a damaged one say, would
    make another patient of the whole study's report, and one without Accession Number take it from
    its order.
    """

    def says(header: Dataset) -> tuple[bool, int]:
        return bool(header.get("PatientID")), sum(bool(header.get(each)) for each in IDENTITY)

    return max((analysis.source for analysis in analyses), key=says)


def require_one_person(analyses: Sequence[ImageAnalysis]) -> None:
    """Raise EncodingError where images of a study are of two persons: no report is of both.

    A Study Instance UID that a device used twice does that. Another Patient ID alone does not: it
    may have been corrected between two images.
    """
    if (difference := others_among(analyses)) is not None:
        raise EncodingError(
            f"the images are of different persons ({difference}): have those of each sent "
            "under a Study Instance UID of its own"
        )


def others_among(analyses: Sequence[ImageAnalysis]) -> str | None:
    """What shows that some images are of another person than the others; None: nothing does."""
    people = {_Person.of(analysis.source) for analysis in analyses}
    differences = (one.difference(other) for one, other in combinations(sorted(people), 2))
    return next(filter(None, differences), None)


class _Person(NamedTuple):
    """What an image says of its patient; "" where it says nothing."""

    number: str
    born: str
    sex: str
    name: str

    @staticmethod
    def of(source: Dataset) -> _Person:
        keywords = ("PatientID", "PatientBirthDate", "PatientSex", "PatientName")
        number, born, sex, name = (str(source.get(each) or "").strip(" ^") for each in keywords)
        return _Person(number, born.replace(".", ""), sex, name.casefold())

    def difference(self, other: _Person) -> str | None:
        """What, beside the Patient ID, shows that this is somebody else; never its value."""
        if self.number and self.number == other.number:
            return None
        if _differ(self.born, other.born):
            return "Patient's Birth Date differs"
        if _differ(self.sex, other.sex):
            return "Patient's Sex differs"
        born_unknown = not (self.born and other.born)
        if born_unknown and _differ(self.number, other.number) and _differ(self.name, other.name):
            return "Patient ID and Patient's Name differ"
        return None


def _differ(one: str, other: str) -> bool:
    """Whether both say something, and not the same."""
    return bool(one and other and one != other)


def one_of_many(analyses: Sequence[ImageAnalysis]) -> str | None:
    """What people read beside "no findings" where most frames were not looked at."""
    loops = sum(analysis.frames > 1 for analysis in analyses)
    return f"Of {loops} image(s) with several frames one frame each was read." if loops else None


def not_analysed(left_out: Mapping[str, int]) -> list[str]:
    """What people read so that "no findings" is not taken for a word on these images."""
    return [f"Not analysed, {number} image(s): {why}." for why, number in sorted(left_out.items())]


def shortfall(runs: Sequence[RunOutcome]) -> str | None:
    """What people read before anything else where an analysis failed; None where none did."""
    failed = sum(run.error is not None for run in runs)
    return f"INCOMPLETE: {failed} of {len(runs)} analyses failed." if failed else None
