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
from models.datasets.coco import is_coco, pictures_of_coco, read_coco
from models.datasets.ddsm import ddsm_files, read_ddsm
from models.datasets.inbreast import is_inbreast, read_inbreast
from models.datasets.mini_mias import INFO, read_archive, read_mini_mias
from models.datasets.mini_mias import NEEDED as CIRCLES
from models.datasets.pictures import PICTURES, files_of, folders_of
from models.datasets.rsna import NEEDED, TABLE, read_original, read_rsna
from models.datasets.tables import DataSetError, Row, place_of, read_table
from models.datasets.via import entries_of, pictures_of_via, read_via

LAYOUTS = (
    *("busi", "mini_mias", "rsna", "cbis_ddsm", "inbreast", "ddsm"),
    *("via", "coco"),
)

Reader = Callable[[], Iterable[Case | LeftOut]]

# What `sentinode phantom` writes last, of one study and of several (phantoms/dataset.py).
_OF_PHANTOMS = ("index.json", "*/index.json")

_HINTS = 3

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
    below = folders_of(folder)
    below += [path for place in below for path in folders_of(place)]
    known = [str(path) for path in below if _is_known(path)][:_HINTS]
    return f"; did you mean {' or '.join(known)}?" if known else ""


def _is_known(folder: Path) -> bool:
    """Also where a file of the layout is broken."""
    try:
        return _recognised(folder)[1] is not None
    except DataSetError:
        return True


def _by_folders(folder: Path) -> tuple[str, Reader | None]:
    """Sets known by the names of their own files and folders."""
    if is_busi(folder):
        return "busi", lambda: read_busi(folder)
    if is_cbis_ddsm(folder):
        return "cbis_ddsm", lambda: read_cbis_ddsm(folder)
    if is_inbreast(folder):
        return "inbreast", lambda: read_inbreast(folder)
    if place_of(folder, INFO).is_file():
        return "mini_mias", lambda: read_archive(folder)
    table = place_of(folder, TABLE)
    if table.is_file():
        return "rsna", lambda: read_original(folder, read_table(table, NEEDED), table)
    if ddsm_files(folder):
        return "ddsm", lambda: read_ddsm(folder)
    return "", None


def _by_labels(folder: Path) -> tuple[str, Reader | None]:
    """Pictures with a `labels.csv`, told apart by its columns."""
    table = place_of(folder, "labels.csv")
    if not table.is_file():
        return "", None
    rows = _as_on_disk(folder, read_table(table, ("file",)))
    if "abnormality" in rows[0]:
        read_table(table, CIRCLES)
        return "mini_mias", lambda: chain(read_mini_mias(folder, rows, table), _extra(table, rows))
    if "cancer" in rows[0]:
        return "rsna", lambda: chain(read_rsna(folder, rows, table), _extra(table, rows))
    raise DataSetError(f"{table} has neither a column abnormality (mini_mias) nor cancer (rsna)")


def _as_on_disk(folder: Path, rows: Sequence[Row]) -> list[Row]:
    """The rows with their pictures' names in the letters that the folder has, capital or not."""
    pictures = [path.name for path in files_of(folder, PICTURES)]
    exact, alike = set(pictures), {name.lower(): name for name in pictures}
    return [
        row if row["file"] in exact else row | {"file": alike.get(row["file"].lower(), row["file"])}
        for row in rows
    ]


def _extra(table: Path, rows: Sequence[Row]) -> Iterator[LeftOut]:
    """Pictures beside a table that no line of it names."""
    named = {row["file"] for row in rows}
    for path in files_of(table.parent, PICTURES):
        if path.name not in named:
            yield LeftOut(path.name, f"{table.name} does not name it")


def _by_annotations(folder: Path) -> tuple[str, Reader | None]:
    """JSON of annotations here or one folder below."""
    via: list[tuple[Path, list[dict[str, Any]]]] = []
    coco: list[tuple[Path, dict[str, Any]]] = []
    below = [path for place in folders_of(folder) for path in files_of(place, (".json",))]
    for path in sorted([*files_of(folder, (".json",)), *below]):
        try:
            document = json.loads(path.read_bytes())
        except (RecursionError, ValueError) as error:
            raise DataSetError(
                f"{path} is not JSON ({error}); repair it, or take it out of the folder"
            ) from error
        entries = entries_of(document)
        if entries is not None:
            via.append((path, entries))
        elif is_coco(document):
            coco.append((path, document))
    if via:
        others = [LeftOut(path.name, "COCO's format beside VIA's: not read") for path, _ in coco]
        return "via", lambda: chain(_annotated(read_via, pictures_of_via, via), others)
    if coco:
        return "coco", lambda: _annotated(read_coco, pictures_of_coco, coco)
    return "", None


def _annotated(
    reader: Callable[[Path, Any], Iterable[Case | LeftOut]],
    pictures: Callable[[Path, Any], list[Path]],
    documents: Sequence[tuple[Path, Any]],
) -> Iterator[Case | LeftOut]:
    """Cases of several JSON files. Raises DataSetError for an entry without what it needs.

    Also for a picture that is annotated twice: it would count twice, and which truth is its own?
    """
    told: dict[Path, Path] = {}
    for path, found in documents:
        try:
            for picture in map(Path.resolve, pictures(path, found)):
                if picture in told:
                    raise DataSetError(_twice(picture, told[picture], path))
                told[picture] = path
            yield from reader(path, found)
        except DataSetError:
            raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise DataSetError(
                f"{path}: an entry is not as its format wants it ({type(error).__name__}: {error})"
            ) from error
    for folder in sorted({picture.parent for picture in told}):
        for picture in files_of(folder, PICTURES):
            if picture not in told:
                yield LeftOut(picture.name, "no annotation names it")


def _twice(picture: Path, first: Path, second: Path) -> str:
    if first == second:
        return f"{first} lists {picture.name} twice"
    return f"{picture.name} is annotated in {first} and in {second}; take one of them away"
