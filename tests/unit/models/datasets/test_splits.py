from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.contract import BreastImage, FindingKind, Modality
from models.datasets.cases import Case, Label, Lesion, Truth
from models.datasets.folders import read_folder
from models.datasets.splits import Split, fingerprint, groups, hold_out, k_folds

LABELS: tuple[Label, ...] = ("normal", "benign", "malignant")


def case(
    number: int,
    group: str = "",
    pixels: NDArray[np.float32] | None = None,
    modality: Modality = "MG",
    lesions: tuple[Lesion, ...] = (),
) -> Case:
    image = BreastImage(np.zeros((8, 8), np.float32) if pixels is None else pixels, modality)
    truth = Truth(LABELS[number % 3], lesions)
    return Case(f"{number:03}", modality, truth, lambda: image, group)


def patients(count: int) -> list[Case]:
    """Two to five images of each patient, labels mixed."""
    return [case(number, f"patient {number // 4 + number % 2 * 7}") for number in range(count)]


def pictures(count: int) -> list[Case]:
    """Ultrasound images of unknown patients; every third is the one before with some noise."""
    rng = np.random.default_rng(1)
    cases: list[Case] = []
    pixels = rng.random((96, 96), dtype=np.float32)
    for number in range(count):
        fresh = rng.random((96, 96), dtype=np.float32)
        pixels = 0.9 * pixels + 0.1 * fresh if number % 3 == 2 else fresh
        cases.append(case(number, pixels=pixels.astype(np.float32), modality="US"))
    return cases


def leaks(cases: list[Case], split: Split) -> bool:
    side = dict.fromkeys(split.training, "training")
    side |= dict.fromkeys(split.validation, "validation")
    return any(len({side[index] for index in group}) > 1 for group in groups(cases))


def test_a_patient_is_one_group() -> None:
    """Images with the same patient stay together, whatever they look like."""
    assert groups([case(0, "a"), case(1, "b"), case(2, "a")]) == [[0, 2], [1]]


def test_alike_pictures_are_one_group() -> None:
    """Where patients are unknown, a picture and its noisy twin stay together."""
    assert groups(pictures(6)) == [[0], [1, 2], [3], [4, 5]]


@pytest.mark.parametrize("make", [patients, pictures])
def test_nothing_leaks(make: Callable[[int], list[Case]]) -> None:
    """Held out or folded: no group stands on both sides, and every case on exactly one."""
    cases = make(90)
    for split in (hold_out(cases), *k_folds(cases, 5)):
        assert not leaks(cases, split)
        assert sorted(split.training + split.validation) == list(range(90))


def test_each_case_validates_once() -> None:
    """The validation sides of all folds together are the whole set."""
    cases = patients(90)
    counted = Counter(index for split in k_folds(cases, 5) for index in split.validation)
    assert counted == Counter(range(90))


def test_shares_are_kept_in_every_label() -> None:
    """A fifth of each label is held out, within one case."""
    cases = [case(number, str(number)) for number in range(150)]
    held_out = Counter(cases[index].truth.label for index in hold_out(cases, 0.2).validation)
    assert held_out == {"normal": 10, "benign": 10, "malignant": 10}


def test_rare_kinds_of_lesion_reach_every_fold() -> None:
    """Five clusters among a hundred images: one in each of five folds."""
    cluster = Lesion(FindingKind.CALCIFICATION_CLUSTER, np.ones((2, 2), bool), (0, 0))
    cases = [
        case(3 * number, str(number), lesions=(cluster,) if number % 20 == 0 else ())
        for number in range(100)
    ]
    for split in k_folds(cases, 5):
        assert sum(bool(cases[index].truth.lesions) for index in split.validation) == 1


def test_the_order_of_the_cases_does_not_matter() -> None:
    """The same names are held out from a shuffled list; another seed holds out others."""
    cases = patients(60)
    shuffled = [cases[index] for index in np.random.default_rng(0).permutation(60)]
    names = {cases[index].name for index in hold_out(cases).validation}
    assert names == {shuffled[index].name for index in hold_out(shuffled).validation}
    assert names != {cases[index].name for index in hold_out(cases, seed=1).validation}


def test_a_folder_with_other_images_is_another() -> None:
    """Five images fewer, and images that were trained on stand on the validation side."""
    cases = patients(60)
    assert fingerprint(cases) == fingerprint(cases[::-1])
    fewer, sides = cases[5:], hold_out(cases)
    assert fingerprint(fewer) != fingerprint(cases)
    trained = {cases[index].name for index in sides.training}
    assert trained & {fewer[index].name for index in hold_out(fewer).validation}
    renamed = [replace(cases[0], name="other"), *cases[1:]]
    assert fingerprint(renamed) != fingerprint(cases)


def test_too_many_folds_are_refused() -> None:
    """More folds than groups would leave a fold empty."""
    with pytest.raises(ValueError, match="3 folds of 2 groups"):
        k_folds([case(0, "a"), case(1, "b")], 3)


def test_the_real_sets_do_not_leak(real_data: Path) -> None:
    """BUSI by likeness, mini-MIAS and RSNA by patient: a fifth held out, nothing on both sides."""
    for name in ("busi", "mini_mias", "rsna"):
        cases = read_folder(real_data / name)
        split = hold_out(cases)
        assert not leaks(cases, split)
        assert len(split.validation) == pytest.approx(0.2 * len(cases), rel=0.02)
