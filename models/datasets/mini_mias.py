"""mini-MIAS: 322 film mammograms, MLO, reduced to 200 um (Suckling et al. 1994).

In: a folder with `labels.csv`, whose circles count from the top left corner, or as the archive
ships it: `Info.txt`, whose y counts from the bottom, beside `mdb001.pgm` and so on. Out: cases; a
circle becomes a disc. What must hold: a lesion without a circle has no outline, and then the
lesions of its image are unknown, not absent. So are those of an image with an architectural
distortion or an asymmetry: they are neither masses nor clusters, and yet who marks one makes no
mistake. So are those of a picture on which the circles are not where they were drawn: of another
size than the archive's, or wholly beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from models.contract import FindingKind
from models.datasets.cases import SUSPICIOUS, Case, Label, LeftOut, Lesion, Truth, gravest
from models.datasets.outlines import LARGEST_PX, LARGEST_RADIUS_PX, within
from models.datasets.pictures import PICTURES, files_of, read_picture, size_of
from models.datasets.tables import (
    DataSetError,
    Row,
    number,
    place_of,
    read_text,
    without_repeats,
)

SPACING_MM = (0.2, 0.2)  # digitised at 50 um and reduced by four, says the data's own notes

INFO = "Info.txt"

# Columns of `labels.csv` without which a lesion has no place or no kind.
NEEDED = ("abnormality", "severity", "x_from_left_px", "y_from_top_px", "radius_px")

_SIDE_PX = 1024
_ENTRY = re.compile(
    r"^[ \t]*(mdb(\d{3}))\w*[ \t]+([FGD])[ \t]+(CALC|CIRC|SPIC|MISC|ARCH|ASYM|NORM)"
    r"(?:[ \t]+([BM])\b(?:[ \t]+(\d+)[ \t]+(\d+)[ \t]+(\d+))?)?",
    re.MULTILINE | re.IGNORECASE,
)

_NEITHER = ("ARCH", "ASYM")

_KINDS = ("CALC", "CIRC", "SPIC", "MISC", *_NEITHER, "NORM")

_LABELS: dict[str, Label] = {"B": "benign", "M": "malignant"}
_UNKNOWN = ("", "NAN")

_MISPLACED = "its circles do not lie on it: the picture has another size than they were drawn on"


def read_mini_mias(
    folder: Path, rows: list[Row], source: Path, size: tuple[int, int] | None = None
) -> Iterator[Case | LeftOut]:
    """One image may have several rows, one per lesion; some lesions have no circle.

    `source`: the table, for errors. `size`: of the pictures on which the circles were drawn, if it
    is known. Raises DataSetError for a row that cannot be meant, or contradicts another.
    """
    rows, again = without_repeats([_checked(row, source) for row in rows])
    for row in again:
        yield LeftOut(row["file"], "a second row of the table")
    by_file: dict[str, list[Row]] = {}
    for row in rows:
        by_file.setdefault(row["file"], []).append(row)
    for name, entries in sorted(by_file.items()):
        _refuse_contradiction(name, entries, source)
        label = gravest([_label(entry) for entry in entries])
        lesions = _lesions(entries)
        if lesions and not _lie_on(lesions, size_of(folder / name), size):
            yield LeftOut(name, _MISPLACED)
            lesions = None
        read = partial(read_picture, folder / name, "MG", SPACING_MM)
        patient = entries[0].get("patient", "")
        group = f"mini_mias:{patient}" if patient else ""
        clinical = {"tissue": entries[0].get("tissue", ""), "view": "MLO"}
        yield Case(Path(name).stem, "MG", Truth(label, lesions, SUSPICIOUS), read, group, clinical)


def _lesions(entries: list[Row]) -> tuple[Lesion, ...] | None:
    """None where one of them has no place, or is neither mass nor cluster."""
    unplaced = any(entry["abnormality"] != "NORM" and not _is_placed(entry) for entry in entries)
    if unplaced or any(entry["abnormality"] in _NEITHER for entry in entries):
        return None
    return tuple(_circle(entry) for entry in entries if _is_placed(entry))


def _lie_on(
    lesions: tuple[Lesion, ...], found: tuple[int, int] | None, drawn: tuple[int, int] | None
) -> bool:
    """Whether circles drawn on a picture of one size are right on one of the size that is found."""
    if found is None:  # what cannot be read is judged by nobody
        return True
    return found == (drawn or found) and all(within(lesion, found) for lesion in lesions)


def _refuse_contradiction(name: str, entries: list[Row], source: Path) -> None:
    """Raise DataSetError where one row says that there is nothing and another what there is."""
    kinds = sorted({entry["abnormality"] for entry in entries})
    if "NORM" in kinds and len(kinds) > 1:
        raise DataSetError(f"{source}: rows of {name} say {' and '.join(kinds)}")


def read_archive(folder: Path) -> Iterator[Case | LeftOut]:
    """The pictures that `Info.txt` describes, as far as they are there.

    Films come in pairs of one patient: 1 and 2, 3 and 4. Raises DataSetError.
    """
    info = place_of(folder, INFO)
    pictures = [path.name for path in files_of(folder, PICTURES)]
    files = {Path(name).stem.lower(): name for name in pictures}
    rows = [_row(files, entry) for entry in _ENTRY.finditer(read_text(info))]
    if not any(row["file"] for row in rows):
        raise DataSetError(
            f"{folder} has {INFO}, but none of the {len(rows)} pictures it names; both lie in one "
            "folder"
        )
    for name in sorted({row["name"] for row in rows if not row["file"]}):
        yield LeftOut(name, f"{INFO} names it, and it is not there")
    for name in sorted(set(pictures) - set(files.values())):
        yield LeftOut(name, "another picture has this name")
    described = {row["file"] for row in rows}
    for name in sorted(set(files.values()) - described):
        yield LeftOut(name, f"{INFO} does not describe it")
    there = [row for row in rows if row["file"]]
    yield from read_mini_mias(folder, there, info, (_SIDE_PX, _SIDE_PX))


def _row(files: Mapping[str, str], entry: re.Match[str]) -> Row:
    """`files`: names of pictures by their stem in lower case."""
    name, number, tissue, abnormality, severity, x, y, radius = entry.groups("")
    return {
        "name": name,
        "file": files.get(name.lower(), ""),
        "patient": str((int(number) - 1) // 2),
        "tissue": tissue,
        "abnormality": abnormality,
        "severity": severity,
        "x_from_left_px": x,
        "y_from_top_px": str(_SIDE_PX - 1 - int(y)) if y else "",
        "radius_px": radius,
    }


def _checked(row: Row, source: Path) -> Row:
    """The row with its codes in capitals. Raises DataSetError for one without file or kind."""
    kind, severity = row["abnormality"].upper(), row["severity"].upper()
    if not row["file"] or kind not in _KINDS:
        raise DataSetError(
            f"{source}: the row of {row['file'] or 'an unnamed file'} has abnormality {kind!r}; "
            f"known are {', '.join(_KINDS)}"
        )
    if kind != "NORM" and severity not in (*_LABELS, *_UNKNOWN):
        raise DataSetError(
            f"{source}: the row of {row['file']} has severity {severity!r}; write B, M or nothing"
        )
    return row | {"abnormality": kind, "severity": severity}


def _is_placed(entry: Row) -> bool:
    """Whether a circle is given: three numbers, the radius above 0, that may lie on a picture."""
    x, y, radius = (number(entry[name]) for name in NEEDED[2:])
    if x is None or y is None or radius is None:
        return False
    return max(abs(x), abs(y)) <= LARGEST_PX and 0 < radius <= LARGEST_RADIUS_PX


def _label(entry: Row) -> Label | None:
    """Of one row; an abnormality of unknown severity is neither benign nor malignant."""
    return "normal" if entry["abnormality"] == "NORM" else _LABELS.get(entry["severity"])


def _circle(entry: Row) -> Lesion:
    """A disc around the point that the reader gave."""
    radius = max(1, round(float(entry["radius_px"])))
    row, column = round(float(entry["y_from_top_px"])), round(float(entry["x_from_left_px"]))
    line = np.arange(-radius, radius + 1)
    disc = line[:, np.newaxis] ** 2 + line**2 <= radius**2
    top, left = max(0, row - radius), max(0, column - radius)
    calcium = entry["abnormality"] == "CALC"
    kind = FindingKind.CALCIFICATION_CLUSTER if calcium else FindingKind.MASS
    mask = disc[top - row + radius :, left - column + radius :]
    return Lesion(kind, mask, (top, left), _LABELS.get(entry["severity"]))
