"""Real images beside the phantoms: the split keeps twins together."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.mask_rcnn.real_samples import maker, split, usable
from models.mask_rcnn_us import MODEL


def _folder(root: Path, pairs: int) -> Path:
    """A folder laid out as BUSI: `pairs` different images, each twice, with one lesion."""
    rng = np.random.default_rng(0)
    for label in ("normal", "benign", "malignant"):
        (root / label).mkdir()
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
    folder = _folder(tmp_path, 12)
    training, validation = split(folder, MODEL, seed=3)
    names = [case.name[:2] for case in usable(folder, MODEL)]
    assert sorted(training + validation) == list(range(24))
    assert validation
    assert not {names[i] for i in training} & {names[i] for i in validation}


def test_sample_marks_the_outlined_lesion(tmp_path: Path) -> None:
    """The outline lands on the network's grid with its area scaled."""
    channels, labels = maker(_folder(tmp_path, 1), MODEL)(0)
    assert channels.shape == (3, 512, 512)
    assert (labels == 1).sum() == pytest.approx(40 * 40 * (512 / 160) ** 2, rel=0.02)
