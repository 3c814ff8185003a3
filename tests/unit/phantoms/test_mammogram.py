"""The mammogram generator: determinism, geometry, and lesions that can be seen where they are."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from typing import get_args

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from phantoms.mammogram import mammogram
from phantoms.truth import Laterality, Lesion, LesionKind, LesionRequest, Phantom, View

SMALL = (512, 416)


@cache
def drawn(
    seed: int,
    laterality: Laterality = "L",
    view: View = "CC",
    lesions: tuple[LesionRequest, ...] | None = None,
    size_px: tuple[int, int] = SMALL,
) -> Phantom:
    return mammogram(seed, laterality, view, size_px, lesions)


def full_mask(phantom: Phantom, lesion: Lesion) -> NDArray[np.bool_]:
    mask = np.zeros(phantom.pixels.shape, np.bool_)
    top, left = lesion.offset_px
    mask[top : top + lesion.mask.shape[0], left : left + lesion.mask.shape[1]] = lesion.mask
    return mask


def grown(mask: NDArray[np.bool_], radius_px: int) -> NDArray[np.bool_]:
    side = 2 * radius_px + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.dilate(mask.astype(np.uint8), kernel).astype(np.bool_)


def test_same_arguments_give_the_same_image() -> None:
    """Pixels, raw signal and truth are equal to the last bit."""
    first, second = mammogram(7, "L", "MLO", SMALL), mammogram(7, "L", "MLO", SMALL)
    assert first.pixels.tobytes() == second.pixels.tobytes()
    assert first.raw is not None
    assert second.raw is not None
    assert first.raw.tobytes() == second.raw.tobytes()
    assert [lesion.mask.tobytes() for lesion in first.lesions] == [
        lesion.mask.tobytes() for lesion in second.lesions
    ]


def test_another_seed_gives_another_breast() -> None:
    """Two patients do not share an outline."""
    assert not np.array_equal(drawn(1).breast_mask, drawn(2).breast_mask)


@pytest.mark.parametrize("view", get_args(View))
@pytest.mark.parametrize("laterality", get_args(Laterality))
def test_chest_wall_is_on_the_side_of_the_laterality(laterality: Laterality, view: View) -> None:
    """A left breast touches the left edge of the image, a right one the right edge."""
    breast = drawn(3, laterality, view).breast_mask
    wall, front = (0, -1) if laterality == "L" else (-1, 0)
    assert breast[:, wall].mean() > 0.4
    assert not breast[:, front].any()


def test_pectoral_muscle_is_in_the_upper_corner_of_an_oblique_view() -> None:
    """It attenuates more than the lower corner of the breast does."""
    raw = drawn(3, "R", "MLO", ()).raw
    assert raw is not None
    assert np.median(raw[5:60, -40:]) < 0.7 * np.median(raw[330:400, -40:])


def test_grey_levels_are_those_promised() -> None:
    """Background is 0 as displayed and 1 at the detector; tissue lies strictly between."""
    phantom = drawn(4)
    assert phantom.raw is not None
    assert phantom.pixels.dtype == phantom.raw.dtype == np.float32
    assert phantom.pixels.min() == 0.0
    assert phantom.pixels.max() <= 1.0
    assert not phantom.pixels[~phantom.breast_mask].any()
    assert np.median(phantom.raw[~phantom.breast_mask]) > 0.99
    assert 0.0 < np.median(phantom.raw[phantom.breast_mask]) < 0.3


@pytest.mark.parametrize("seed", range(40, 52))
def test_lesions_lie_inside_the_breast(seed: int) -> None:
    """Not one pixel of truth is in the air."""
    phantom = drawn(seed, "LR"[seed % 2], ("CC", "MLO")[seed // 2 % 2])
    for lesion in phantom.lesions:
        assert phantom.breast_mask[full_mask(phantom, lesion)].all()


@pytest.mark.parametrize("kind", get_args(LesionKind))
def test_lesion_changes_the_image_at_its_mask_and_nowhere_far(kind: LesionKind) -> None:
    """The same breast without it has more signal under the mask and the same signal elsewhere."""
    request = LesionRequest(kind, malignant=False, conspicuity=0.5)
    phantom, healthy = drawn(6, lesions=(request,)), drawn(6, lesions=())
    assert phantom.raw is not None
    assert healthy.raw is not None
    mask = full_mask(phantom, phantom.lesions[0])
    assert phantom.raw[mask].mean() < 0.995 * healthy.raw[mask].mean()
    far = ~grown(mask, 40)
    assert np.array_equal(phantom.raw[far], healthy.raw[far])


@pytest.mark.parametrize("margin", ["circumscribed", "spiculated"])
@pytest.mark.parametrize("seed", [6, 8, 9])
def test_mass_is_brighter_than_its_surroundings(seed: int, margin: str) -> None:
    """Even the subtlest, and the obvious one more so."""
    contrast = []
    for conspicuity in (0.0, 1.0):
        request = LesionRequest("mass", margin, None, 14.0, conspicuity)  # type: ignore[arg-type]
        phantom = drawn(seed, lesions=(request,))
        mask = full_mask(phantom, phantom.lesions[0])
        ring = grown(mask, 12) & ~grown(mask, 3) & phantom.breast_mask
        contrast.append(phantom.pixels[mask].mean() - phantom.pixels[ring].mean())
    assert 0.03 < contrast[0] < contrast[1]


@pytest.mark.parametrize("seed", [6, 8, 9])
def test_specks_of_a_cluster_stand_out(seed: int) -> None:
    """The sharpest detail under the mask is far above the detail of the tissue around it."""
    request = LesionRequest("calcification_cluster", None, True, 10.0, 0.5)
    phantom = drawn(seed, lesions=(request,), size_px=(1024, 832))
    detail = phantom.pixels - cv2.GaussianBlur(phantom.pixels, (0, 0), 2.0)
    mask = full_mask(phantom, phantom.lesions[0])
    around = grown(mask, 40) & ~grown(mask, 4) & phantom.breast_mask
    assert detail[mask].max() > 6.0 * detail[around].std()


def test_size_of_a_mass_is_the_size_asked_for() -> None:
    """The mask's area is that of a disc of the diameter, within the freedom of its shape."""
    phantom = drawn(6, lesions=(LesionRequest("mass", "circumscribed", False, 16.0),))
    spacing = phantom.pixel_spacing_mm[0]
    diameter = 2.0 * np.sqrt(phantom.lesions[0].mask.sum() * spacing**2 / np.pi)
    assert diameter == pytest.approx(16.0, rel=0.15)


@pytest.mark.parametrize("view", get_args(View))
def test_resolution_changes_sharpness_and_nothing_else(view: View) -> None:
    """Twice the rows show the same breast and the same lesion at the same millimetres."""
    request = (LesionRequest("mass", "spiculated", True, 15.0, 0.8),)
    coarse, fine = drawn(9, "R", view, request), drawn(9, "R", view, request, (1024, 832))
    reduced = cv2.resize(fine.pixels, (416, 512), interpolation=cv2.INTER_AREA)
    assert np.corrcoef(coarse.pixels.ravel(), reduced.ravel())[0, 1] > 0.995
    assert coarse.pixel_spacing_mm[0] == pytest.approx(2.0 * fine.pixel_spacing_mm[0])
    centres = [
        np.argwhere(full_mask(phantom, phantom.lesions[0])).mean(axis=0)
        * phantom.pixel_spacing_mm[0]
        for phantom in (coarse, fine)
    ]
    assert np.abs(centres[0] - centres[1]).max() < 0.5


def test_lesions_of_one_breast_are_in_both_views() -> None:
    """When not asked otherwise, CC and MLO of one seed show lesions of the same kinds."""
    cc, mlo = drawn(40, "L", "CC"), drawn(40, "L", "MLO")
    assert [lesion.kind for lesion in cc.lesions] == [lesion.kind for lesion in mlo.lesions]
    assert cc.label == mlo.label


def test_no_lesions_asked_for_makes_a_normal() -> None:
    """An empty list is not the same as None."""
    phantom = drawn(6, lesions=())
    assert phantom.lesions == ()
    assert phantom.label == "normal"


@pytest.mark.parametrize("size_px", [(100, 80), (512, 200), (512, 800)])
def test_impossible_shapes_are_refused(size_px: tuple[int, int]) -> None:
    """Too few rows, or a field too narrow or too wide for a breast."""
    with pytest.raises(ValueError, match="cannot draw a mammogram"):
        mammogram(1, "L", "CC", size_px)


def test_negative_seed_is_refused() -> None:
    """Seeds count from 0."""
    with pytest.raises(ValueError, match="negative"):
        mammogram(-1, "L", "CC", SMALL)


def test_pixels_and_truth_need_no_dicom_library() -> None:
    """A machine that only trains imports the generators without pydicom."""
    script = (
        "import sys, phantoms.mammogram, phantoms.ultrasound, phantoms.dataset;"
        "sys.exit('pydicom' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
