"""RSNA screening mammography challenge (2022): images with biopsy results, nothing outlined.

In: a folder with `labels.csv` and the pictures that it names. Out: cases. What must hold: biopsy
tells benign from malignant, and an image that was not biopsied counts as normal.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import cast

from models.contract import Laterality
from models.datasets.cases import Case, Label, Truth
from models.datasets.pictures import read_picture
from models.datasets.tables import Row, number


def read_rsna(folder: Path, rows: list[Row]) -> Iterator[Case]:
    """Every row of the table, in its order."""
    for row in rows:
        laterality = cast(Laterality, row["laterality"])
        read = partial(read_picture, folder / row["file"], "MG", None, laterality, row["view"])
        name, group = Path(row["file"]).stem, f"rsna:{row['patient_id']}"
        yield Case(name, "MG", Truth(label_of(row), None), read, group, clinical_of(row))


def label_of(row: Row) -> Label:
    """Malignant where cancer was proven, benign where a biopsy found none, else normal."""
    if row["cancer"] == "1":
        return "malignant"
    return "benign" if row["biopsy"] == "1" else "normal"


def clinical_of(row: Row) -> dict[str, float | str]:
    """What the table tells of patient and picture."""
    known: dict[str, float | str] = {
        name: row[column]
        for name, column in (
            ("density", "density"),
            ("view", "view"),
            ("laterality", "laterality"),
            ("machine", "machine_id"),
        )
        if row.get(column)
    }
    age = number(row.get("age", ""))
    return known if age is None else known | {"age": age}
