"""Between stages 6 and 7: what mammogram and ultrasound say together, breast by breast.

In: the analyses of both. Out: for each breast, and for the patient, a verdict by mammogram, by
ultrasound and by either (Kumar et al. 2025: "an OR operation was applied"). What must hold: only a
source of which every model succeeded on every image can be negative; what failed or was declined
"cannot be assessed", and an OR with it is positive or cannot be assessed, never negative.

A source is positive when a model reached its operating point for something that may be cancer: a
mass, a calcification cluster, a probability of malignancy. Arterial calcification and a benign
class never make it so. The detectors mark lesions and not malignancy, so a benign mass counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from models.contract import FindingKind, Laterality, Modality
from models.registry import MODELS
from workers.analyses import ImageAnalysis
from workers.dicom.anatomy import read_laterality
from workers.dicom.codes import FINDING_LABEL
from workers.findings import RunOutcome

MODALITIES: Final[tuple[Modality, ...]] = ("MG", "US")

# The names under which models keep the operating points of what may be cancer.
_SUSPICIOUS_KINDS: Final[Mapping[str, FindingKind]] = {
    "mass": FindingKind.MASS,
    "mc": FindingKind.CALCIFICATION_CLUSTER,
}
_SUSPICIOUS_CLASSES: Final = frozenset({"malignant", "cancer"})


class Verdict(StrEnum):
    """What one source, or several together, say of a breast."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    UNKNOWN = "cannot be assessed"
    NOT_EXAMINED = "not examined"


@dataclass(frozen=True, slots=True)
class Sign:
    """The highest score of one model for one thing that may be cancer.

    `target`: a kind of finding or the name of a class. `score` and `operating_point` in [0, 1]; the
    latter is None where the run's version of the model is not the installed one, whose findings
    reached it all the same.
    """

    run: RunOutcome
    target: FindingKind | str
    score: float
    operating_point: float | None

    @property
    def is_finding(self) -> bool:
        """A region, else the probability of a class."""
        return isinstance(self.target, FindingKind)

    @property
    def name(self) -> str:
        """What people read."""
        if isinstance(self.target, FindingKind):
            return FINDING_LABEL[self.target]
        return f"Probability of class {self.target}"

    @property
    def text(self) -> str:
        """The name with the score and what it is measured by."""
        point = self.operating_point
        known = "not known" if point is None else f"{100 * point:.0f} %"
        model = f"{self.run.model} {self.run.model_version}"
        return f"{self.name} {100 * self.score:.0f} % (operating point {known}, {model})"

    @property
    def positive(self) -> bool:
        """Findings are recorded only at or above their operating point; probabilities always."""
        if self.operating_point is None:
            return self.is_finding
        return self.score >= self.operating_point


@dataclass(frozen=True, slots=True)
class Source:
    """One modality, on one breast or on all of the patient's images."""

    modality: Modality
    analyses: tuple[ImageAnalysis, ...]

    @property
    def runs(self) -> list[RunOutcome]:
        """What the models of this modality said."""
        return [
            run
            for analysis in self.analyses
            for run in analysis.runs
            if modality_of(run.model) == self.modality
        ]

    @property
    def failures(self) -> list[RunOutcome]:
        """The runs that gave nothing, whether they failed or declined the image."""
        return [run for run in self.runs if run.error is not None]

    @property
    def signs(self) -> list[Sign]:
        """The best sign of each model and target, positive or not."""
        best: dict[tuple[str, str], Sign] = {}
        for sign in (sign for run in self.runs for sign in _signs(run)):
            key = (sign.run.model, str(sign.target))
            if key not in best or sign.score > best[key].score:
                best[key] = sign
        return list(best.values())

    @property
    def verdict(self) -> Verdict:
        """See the module."""
        if not self.runs:
            return Verdict.NOT_EXAMINED
        if any(sign.positive for sign in self.signs):
            return Verdict.POSITIVE
        judged = not self.failures and all(_is_judged(run) for run in self.runs)
        return Verdict.NEGATIVE if judged else Verdict.UNKNOWN


@dataclass(frozen=True, slots=True)
class Breast:
    """Both sources on one breast; `laterality` None: images that do not say which it is."""

    laterality: Laterality | None
    sources: tuple[Source, ...]
    either: Verdict


def modality_of(model: str) -> Modality | None:
    """What kind of image a model reads; None for a model that is no longer known."""
    known = MODELS.get(model)
    return None if known is None else known.spec.modality


def sources_of(analyses: Sequence[ImageAnalysis]) -> tuple[Source, ...]:
    """The images of each modality, mammogram first."""
    return tuple(
        Source(
            modality,
            tuple(
                each
                for each in analyses
                if any(modality_of(run.model) == modality for run in each.runs)
            ),
        )
        for modality in MODALITIES
    )


def holds_both(analyses: Sequence[ImageAnalysis]) -> bool:
    """Whether models of both modalities have run."""
    return all(source.runs for source in sources_of(analyses))


def either(verdicts: Iterable[Verdict]) -> Verdict:
    """The OR of Kleene's three-valued logic over the sources that were examined."""
    examined = [verdict for verdict in verdicts if verdict is not Verdict.NOT_EXAMINED]
    for verdict in (Verdict.POSITIVE, Verdict.UNKNOWN, Verdict.NEGATIVE):
        if verdict in examined:
            return verdict
    return Verdict.NOT_EXAMINED


def breasts_of(analyses: Sequence[ImageAnalysis]) -> tuple[Breast, ...]:
    """Left, right, and the images that state no side, as far as there are any.

    What an image without a side shows may be in either breast: unless such images are negative, no
    breast is.
    """
    sides: dict[Laterality | None, list[ImageAnalysis]] = {"L": [], "R": [], None: []}
    for analysis in analyses:
        sides[read_laterality(analysis.source)].append(analysis)
    unsided = either(source.verdict for source in sources_of(sides[None]))
    found = []
    for side, images in sides.items():
        sources = sources_of(images)
        verdict = either(source.verdict for source in sources)
        if verdict is Verdict.NEGATIVE and unsided in (Verdict.POSITIVE, Verdict.UNKNOWN):
            verdict = Verdict.UNKNOWN
        if images:
            found.append(Breast(side, sources, verdict))
    return tuple(found)


def nothing_marked(analyses: Sequence[ImageAnalysis]) -> str:
    """What people read where no region is marked: a classifier may be positive all the same."""
    signs = [sign for source in sources_of(analyses) for sign in source.signs if sign.positive]
    if not signs:
        return f"No findings on {len(analyses)} image(s)."
    said = "; ".join(sign.text for sign in signs)
    return f"No region marked on {len(analyses)} image(s), but POSITIVE: {said}."


def _is_judged(run: RunOutcome) -> bool:
    """Whether its probabilities, if it gave any that count, have an operating point."""
    spec = MODELS[run.model].spec
    counted = _SUSPICIOUS_CLASSES & spec.thresholds.keys() & run.probabilities.keys()
    return not counted or spec.version == run.model_version


def _signs(run: RunOutcome) -> list[Sign]:
    spec = MODELS[run.model].spec
    points = spec.thresholds if spec.version == run.model_version else {}
    kinds = {kind: points.get(name) for name, kind in _SUSPICIOUS_KINDS.items()}
    classes = {name: points[name] for name in _SUSPICIOUS_CLASSES if name in points}
    signs = [
        Sign(run, found.kind, found.score, kinds[found.kind])
        for found in run.findings
        if found.kind in kinds
    ]
    return signs + [
        Sign(run, name, run.probabilities[name], point)
        for name, point in sorted(classes.items())
        if name in run.probabilities
    ]
