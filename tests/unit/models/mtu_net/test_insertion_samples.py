from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.datasets.folders import read_folder
from models.mtu_net.data import BITS, TILES
from models.mtu_net.insertion_samples import backgrounds, maker, split_of, with_calcium
from models.mtu_net.spec import TILE_PX

PATIENTS = 3


@pytest.fixture(name="folder", scope="module")
def a_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as mini-MIAS: both breasts of each patient; patient 0 has a cluster on one side."""
    folder = tmp_path_factory.mktemp("mini_mias")
    y, x = np.mgrid[-200:200, 0:300]
    radius = np.hypot(y / 190.0, x / 220.0)
    grain = np.random.default_rng(0).normal(0.0, 3.0, radius.shape)
    picture = np.where(radius < 1.0, 60 + 90 * (1.0 - radius) + grain, 0).astype(np.uint8)
    rows = []
    for patient in range(PATIENTS):
        for side in range(2):
            name = f"mdb{2 * patient + side:03d}.jpg"
            cv2.imwrite(str(folder / name), picture)
            calcium = patient == 0 and side == 0
            finding = ["CALC", "B", "90", "200", "12"] if calcium else ["NORM", "", "", "", ""]
            rows.append([name, str(patient), "F", *finding, ""])
    header = "file patient tissue abnormality severity x_from_left_px y_from_top_px radius_px note"
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header.split(), *rows])
    return folder


def test_a_patient_with_calcium_never_trains(folder: Path) -> None:
    """Both breasts of that patient validate, and no patient stands on both sides."""
    training, validation = backgrounds([folder])
    patients = [{case.group for case in side} for side in (training, validation)]
    assert not patients[0] & patients[1]
    assert "mdb001" in {case.name for case in validation}
    assert len(training) + len(validation) == 2 * PATIENTS - 1


def test_the_image_with_the_cluster_is_no_background(folder: Path) -> None:
    """Only images without findings are painted on; the real cluster is kept to validate with."""
    training, validation = backgrounds([folder])
    assert "mdb000" not in {case.name for case in training + validation}


def test_a_sample_repeats_and_has_the_shape_of_phantom_samples(folder: Path) -> None:
    """Six tiles with truth, the same for the same seed, phantoms among them."""
    make = maker(backgrounds([folder])[0])
    for seed in range(3):
        tiles, truth = make(seed)
        assert tiles.shape == truth.shape == (TILES, TILE_PX, TILE_PX)
        assert tiles.dtype == truth.dtype == np.uint8
        np.testing.assert_array_equal(make(seed)[0], tiles)


def test_inserted_findings_stand_out(folder: Path) -> None:
    """Under each mask the image has become brighter by more than its grain."""
    image = backgrounds([folder])[0][0].read()
    seen = set()
    for seed in range(8):
        changed, masks = with_calcium(image, np.random.default_rng(seed))
        for kind, mask in masks.items():
            if mask.any():
                seen.add(kind)
                added = (changed.pixels - image.pixels)[mask]
                assert np.percentile(added, 97) > 2.0 / 255.0
    assert seen == set(BITS)


def test_the_split_is_that_of_the_project_but_for_calcium(folder: Path) -> None:
    """Every index stands on one side."""
    cases = read_folder(folder)
    split = split_of(cases)
    assert sorted(split.training + split.validation) == list(range(len(cases)))
