from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.contract import BreastImage, ModelInputError
from models.resnet50.preprocess import framed, preprocess
from models.resnet50.spec import COLUMNS_PX, ROWS_PX, SPEC


def breast(speck: bool = False) -> NDArray[np.float32]:
    """A breast at the left edge, brighter towards its middle, and one speck if asked for."""
    inside = np.zeros((1200, 900), np.uint8)
    cv2.ellipse(inside, (0, 600), (400, 500), 0, 0, 360, (1,), cv2.FILLED)
    rows, columns = np.mgrid[:1200, :900]
    shade = 0.6 - 0.4 * np.hypot((rows - 600) / 500, columns / 400)
    grain = np.random.default_rng(0).normal(0, 0.005, inside.shape)
    pixels = ((shade + grain) * inside).astype(np.float32)
    if speck:
        pixels[600:603, 200:203] = 1.0
    return pixels


def test_both_inputs_have_the_type_and_shape_of_the_spec() -> None:
    """One image and its facts, each with a leading axis."""
    prepared = preprocess(BreastImage(breast(), "MG", patient_age_years=61.0))
    for spec, dtype in zip(SPEC.inputs, (np.uint8, np.float32), strict=True):
        array = prepared.tensors[spec.name]
        assert (array.dtype, array.shape) == (dtype, (1, *spec.shape))


def test_a_frame_places_a_mask_where_the_image_shows_it() -> None:
    """A bright disc in a right breast and its mask reach the same pixels of the input."""
    pixels = breast()[:, ::-1].copy()
    mask = np.zeros(pixels.shape, np.uint8)
    cv2.circle(mask, (700, 560), 60, (255,), cv2.FILLED)
    pixels[mask > 0] = 1.0
    frame, tensor = framed(BreastImage(pixels, "MG"))
    placed = frame.place(mask) > 127
    assert frame.mirrored
    assert (tensor[0] > 190)[placed].mean() > 0.9
    assert (tensor[0] > 190)[~placed].mean() < 0.02


def tensor(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    array: NDArray[np.uint8] = preprocess(BreastImage(pixels, "MG")).tensors["image"]
    return array


def test_a_right_breast_is_mirrored() -> None:
    """Left and right views of the same pixels give the same tensor, whatever the tags say."""
    left, right = tensor(breast()).astype(int), tensor(breast()[:, ::-1]).astype(int)
    assert np.abs(left - right).mean() < 1.0


def test_the_breast_fills_the_frame() -> None:
    """The breast touches the chest wall's edge and spans the rows or the columns."""
    grey = tensor(breast())[0, 0] > 0
    assert grey[:, 0].any()
    spans_rows = np.flatnonzero(grey.any(axis=1)).size >= ROWS_PX - 4
    spans_columns = np.flatnonzero(grey.any(axis=0)).size >= COLUMNS_PX - 4
    assert spans_rows or spans_columns


def test_a_speck_survives_in_the_detail_channel() -> None:
    """A speck of 3 px fades in the scaled grey levels but is the brightest detail."""
    inside = np.s_[40:150, 10:75]
    plain, marked = tensor(breast())[0, 1][inside], tensor(breast(speck=True))[0, 1][inside]
    assert marked.max() > plain.max() + 60


@pytest.mark.parametrize("size", [(40, 40), (500, 400)])
def test_images_without_a_breast_are_refused(size: tuple[int, int]) -> None:
    """Tiny and black images raise ModelInputError."""
    with pytest.raises(ModelInputError):
        preprocess(BreastImage(np.zeros(size, np.float32), "MG"))
