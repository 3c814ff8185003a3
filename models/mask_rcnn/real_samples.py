"""Training samples from folders of real images with outlines, beside the phantoms.

In: folders that `models.datasets.folders` recognises. Out: the same samples as phantoms give.
What must hold: images of one patient, or nearly the same picture, never stand on two of the three
sides: to train on, to choose operating points on ("tuning"), and to report on ("validation").
Public sets hold the same lesion several times, and a validation on its twin would say nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from models.contract import FindingKind, Model, ModelInputError
from models.datasets.cases import Case
from models.datasets.folders import read_folder, tell_unused
from models.datasets.splits import hold_out, k_folds
from models.datasets.tables import DataSetError
from models.mask_rcnn.labelled import CLASS_CODES, UNKNOWN, Sample, labelled
from models.training.folds import Fold

TUNING_SHARE = 0.1  # of what is not held out
_TUNING_SEED = 1


@dataclass(frozen=True, slots=True)
class Sides:
    """Names of the cases, "folder/case", on each side of the split."""

    training: tuple[str, ...]
    tuning: tuple[str, ...]
    validation: tuple[str, ...]

    def write(self, path: Path) -> None:
        """As JSON, beside the weights: which images they have seen."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @staticmethod
    def read(path: Path) -> Sides:
        """What `write` wrote."""
        facts = json.loads(path.read_text())
        return Sides(**{name: tuple(names) for name, names in facts.items()})


def split(
    cases: Sequence[Case],
    fold: Fold | None = None,
    is_used: Callable[[Case], bool] = lambda case: True,
) -> tuple[list[Case], list[Case], list[Case]]:
    """Training, tuning and validation cases of one folder, whole groups of twins each.

    Validation is the project's usual share, or one fold of a cross-validation: of the whole folder,
    so that an evaluation of it finds the same side; what is not used is left out of the sides.
    """
    outer = hold_out(cases) if fold is None else k_folds(cases, fold.count)[fold.number]
    rest = [cases[index] for index in outer.training if is_used(cases[index])]
    inner = hold_out(rest, TUNING_SHARE, _TUNING_SEED)
    return (
        [rest[index] for index in inner.training],
        [rest[index] for index in inner.validation],
        [cases[index] for index in outer.validation if is_used(cases[index])],
    )


def split_folders(
    folders: Sequence[Path], model: Model, fold: Fold | None = None
) -> tuple[tuple[list[Case], list[Case], list[Case]], Sides]:
    """As `split` for several folders, each by itself, and the names on each side."""
    sides: tuple[list[Case], list[Case], list[Case]] = ([], [], [])
    names: tuple[list[str], list[str], list[str]] = ([], [], [])
    is_used = partial(is_usable, model=model)
    for folder in folders:
        of_folder = split(_told(folder, model), fold, is_used)
        for side, own, cases in zip(sides, names, of_folder, strict=True):
            side += cases
            own += [f"{folder.name}/{case.name}" for case in cases]
    return sides, Sides(*(tuple(own) for own in names))


def usable(folder: Path, model: Model) -> list[Case]:
    """Cases of the model's modality whose lesions are outlined or known to be absent.

    Raises DataSetError where there are none.
    """
    return [case for case in _told(folder, model) if is_usable(case, model)]


def is_usable(case: Case, model: Model) -> bool:
    """Whether `model` can learn from it."""
    return case.modality == model.spec.modality and case.truth.knows(FindingKind.MASS)


def _told(folder: Path, model: Model) -> list[Case]:
    """All cases, once it is told how many are of no use. Raises DataSetError where none is."""
    cases = read_folder(folder)
    found = [case for case in cases if is_usable(case, model)]
    if not found:
        raise DataSetError(
            f"{folder} holds no {model.spec.modality} image whose lesions are outlined or known to "
            f"be absent: nothing to train {model.spec.name} on"
        )
    tell_unused(folder, len(cases) - len(found), "nobody outlined their masses")
    return cases


def sample_of_case(index: int, cases: Sequence[Case], model: Model) -> Sample:
    """The sample of case `index`; a lesion without a class of its own has the image's.

    Raises ModelInputError that names the case.
    """
    case = cases[index]
    masses = [item for item in case.truth.lesions or () if item.kind is FindingKind.MASS]
    label = case.truth.label
    try:
        return labelled(
            case.read(),
            [(lesion.mask, lesion.offset_px) for lesion in masses],
            model,
            UNKNOWN if label is None else CLASS_CODES[label],
            [
                CLASS_CODES[lesion.label or (None if label == "normal" else label)]
                for lesion in masses
            ],
        )
    except ModelInputError as error:
        raise ModelInputError(f"{case.name} cannot be trained on: {error}") from error


def maker(cases: Sequence[Case], model: Model) -> partial[Sample]:
    """A picklable function from an index into `cases` to a sample."""
    return partial(sample_of_case, cases=cases, model=model)
