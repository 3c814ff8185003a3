"""mini-MIAS: 322 film mammograms, MLO, reduced to 200 um (Suckling et al. 1994).

In: a folder with `labels.csv`, whose circles count from the top left corner, or as the archive
ships it: `Info.txt`, whose y counts from the bottom, beside `mdb001.pgm` and so on. Out: cases; a
circle becomes a disc. What must hold: a lesion without a circle has no outline, and then the
lesions of its image are unknown, not absent. So are those of an image with an architectural
distortion or an asymmetry: they are neither masses nor clusters, and yet who marks one makes no
mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from models.contract import FindingKind
from models.datasets.cases import Case, Label, Lesion, Truth, gravest
from models.datasets.pictures import read_picture
from models.datasets.tables import DataSetError, Row

SPACING_MM = (0.2, 0.2)  # digitised at 50 um and reduced by four, says the data's own notes

INFO = "Info.txt"

# Columns of `labels.csv` without which a lesion has no place or no kind.
NEEDED = ("abnormality", "severity", "x_from_left_px", "y_from_top_px", "radius_px")

_SIDE_PX = 1024
_ENTRY = re.compile(
    r"^(mdb(\d{3}))\w*\s+([FGD])\s+(CALC|CIRC|SPIC|MISC|ARCH|ASYM|NORM)"
    r"(?:\s+([BM])(?:\s+(\d+)\s+(\d+)\s+(\d+))?)?",
    re.MULTILINE,
)

_ENDINGS = (".pgm", ".png", ".jpg")

_NEITHER = ("ARCH", "ASYM")

_LABELS: dict[str, Label] = {"B": "benign", "M": "malignant"}


def read_mini_mias(folder: Path, rows: list[Row]) -> Iterator[Case]:
    """One image may have several rows, one per lesion; some lesions have no circle."""
    by_file: dict[str, list[Row]] = {}
    for row in rows:
        by_file.setdefault(row["file"], []).append(row)
    for name, entries in sorted(by_file.items()):
        label = gravest([_label(entry) for entry in entries])
        circled = [entry for entry in entries if entry["radius_px"]]
        unplaced = any(
            entry["abnormality"] not in ("NORM", "") and not entry["radius_px"] for entry in entries
        )
        neither = any(entry["abnormality"] in _NEITHER for entry in entries)
        lesions = None if unplaced or neither else tuple(_circle(entry) for entry in circled)
        read = partial(read_picture, folder / name, "MG", SPACING_MM)
        patient = entries[0].get("patient", "")
        group = f"mini_mias:{patient}" if patient else ""
        clinical = {"tissue": entries[0].get("tissue", ""), "view": "MLO"}
        yield Case(Path(name).stem, "MG", Truth(label, lesions), read, group, clinical)


def read_info(folder: Path) -> list[Row]:
    """Rows of `Info.txt` as those of `labels.csv`, of the pictures that are there.

    Films come in pairs of one patient: 1 and 2, 3 and 4. Raises DataSetError.
    """
    text = (folder / INFO).read_text(encoding="latin-1")
    rows = [_row(folder, entry) for entry in _ENTRY.finditer(text)]
    found = [row for row in rows if row["file"]]
    if not found:
        raise DataSetError(f"{folder} has {INFO}, but none of the {len(rows)} pictures it names")
    return found


def _row(folder: Path, entry: re.Match[str]) -> Row:
    name, number, tissue, abnormality, severity, x, y, radius = entry.groups("")
    file = next((f"{name}{end}" for end in _ENDINGS if (folder / f"{name}{end}").is_file()), "")
    return {
        "file": file,
        "patient": str((int(number) - 1) // 2),
        "tissue": tissue,
        "abnormality": abnormality,
        "severity": severity,
        "x_from_left_px": x,
        "y_from_top_px": str(_SIDE_PX - 1 - int(y)) if y else "",
        "radius_px": radius,
    }


def _label(entry: Row) -> Label | None:
    """Of one row; an abnormality of unknown severity is neither benign nor malignant."""
    return "normal" if entry["abnormality"] in ("NORM", "") else _LABELS.get(entry["severity"])


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
