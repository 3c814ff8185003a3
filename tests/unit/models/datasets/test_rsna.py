"""What the RSNA reader does to a picture: proportions, and what the table knows of the patient."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from models.datasets.folders import read_folder

HEADER = "file,patient_id,laterality,view,age,cancer,biopsy,density\n"


def test_squashed_picture_gets_its_width_and_its_facts(tmp_path: Path) -> None:
    """A square picture becomes narrower, another keeps its shape; age and density go with them."""
    for name, shape in (("square.png", (100, 100)), ("whole.png", (100, 70))):
        cv2.imwrite(str(tmp_path / name), np.full(shape, 90, np.uint8))
    rows = "square.png,1,L,CC,61,1,1,C\nwhole.png,2,R,MLO,,0,0,\n"
    (tmp_path / "labels.csv").write_text(HEADER + rows)
    square, whole = (case.read() for case in read_folder(tmp_path))
    assert square.pixels.shape == (100, 80)
    assert square.pixels.dtype == np.float32
    assert (square.patient_age_years, square.density, square.view) == (61.0, "C", "CC")
    assert whole.pixels.shape == (100, 70)
    assert (whole.patient_age_years, whole.density) == (None, None)
