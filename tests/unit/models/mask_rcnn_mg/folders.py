"""Small folders laid out like the public sets, drawn by the tests."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tests.unit.models.insertion.backgrounds import background

_HEADER = "file,patient,tissue,abnormality,severity,x_from_left_px,y_from_top_px,radius_px,note"


def mini_mias(folder: Path, patients: int = 6) -> Path:
    """Films of 1024 px, two per patient: one normal, one with a bright disc at (450, 300)."""
    folder.mkdir(parents=True)
    lines = [_HEADER]
    for number in range(2 * patients):
        pixels, _ = background(number)
        film = cv2.resize(pixels, (683, 1024))
        if number % 2:
            cv2.circle(film, (300, 450), 60, (0.9,), cv2.FILLED)
        canvas = np.zeros((1024, 1024), np.float32)
        canvas[:, :683] = film
        name = f"mdb{number + 1:03}.png"
        cv2.imwrite(str(folder / name), (canvas * 255).astype(np.uint8))
        truth = "CIRC,B,300,450,60," if number % 2 else "NORM,,,,,"
        lines.append(f"{name},{number // 2},F,{truth}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def rsna(folder: Path, patients: int = 5) -> Path:
    """Squashed pictures of 448 x 448 px without findings, one per patient."""
    folder.mkdir(parents=True)
    lines = ["file,derived_label,patient_id,laterality,view,age,cancer,biopsy,density,machine_id"]
    for number in range(patients):
        pixels, _ = background(100 + number)
        square = cv2.resize(pixels, (448, 448))
        cv2.imwrite(str(folder / f"{number}.png"), (square * 255).astype(np.uint8))
        lines.append(f"{number}.png,negative,{number},L,CC,55,0,0,B,29")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder
