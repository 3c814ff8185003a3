"""A folder laid out as BUSI, with bright discs for lesions."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def write(root: Path, count: int) -> Path:
    """`count` different images of each class; normals have no outline."""
    rng = np.random.default_rng(0)
    for label in ("normal", "benign", "malignant"):
        (root / label).mkdir(parents=True)
        for number in range(count):
            coarse = rng.integers(20, 120, (6, 8)).astype(np.uint8)
            image = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC)
            mask = np.zeros_like(image)
            if label != "normal":
                centre = (int(rng.integers(50, 110)), int(rng.integers(40, 80)))
                cv2.circle(mask, centre, 24, 255, cv2.FILLED)
                image[mask > 0] = 220
                cv2.imwrite(str(root / label / f"{label}_{number}_mask0.png"), mask)
            cv2.imwrite(str(root / label / f"{label}_{number}.jpg"), image)
    return root
