"""Tables that come with data sets.

In: a CSV file, separated by commas, semicolons or tabs, in UTF-8 (with or without its mark) or in
the Windows code page 1252, as spreadsheets save it. Out: its rows as texts by column name. What
must hold: a missing file or column, and a value that cannot be meant, are named in the error, so
that whoever prepares a folder knows what to put there.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from pathlib import Path

Row = dict[str, str]

_SEPARATORS = (",", ";", "\t")
_TRUE, _FALSE = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")


class DataSetError(ValueError):
    """A data set is not as its layout promises; the text names the file and what is missing."""


def place_of(folder: Path, name: str) -> Path:
    """A file or folder by its name, in capitals or not; the name as it is where there is none."""
    if (folder / name).exists() or not folder.is_dir():
        return folder / name
    alike = sorted(path for path in folder.iterdir() if path.name.lower() == name.lower())
    return alike[0] if alike else folder / name


def read_text(path: Path) -> str:
    """A text file in one of the two encodings. Raises DataSetError."""
    data = path.read_bytes()
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise DataSetError(f"{path} is no text in UTF-8; save it as CSV in UTF-8")


def read_table(path: Path, needed: Iterable[str] = ()) -> list[Row]:
    """Every row that is not blank; names and values without surrounding blanks.

    Raises DataSetError, also for a table without rows, for a quoted text without an end and for a
    row with more values than there are columns: both would move values to where they do not belong.
    """
    if not path.is_file():
        raise DataSetError(f"{path} is missing")
    text = read_text(path)
    first = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=first.count)
    # Lines end at CR and LF alone: a vertical tab or a line separator may stand within a value.
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        columns = [name.strip() for name in reader.fieldnames or ()]
        missing = [name for name in needed if name not in columns]
        if missing:
            raise DataSetError(f"{path} has no column {', '.join(missing)}; it has {columns}")
        twice = [name for name in needed if columns.count(name) > 1]
        if twice:
            raise DataSetError(f"{path} has several columns {', '.join(twice)}; leave one of them")
        rows = []
        for row in reader:
            if any(value.strip() for value in row.pop(None, ())):
                raise DataSetError(
                    f"{path}, line {reader.line_num}: more values than columns; a value that holds "
                    f"a {separator!r} stands in quotes"
                )
            rows.append(
                {name.strip(): (value or "").strip() for name, value in row.items() if name}
            )
    except csv.Error as error:
        raise DataSetError(f"{path} is not a CSV table: {error}") from error
    rows = [row for row in rows if any(row.values())]
    if not rows:
        raise DataSetError(f"{path} has no rows: each image needs one")
    return rows


def without_repeats(rows: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    """Each row once, and those that stand there again, word for word."""
    first: dict[tuple[str, ...], Row] = {}
    again: list[Row] = []
    for row in rows:
        if first.setdefault(tuple(row.values()), row) is not row:
            again.append(row)
    return list(first.values()), again


def number(text: str) -> float | None:
    """A finite number, or None where the cell is empty or holds none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def flag(row: Row, column: str, source: Path) -> bool | None:
    """Yes or no, however it is written; None for an empty cell. Raises DataSetError."""
    text = row.get(column, "").lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if text in ("", "nan"):
        return None
    raise DataSetError(f"{source}: {column} is {text!r}; write 0, 1 or leave it empty")
