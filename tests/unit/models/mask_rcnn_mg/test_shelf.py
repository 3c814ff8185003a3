"""Mammograms on a shelf: the same cases come back, small enough to carry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed: extra `train`")

from models.datasets.folders import read_folder
from models.mask_rcnn_mg import shelf
from models.mask_rcnn_mg.samples import Shares, sample, sources
from models.mask_rcnn_mg.train import SHELF, Config, DataSettings, prepare, sides
from tests.unit.models.mask_rcnn_mg.folders import mini_mias, rsna


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("sets")
    return [mini_mias(root / "mini_mias", 4), rsna(root / "rsna", 4)]


def test_cases_come_back(folders: list[Path], tmp_path: Path) -> None:
    """Names, patients, labels and masses are those written, pixels are close."""
    given = [read_folder(folder) for folder in folders]
    assert shelf.write(tmp_path / "shelf.npz", given) == 12
    back = shelf.read(tmp_path / "shelf.npz")
    for cases, returned in zip(given, back, strict=True):
        for case, other in zip(cases, returned, strict=True):
            assert (other.name, other.group) == (case.name, case.group)
            assert other.truth.label == case.truth.label
            assert (other.truth.lesions is None) == (case.truth.lesions is None)
    film, other = given[0][1], back[0][1]
    spacing = other.read().pixel_spacing_mm
    assert spacing is not None
    mass, same = (case.truth.lesions[0] for case in (film, other) if case.truth.lesions)
    area = [float(item.mask.sum()) * mm**2 for item, mm in ((mass, 0.2), (same, spacing[0]))]
    assert area[1] == pytest.approx(area[0], rel=0.03)
    assert same.label == mass.label
    inside = other.read().pixels[same.mask]
    assert inside.mean() == pytest.approx(0.9, abs=0.02)


def test_only_the_training_side_is_on_the_shelf(folders: list[Path], tmp_path: Path) -> None:
    """A machine that trains from the shelf cannot see a held-out patient."""
    config = Config(data=DataSettings(packs=tmp_path))
    prepare(config, folders)
    training, held_out = sides(config, folders, None)
    from_shelf, nothing = sides(config, [], None)
    assert nothing == []
    names = [[case.name for case in cases] for cases in from_shelf]
    assert names == [[case.name for case in cases] for cases in training]
    assert not {case.name for case in held_out} & {name for row in names for name in row}
    assert (tmp_path / SHELF).stat().st_size < 2_000_000


def test_samples_are_made_from_the_shelf(folders: list[Path], tmp_path: Path) -> None:
    """A mass lies where it is bright, as from the folder."""
    shelf.write(tmp_path / "shelf.npz", [read_folder(folders[0])])
    shares = Shares(outlined=1, inserted=0, normal=0, phantom=0)
    given = sources(shelf.read(tmp_path / "shelf.npz"), shares, (320, 256))
    channels, labels, _ = sample(1, given)
    assert labels.any()
    assert channels[0][labels > 0].mean() > channels[0][(labels == 0) & (channels[0] > 0)].mean()


def test_nowhere_to_put_the_shelf_is_said(folders: list[Path]) -> None:
    """Without a folder there is nothing to prepare."""
    with pytest.raises(ValueError, match="packs"):
        prepare(replace(Config(), inner_folds=0), folders)
