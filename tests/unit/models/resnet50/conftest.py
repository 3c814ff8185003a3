"""One thread per test, and a folder of small mammograms with labels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.unit.models.one_thread import one_thread

__all__ = ["one_thread"]

HEADER = "file,patient_id,laterality,view,age,cancer,biopsy,density\n"


@pytest.fixture
def rsna(tmp_path: Path) -> Path:
    """12 patients with two images each; a bright lump where there is cancer; one black image."""
    folder = tmp_path / "rsna"
    folder.mkdir()
    rows = []
    for number in range(24):
        patient, cancer = number // 2, (number // 2) % 2
        levels = np.zeros((150, 110), np.uint8)
        if number:
            cv2.ellipse(levels, (0, 75), (80, 65), 0, 0, 360, (90 + number,), cv2.FILLED)
        if cancer:
            cv2.circle(levels, (30, 70), 9, 220, cv2.FILLED)
        cv2.imwrite(str(folder / f"{number}.png"), levels)
        age = 45 + patient
        rows.append(f"{number}.png,{patient},L,{'CC' if number % 2 else 'MLO'},{age},{cancer},0,B")
    (folder / "labels.csv").write_text(HEADER + "\n".join(rows) + "\n")
    return folder
