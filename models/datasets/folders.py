"""Folders of images with truth, recognised by their layout.

In: a folder as one of the public sets is shipped. Out: cases. What must hold: only files are read,
nothing is written.
"""

from __future__ import annotations

from pathlib import Path

from models.datasets.busi import is_busi, read_busi
from models.datasets.cases import Case
from models.datasets.mini_mias import read_mini_mias
from models.datasets.rsna import read_rsna
from models.datasets.tables import read_table


class UnknownLayoutError(ValueError):
    """The folder is laid out like none of those we know."""


def read_folder(folder: Path) -> list[Case]:
    """Every case of a BUSI, mini-MIAS or RSNA folder, by name. Raises UnknownLayoutError."""
    if is_busi(folder):
        return list(read_busi(folder))
    rows = read_table(folder / "labels.csv") if (folder / "labels.csv").is_file() else []
    if rows and "abnormality" in rows[0]:
        return list(read_mini_mias(folder, rows))
    if rows and "cancer" in rows[0]:
        return list(read_rsna(folder, rows))
    raise UnknownLayoutError(f"{folder} is laid out like none of: phantoms, busi, mini_mias, rsna")
