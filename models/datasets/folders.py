"""Folders of images with truth, recognised by their layout.

In: a folder as one of the public sets is shipped, or annotated with VIA or in COCO's format. Out:
cases. What must hold: only files are read, nothing is written; a folder that is nearly right gets
an error that names what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from models.datasets.busi import is_busi, read_busi
from models.datasets.cases import Case
from models.datasets.cbis_ddsm import is_cbis_ddsm, read_cbis_ddsm
from models.datasets.coco import is_coco, read_coco
from models.datasets.ddsm import ddsm_files, read_ddsm
from models.datasets.inbreast import is_inbreast, read_inbreast
from models.datasets.mini_mias import INFO, read_info, read_mini_mias
from models.datasets.mini_mias import NEEDED as CIRCLES
from models.datasets.rsna import NEEDED, TABLE, read_original, read_rsna
from models.datasets.tables import DataSetError, read_table
from models.datasets.via import entries_of, read_via

LAYOUTS = (
    *("busi", "mini_mias", "rsna", "cbis_ddsm", "inbreast", "ddsm"),
    *("via", "coco"),
)

Reader = Callable[[], Iterable[Case]]


class UnknownLayoutError(DataSetError):
    """The folder is laid out like none of those we know."""


def read_folder(folder: Path) -> list[Case]:
    """Every case of a folder in a known layout. Raises DataSetError, UnknownLayoutError."""
    return read_layout(folder)[1]


def read_layout(folder: Path) -> tuple[str, list[Case]]:
    """Name of the layout, one of LAYOUTS, and the cases."""
    for name, reader in (_by_folders(folder), _by_labels(folder), _by_annotations(folder)):
        if reader is not None:
            return name, list(reader())
    raise UnknownLayoutError(
        f"{folder} is laid out like none of: phantoms, {', '.join(LAYOUTS)}; docs/data-sets.md "
        "shows each"
    )


def _by_folders(folder: Path) -> tuple[str, Reader | None]:
    """Sets known by the names of their own files and folders."""
    if is_busi(folder):
        return "busi", lambda: read_busi(folder)
    if is_cbis_ddsm(folder):
        return "cbis_ddsm", lambda: read_cbis_ddsm(folder)
    if is_inbreast(folder):
        return "inbreast", lambda: read_inbreast(folder)
    if (folder / INFO).is_file():
        return "mini_mias", lambda: read_mini_mias(folder, read_info(folder))
    if (folder / TABLE).is_file():
        return "rsna", lambda: read_original(folder, read_table(folder / TABLE, NEEDED))
    if ddsm_files(folder):
        return "ddsm", lambda: read_ddsm(folder)
    return "", None


def _by_labels(folder: Path) -> tuple[str, Reader | None]:
    """Pictures with a `labels.csv`, told apart by its columns."""
    if not (folder / "labels.csv").is_file():
        return "", None
    rows = read_table(folder / "labels.csv", ("file",))
    columns = set(rows[0]) if rows else set()
    if "abnormality" in columns:
        read_table(folder / "labels.csv", CIRCLES)
        return "mini_mias", lambda: read_mini_mias(folder, rows)
    if "cancer" in columns:
        return "rsna", lambda: read_rsna(folder, rows)
    raise DataSetError(
        f"{folder / 'labels.csv'} has neither a column abnormality (mini_mias) nor cancer (rsna)"
    )


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
        return "via", lambda: [case for path, found in via for case in read_via(path, found)]
    if coco:
        return "coco", lambda: [case for path, found in coco for case in read_coco(path, found)]
    return "", None
