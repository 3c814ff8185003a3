"""Samples of real images and phantoms: sides, maps, and packs that travel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: extra `train`")

from models.contract import FindingKind  # noqa: E402
from models.datasets.cases import Case, Lesion, Truth  # noqa: E402
from models.datasets.folders import read_folder  # noqa: E402
from models.datasets.tables import DataSetError  # noqa: E402
from models.resnet50.samples import (  # noqa: E402
    LESION,
    NO_CLASS,
    NO_LESION,
    UNKNOWN,
    of_cases,
    of_phantom,
    packed_stocks,
    split_of,
    stocks_of,
)
from models.resnet50.settings import Data  # noqa: E402
from models.resnet50.spec import CLASSES, SPEC  # noqa: E402
from models.training.folds import Fold  # noqa: E402
from models.training.samples import sample_pool  # noqa: E402

CPU = torch.device("cpu")


def test_sides_share_no_patient_and_folds_cover_everyone(rsna: Path) -> None:
    """The held-out side and each fold keep patients whole; every case validates once."""
    cases = read_folder(rsna)
    splits = [split_of(cases, None), *(split_of(cases, Fold(n, 3)) for n in range(3))]
    for split in splits:
        sides = [{cases[i].group for i in side} for side in (split.training, split.validation)]
        assert not sides[0] & sides[1]
    assert sorted(i for split in splits[1:] for i in split.validation) == list(range(24))


def test_real_images_become_samples(rsna: Path) -> None:
    """A cancer has an unknown map, a normal image an empty one; a black image teaches nothing."""
    make = of_cases(read_folder(rsna))
    image, facts, label, lesions = make(2)
    assert image.shape == SPEC.inputs[0].shape
    assert facts[0] == 1.0
    assert CLASSES[label[0]] == "malignant"
    assert (lesions == UNKNOWN).all()
    assert (make(1)[3] == NO_LESION).all()
    black = make(0)
    assert not black[0].any()
    assert black[2] == NO_CLASS
    assert (black[3] == UNKNOWN).all()


def test_an_outlined_lesion_is_marked_where_it_is_seen(rsna: Path) -> None:
    """The map of an outlined lump covers the brightest pixels of the prepared image."""
    (case,) = [case for case in read_folder(rsna) if case.name == "2"]
    rows, columns = np.mgrid[-9:10, -9:10]
    lump = Lesion(FindingKind.MASS, rows**2 + columns**2 <= 81, (61, 21))
    outlined = Case("x", "MG", Truth("malignant", (lump,)), case.read)
    image, _, _, lesions = of_cases([outlined])(0)
    assert image[0][lesions == LESION].mean() > image[0][lesions == NO_LESION].mean() + 60


def test_a_phantom_has_all_parts_of_a_sample() -> None:
    """Image, facts and map have their shapes; a phantom with a class above normal has a lesion."""
    image, facts, label, lesions = of_phantom(3)
    assert image.shape == SPEC.inputs[0].shape
    assert facts.shape == SPEC.inputs[1].shape
    assert CLASSES[label[0]] == "normal" or (lesions == LESION).any()


def test_packs_replace_the_images(rsna: Path, tmp_path: Path) -> None:
    """Stocks read from packs equal those made from images; a folder without any is an error."""
    packs = tmp_path / "packs"
    settings = Data(phantoms=0, packs=str(packs))
    made = stocks_of(settings, [rsna], CPU, None)
    read = packed_stocks(packs, CPU)
    assert list(read) == ["rsna"]
    for one, other in zip(made["rsna"], read["rsna"], strict=True):
        assert len(one) == len(other) > 0
        for first, second in zip(one.batch(0, 4, 1), other.batch(0, 4, 1), strict=True):
            assert torch.equal(first, second)
    with pytest.raises(FileNotFoundError, match=r"training\.npz"):
        packed_stocks(tmp_path, CPU)


def test_folders_of_one_name_are_all_used(rsna: Path, tmp_path: Path) -> None:
    """Two archives unpacked as "rsna", and one called as the phantoms are."""
    for place in ("a/rsna", "b/rsna", "phantom"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).symlink_to(rsna)
    folders = [tmp_path / place for place in ("a/rsna", "b/rsna", "phantom")]
    with sample_pool(1) as pool:
        found = stocks_of(Data(phantoms=1, validation_phantoms=1), folders, CPU, pool)
        assert list(found) == ["rsna", "rsna-2", "phantom-2", "phantom"]


def test_nothing_to_train_on_is_told() -> None:
    """Neither a folder nor phantoms."""
    with pytest.raises(DataSetError, match="there is nothing to train on"):
        stocks_of(Data(phantoms=0), (), CPU, None)
