"""Training samples of the mammography Mask R-CNN: what they hold and where they come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.datasets.folders import read_folder
from models.mask_rcnn.labelled import BENIGN, LESION, UNKNOWN
from models.mask_rcnn_mg.samples import Shares, Sources, sample, sources
from tests.unit.models.mask_rcnn_mg.folders import mini_mias, rsna

WINDOW_PX = (320, 256)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("sets")
    return mini_mias(root / "mini_mias", 2), rsna(root / "rsna", 2)


def _sources(folders: tuple[Path, Path], shares: Shares) -> Sources:
    return sources([read_folder(folder) for folder in folders], shares, WINDOW_PX)


def test_cases_are_sorted_by_use(folders: tuple[Path, Path]) -> None:
    """Outlined masses are truth, normals of both sets are backgrounds, nothing is both."""
    given = _sources(folders, Shares())
    assert [case.name for case in given.outlined] == ["mdb002", "mdb004"]
    names = [[case.name for case in cases] for cases in given.backgrounds]
    assert names == [["mdb001", "mdb003"], ["0", "1"]]


@pytest.mark.parametrize("seed", range(4))
def test_real_mass_is_where_it_is_bright(folders: tuple[Path, Path], seed: int) -> None:
    """The reader's circle follows the picture through crop, grid and window."""
    given = _sources(folders, Shares(outlined=1, inserted=0, normal=0, phantom=0))
    channels, labels, _ = sample(seed, given)
    assert channels.shape == (3, *WINDOW_PX)
    assert labels.shape == WINDOW_PX
    assert set(np.unique(labels)) == {0, 1}
    breast = channels[0] > 0
    assert channels[0][labels > 0].mean() > channels[0][breast & (labels == 0)].mean() + 40


@pytest.mark.parametrize("seed", range(4))
def test_turned_patch_keeps_the_mass_under_its_label(folders: tuple[Path, Path], seed: int) -> None:
    """Mirrored and turned, all channels and the mask go together; most patches show the mass."""
    shares = Shares(outlined=1, inserted=0, normal=0, phantom=0)
    given = replace(_sources(folders, shares), window_px=(256, 256), patches=True)
    channels, labels, _ = sample(seed, given)
    assert channels.shape == (3, 256, 256)
    assert labels.shape == (256, 256)
    breast = channels[0] > 0
    if labels.any():
        assert channels[0][labels > 0].mean() > channels[0][breast & (labels == 0)].mean() + 30


@pytest.mark.parametrize("seed", range(4))
def test_inserted_masses_are_labelled(folders: tuple[Path, Path], seed: int) -> None:
    """Each inserted mass has a number of its own, in the window that was cut."""
    given = _sources(folders, Shares(outlined=0, inserted=1, normal=0, phantom=0))
    _, labels, _ = sample(seed, given)
    assert labels.any()
    assert labels.max() <= 2


@pytest.mark.parametrize("patches", [False, True])
def test_real_masses_carry_their_class(folders: tuple[Path, Path], patches: bool) -> None:
    """Benign is what the set's reader and biopsy say; the image's own class is not trained on."""
    shares = Shares(outlined=1, inserted=0, normal=0, phantom=0)
    given = replace(_sources(folders, shares), window_px=(256, 256), patches=patches)
    _, _, classes = sample(0, given)
    assert (classes[0], classes[1]) == (UNKNOWN, BENIGN)


@pytest.mark.parametrize("kind", ["inserted", "phantom"])
def test_a_drawn_shape_is_no_lesson_in_malignancy(folders: tuple[Path, Path], kind: str) -> None:
    """Masses that nobody took out of a patient are benign or malignant, and nobody knows which."""
    none = Shares(outlined=0, inserted=0, normal=0, phantom=0)
    _, _, classes = sample(0, _sources(folders, replace(none, **{kind: 1})))
    assert set(classes[1:].tolist()) == {LESION}


def test_normals_have_no_label(folders: tuple[Path, Path]) -> None:
    """A background as it is teaches what is no mass."""
    given = _sources(folders, Shares(outlined=0, inserted=0, normal=1, phantom=0))
    channels, labels, _ = sample(1, given)
    assert channels[0].any()
    assert not labels.any()


def test_same_seed_same_sample(folders: tuple[Path, Path]) -> None:
    """A resumed run sees what the interrupted one saw."""
    given = _sources(folders, Shares())
    first, second = sample(3, given), sample(3, given)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_without_real_cases_phantoms_remain() -> None:
    """Sources without cases are left out; the phantom's window is cut alike."""
    channels, _, _ = sample(1, sources([], Shares(), WINDOW_PX))
    assert channels.shape == (3, *WINDOW_PX)


@pytest.mark.parametrize("columns", [1024, 683])
def test_a_mass_without_pixel_spacing_keeps_its_outline(
    folders: tuple[Path, Path], columns: int
) -> None:
    """Pictures of general formats have no spacing; their masses must not be taught as background.

    A square one is squashed at random, and its outline with it.
    """
    (case, *_) = _sources(folders, Shares()).outlined
    image = case.read()
    bare = replace(image, pixels=image.pixels[:, :columns], pixel_spacing_mm=None)
    given = Sources(
        (replace(case, read=lambda: bare),),
        shares=Shares(outlined=1, inserted=0, normal=0, phantom=0),
        window_px=WINDOW_PX,
    )
    channels, labels, _ = sample(0, given)
    assert labels.any()
    breast = channels[0] > 0
    assert channels[0][labels > 0].mean() > channels[0][breast & (labels == 0)].mean() + 40
