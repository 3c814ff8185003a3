"""Folders of images with truth, recognised by their layout.

In: a folder as one of the public sets is shipped, or annotated with VIA or in COCO's format. Out:
cases. What must hold: only files are read, nothing is written; a folder that is nearly right gets
an error that names what is missing.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from models.datasets.busi import is_busi, read_busi
from models.datasets.cases import Case, LeftOut
from models.datasets.cbis_ddsm import is_cbis_ddsm, read_cbis_ddsm
from models.datasets.coco import is_coco, read_coco
from models.datasets.ddsm import ddsm_files, read_ddsm
from models.datasets.inbreast import is_inbreast, read_inbreast
from models.datasets.mini_mias import INFO, read_archive, read_mini_mias
from models.datasets.mini_mias import NEEDED as CIRCLES
from models.datasets.pictures import files_of
from models.datasets.rsna import NEEDED, TABLE, read_original, read_rsna
from models.datasets.tables import DataSetError, Row, read_table
from models.datasets.via import entries_of, read_via

LAYOUTS = (
    *("busi", "mini_mias", "rsna", "cbis_ddsm", "inbreast", "ddsm"),
    *("via", "coco"),
)

Reader = Callable[[], Iterable[Case | LeftOut]]

_PICTURES = (".png", ".jpg", ".jpeg", ".pgm", ".bmp", ".tif", ".tiff")

# What `sentinode phantom` writes last, of one study and of several (phantoms/dataset.py).
_OF_PHANTOMS = ("index.json", "*/index.json")

_log = logging.getLogger(__name__)


class UnknownLayoutError(DataSetError):
    """The folder is laid out like none of those we know."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a folder holds: the layout, one of LAYOUTS, the cases, and what is none."""

    layout: str
    cases: list[Case]
    left_out: list[LeftOut]


def read_folder(folder: Path) -> list[Case]:
    """Every case of a folder in a known layout; what is left out is logged as a warning.

    Raises DataSetError, UnknownLayoutError.
    """
    contents = read_contents(folder)
    for reason, count in Counter(entry.reason for entry in contents.left_out).most_common():
        first = next(entry.name for entry in contents.left_out if entry.reason == reason)
        _log.warning("%s: %d left out (%s, ...): %s", folder, count, first, reason)
    return contents.cases


def tell_unused(folder: Path, count: int, reason: str) -> None:
    """Log that `count` cases of a folder are of no use for what is trained, if there are any."""
    if count:
        _log.warning("%s: %d images not used: %s", folder, count, reason)


def read_layout(folder: Path) -> tuple[str, list[Case]]:
    """Name of the layout, one of LAYOUTS, and the cases."""
    contents = read_contents(folder)
    return contents.layout, contents.cases


def read_contents(folder: Path) -> Contents:
    """All that there is to say of a folder. Raises DataSetError, UnknownLayoutError."""
    name, reader = _recognised(folder)
    if reader is None:
        raise UnknownLayoutError(
            f"{folder} is laid out like none of: phantoms, {', '.join(LAYOUTS)}; docs/data-sets.md "
            f"shows each{_hint(folder)}"
        )
    found = list(reader())
    cases = [entry for entry in found if isinstance(entry, Case)]
    return Contents(name, cases, [entry for entry in found if isinstance(entry, LeftOut)])


def layout_of(folder: Path) -> str:
    """Name of the layout without reading any image; empty where there is none."""
    return _recognised(folder)[0] if folder.is_dir() else ""


def _recognised(folder: Path) -> tuple[str, Reader | None]:
    for recognise in (_by_folders, _by_labels, _by_annotations):
        name, reader = recognise(folder)
        if reader is not None:
            return name, reader
    return "", None


def _hint(folder: Path) -> str:
    """What helps: archives unpack into a folder of their own; phantoms are not read here."""
    if any(next(folder.glob(name), None) for name in _OF_PHANTOMS):
        return (
            "; these are phantoms, which `models evaluate` takes: training draws its own, as many "
            "as the model's train.toml says"
        )
    below = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    known = next((path for path in below if _recognised(path)[1] is not None), None)
    return f"; did you mean {known}?" if known else ""


def _by_folders(folder: Path) -> tuple[str, Reader | None]:
    """Sets known by the names of their own files and folders."""
    if is_busi(folder):
        return "busi", lambda: read_busi(folder)
    if is_cbis_ddsm(folder):
        return "cbis_ddsm", lambda: read_cbis_ddsm(folder)
    if is_inbreast(folder):
        return "inbreast", lambda: read_inbreast(folder)
    if (folder / INFO).is_file():
        return "mini_mias", lambda: read_archive(folder)
    if (folder / TABLE).is_file():
        table = folder / TABLE
        return "rsna", lambda: read_original(folder, read_table(table, NEEDED), table)
    if ddsm_files(folder):
        return "ddsm", lambda: read_ddsm(folder)
    return "", None


def _by_labels(folder: Path) -> tuple[str, Reader | None]:
    """Pictures with a `labels.csv`, told apart by its columns."""
    table = folder / "labels.csv"
    if not table.is_file():
        return "", None
    rows = read_table(table, ("file",))
    if "abnormality" in rows[0]:
        read_table(table, CIRCLES)
        return "mini_mias", lambda: chain(read_mini_mias(folder, rows, table), _extra(table, rows))
    if "cancer" in rows[0]:
        return "rsna", lambda: chain(read_rsna(folder, rows, table), _extra(table, rows))
    raise DataSetError(f"{table} has neither a column abnormality (mini_mias) nor cancer (rsna)")


def _extra(table: Path, rows: Sequence[Row]) -> Iterator[LeftOut]:
    """Pictures beside a table that no line of it names."""
    named = {row["file"] for row in rows}
    for path in files_of(table.parent, _PICTURES):
        if path.name not in named:
            yield LeftOut(path.name, f"{table.name} does not name it")


def _by_annotations(folder: Path) -> tuple[str, Reader | None]:
    """JSON of annotations here or one folder below."""
    via: list[tuple[Path, list[dict[str, Any]]]] = []
    coco: list[tuple[Path, dict[str, Any]]] = []
    for path in sorted((*folder.glob("*.json"), *folder.glob("*/*.json"))):
        try:
            document = json.loads(path.read_bytes())
        except ValueError as error:
            raise DataSetError(f"{path} is not JSON: {error}") from error
        entries = entries_of(document)
        if entries is not None:
            via.append((path, entries))
        elif is_coco(document):
            coco.append((path, document))
    if via:
        return "via", lambda: _annotated(read_via, via)
    if coco:
        return "coco", lambda: _annotated(read_coco, coco)
    return "", None


def _annotated(
    reader: Callable[[Path, Any], Iterable[Case]], documents: Iterable[tuple[Path, Any]]
) -> Iterator[Case]:
    """Cases of several JSON files. Raises DataSetError for an entry without what it needs."""
    for path, found in documents:
        try:
            yield from reader(path, found)
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise DataSetError(
                f"{path}: an entry is not as its format wants it ({type(error).__name__}: {error})"
            ) from error
