"""What stage 7 encodes: the images of one study revision and what every model said of them.

In: headers as received and recorded runs. Out: the values that each encoder takes, and the value
that it gives back. An object has a *variant* where viewers need different bytes of one content:
"ohif" and "plain" are objects of their own, with UIDs of their own; every other kind has "".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydicom.dataset import Dataset

from node.destinations import ResultKind, Variant
from node.errors import EncodingError
from workers.dicom.equipment import ModelIdentity
from workers.dicom.inheritance import ImageReference, reference_to
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
    def findings(self) -> list[Finding]:
        """What all models found on it, in the order of the runs."""
        return [finding for run in self.runs for finding in run.findings]


@dataclass(frozen=True, slots=True)
class StudyAnalysis:
    """One revision of one study.

    `content_at`: aware; when the study was complete. `predecessors`: the objects of the last
    delivered revision that this one's replace, by form; headers without pixels.
    """

    analyses: tuple[ImageAnalysis, ...]
    revision: int
    content_at: datetime
    predecessors: Mapping[Form, Dataset] = field(default_factory=dict)


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

    The first with a Patient ID, else the first: one image without, a damaged one say, would make
    another patient of the whole study's report.
    """
    headers = [analysis.source for analysis in analyses]
    return next((header for header in headers if header.get("PatientID")), headers[0])


def shortfall(runs: Sequence[RunOutcome]) -> str | None:
    """What people read before anything else where an analysis failed; None where none did."""
    failed = sum(run.error is not None for run in runs)
    return f"INCOMPLETE: {failed} of {len(runs)} analyses failed." if failed else None
