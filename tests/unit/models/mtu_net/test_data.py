from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.mtu_net.data import BITS, TILES, for_processing, make_sample
from models.mtu_net.preprocess import working_image
from models.mtu_net.spec import TILE_PX, WINDOW_TOP
from phantoms.headers import ImagePlace
from phantoms.identity import StudyIdentity
from phantoms.mammogram import mammogram
from phantoms.mammography_object import processing_object
from phantoms.truth import LesionRequest
from workers.dicom.decoding import read_source


def test_a_sample_repeats_and_shows_its_lesions() -> None:
    """The same seed gives the same tiles, and bright calcium lies under the truth."""
    tiles, truth = make_sample(1)
    again, _ = make_sample(1)
    np.testing.assert_array_equal(tiles, again)
    assert tiles.shape == truth.shape == (TILES, TILE_PX, TILE_PX)
    assert truth.max() <= sum(BITS.values())
    if truth.any():
        assert tiles[truth > 0].max() > np.percentile(tiles[truth == 0], 90)


def test_images_for_processing_are_those_that_the_service_reads(tmp_path: Path) -> None:
    """A phantom's raw signal and the object made of it give the same image."""
    phantom = mammogram(3, "L", "CC", (512, 416), [LesionRequest("calcification_cluster")])
    place = ImagePlace("processing", "LCC", 1, "", 1, 0)
    processing_object(phantom, StudyIdentity(3, ""), place).save_as(tmp_path / "a.dcm")
    read = read_source(tmp_path / "a.dcm").image
    drawn = for_processing(phantom)
    assert drawn.for_processing
    assert read.for_processing
    np.testing.assert_allclose(drawn.pixels, read.pixels, atol=5e-3)


def test_thickness_of_images_for_processing_is_evened() -> None:
    """The thin rim falls off less, and what little range is left is not stretched to its noise."""
    phantom = mammogram(3, "L", "CC", (512, 416), [])
    image = for_processing(phantom)
    even, breast, _ = working_image(image)
    plain, _, _ = working_image(replace(image, for_processing=False))
    falls = [np.subtract(*np.percentile(grey[breast], (50, 5))) for grey in (even, plain)]
    assert falls[0] < 0.5 * falls[1]
    assert np.percentile(plain[breast], 99.5) == pytest.approx(255 * WINDOW_TOP, abs=3)
    assert np.percentile(even[breast], 99.5) < 0.8 * 255 * WINDOW_TOP
