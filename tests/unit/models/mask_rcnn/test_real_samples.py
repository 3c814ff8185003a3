"""Real images beside the phantoms: the split keeps twins together."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.datasets.folders import read_folder
from models.datasets.splits import hold_out
from models.mask_rcnn.labelled import BENIGN
from models.mask_rcnn.real_samples import maker, split, split_folders, usable
from models.mask_rcnn_us import MODEL


def _folder(root: Path, pairs: int) -> Path:
    """A folder laid out as BUSI: `pairs` different images, each twice, with one lesion."""
    rng = np.random.default_rng(0)
    for label in ("normal", "benign", "malignant"):
        (root / label).mkdir(parents=True)
    for number in range(pairs):
        coarse = rng.integers(0, 255, (6, 8)).astype(np.uint8)
        image = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC)
        mask = np.zeros_like(image)
        mask[40:80, 50:90] = 255
        for twin, change in (("a", 0), ("b", 9)):
            stem = f"{number:02d}{twin}"
            cv2.imwrite(str(root / "benign" / f"{stem}.jpg"), cv2.add(image, change))
            cv2.imwrite(str(root / "benign" / f"{stem}_mask0.png"), mask)
    return root


def test_twins_stay_on_one_side(tmp_path: Path) -> None:
    """No image is validated on whose near-duplicate was trained on, and none is lost."""
    folder = _folder(tmp_path / "set", 30)
    sides = [[case.name for case in side] for side in split(usable(folder, MODEL))]
    assert all(sides)
    together = sorted(name for side in sides for name in side)
    assert together == [f"{n:02d}{twin}" for n in range(30) for twin in "ab"]
    numbers = [{name[:2] for name in side} for side in sides]
    assert sum(map(len, numbers)) == len(set.union(*numbers))


def test_an_evaluation_of_the_folder_finds_the_side_that_was_held_out(tmp_path: Path) -> None:
    """Images that teach nothing are left out of the sides, and do not move the others across."""
    folder = _folder(tmp_path / "set", 30)
    for number in range(0, 30, 3):
        for twin in "ab":
            (folder / "benign" / f"{number:02d}{twin}_mask0.png").unlink()
    cases = read_folder(folder)
    held_out = {f"set/{cases[index].name}" for index in hold_out(cases).validation}
    (_, _, validation), sides = split_folders([folder], MODEL)
    assert validation
    assert not held_out & {*sides.training, *sides.tuning}
    assert set(sides.validation) <= held_out
    assert sum(map(len, (sides.training, sides.tuning, sides.validation))) == 40


def test_names_on_each_side_are_written_beside_the_weights(tmp_path: Path) -> None:
    """Whoever evaluates later can tell which images the weights have seen."""
    (cases, _, _), sides = split_folders([_folder(tmp_path / "set", 8)], MODEL)
    sides.write(tmp_path / "out" / "split.json")
    written = json.loads((tmp_path / "out" / "split.json").read_text())
    assert written["training"] == [f"set/{case.name}" for case in cases]
    assert not set(written["training"]) & set(written["validation"])


def test_sample_marks_the_outlined_lesion(tmp_path: Path) -> None:
    """The outline lands on the network's grid with its area scaled."""
    cases = usable(_folder(tmp_path / "set", 1), MODEL)
    channels, labels, classes = maker(cases, MODEL)(0)
    side = MODEL.spec.inputs[0].shape[-1]
    assert channels.shape == (3, side, side)
    assert (labels == 1).sum() == pytest.approx(40 * 40 * (side / 160) ** 2, rel=0.02)
    assert classes[:2].tolist() == [BENIGN, BENIGN]
