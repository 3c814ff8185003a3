"""Tables that come with data sets.

In: a CSV file. Out: its rows as texts by column name. What must hold: a missing file or column is
named in the error, so that whoever prepares a folder knows what to put there.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

Row = dict[str, str]


class DataSetError(ValueError):
    """A data set is not as its layout promises; the text names the file and what is missing."""


def read_table(path: Path, needed: Iterable[str] = ()) -> list[Row]:
    """Every row; column names and values without surrounding blanks. Raises DataSetError."""
    if not path.is_file():
        raise DataSetError(f"{path} is missing")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = [name.strip() for name in reader.fieldnames or ()]
        missing = [name for name in needed if name not in columns]
        if missing:
            raise DataSetError(f"{path} has no column {', '.join(missing)}; it has {columns}")
        return [
            {str(name).strip(): (value or "").strip() for name, value in row.items() if name}
            for row in reader
        ]


def number(text: str) -> float | None:
    """A number, or None where the cell is empty or holds none."""
    try:
        return float(text)
    except ValueError:
        return None
