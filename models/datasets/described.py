"""What a folder of annotated pictures must say of itself: `sentinode.toml`.

In: a folder with annotations in a general format (VIA, COCO). Out: modality, pixel spacing, and
what its categories mean. What must hold: neither modality nor meaning is guessed from pictures; a
category that nobody explained is an error that says where to explain it.

    modality = "US"                       # or "MG"
    pixel_spacing_mm = [0.1, 0.1]         # between rows, between columns; optional
    [categories]                          # only for names other than those known here
    "masse maligne" = ["mass", "malignant"]
    "lymph node" = []                     # drawn, but nothing that a model looks for
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.contract import FindingKind, Modality
from models.datasets.cases import LABELS, Label
from models.datasets.tables import DataSetError, number, read_text

DESCRIPTION = "sentinode.toml"

Meaning = tuple[FindingKind | None, Label | None]

_WORDS: dict[str, FindingKind] = {
    "mass": FindingKind.MASS,
    "lesion": FindingKind.MASS,
    "tumor": FindingKind.MASS,
    "tumour": FindingKind.MASS,
    "mc": FindingKind.CALCIFICATION_CLUSTER,
    "calcification": FindingKind.CALCIFICATION_CLUSTER,
    "calcification_cluster": FindingKind.CALCIFICATION_CLUSTER,
    "cluster": FindingKind.CALCIFICATION_CLUSTER,
    "bac": FindingKind.ARTERIAL_CALCIFICATION,
    "arterial_calcification": FindingKind.ARTERIAL_CALCIFICATION,
}


@dataclass(frozen=True, slots=True)
class Description:
    """Of a folder. `categories`: meaning by name, in lower case."""

    modality: Modality
    pixel_spacing_mm: tuple[float, float] | None = None
    categories: Mapping[str, Meaning] = field(default_factory=dict)

    def meaning(self, category: str, source: Path) -> Meaning:
        """Kind and label; kind None for what no model looks for. Raises DataSetError.

        Unexplained names are read word by word: "benign mass", "malignant", "calcification".
        """
        name = category.strip().lower()
        if name in self.categories:
            return self.categories[name]
        words = name.replace("-", "_").split()
        labels = [label for label in LABELS[1:] if label in words]
        kinds = [_WORDS[word] for word in words if word in _WORDS]
        if len(labels) + len(kinds) != len(words) or len(labels) > 1 or len(kinds) > 1 or not words:
            raise DataSetError(
                f"{source}: what is {category!r}? Say it under [categories] in {DESCRIPTION}, "
                f'e.g. "{category}" = ["mass", "malignant"], or = [] to leave it out'
            )
        # A benign or malignant something in a breast image is a mass unless it is called otherwise.
        label = labels[0] if labels else None
        return (kinds[0] if kinds else FindingKind.MASS), label


def read_description(folder: Path) -> Description:
    """Of this folder or the one above. Raises DataSetError that says what to write."""
    places = (folder / DESCRIPTION, folder.parent / DESCRIPTION)
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise DataSetError(
            f'{folder} needs a file {DESCRIPTION} that says modality = "MG" or modality = "US"'
        )
    try:
        table = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise DataSetError(f"{path} is not TOML: {error}") from error
    if table.get("modality") not in ("MG", "US"):
        raise DataSetError(f'{path} does not say modality = "MG" or modality = "US"')
    categories = table.get("categories", {})
    if not isinstance(categories, Mapping):
        raise DataSetError(f"{path}: categories is no table; begin it with a line [categories]")
    return Description(
        table["modality"],
        _spacing(table.get("pixel_spacing_mm"), path),
        {name.lower(): _explained(words, name, path) for name, words in categories.items()},
    )


def _spacing(found: Any, path: Path) -> tuple[float, float] | None:
    """Raises DataSetError for what is not two lengths."""
    if found is None:
        return None
    pair = [number(str(value)) for value in found] if isinstance(found, list) else []
    if len(pair) != 2 or any(value is None or value <= 0 for value in pair):
        raise DataSetError(
            f"{path}: pixel_spacing_mm is {found!r}; write two lengths, such as [0.1, 0.1]"
        )
    return float(found[0]), float(found[1])


def _explained(words: Any, name: str, path: Path) -> Meaning:
    words = [words] if isinstance(words, str) else words
    if not isinstance(words, list):
        raise DataSetError(f'{path}: {name} is {words!r}; write a list, such as ["mass", "benign"]')
    strangers = [word for word in words if word not in _WORDS and word not in LABELS]
    if strangers:
        known = ", ".join(sorted({*_WORDS, *LABELS}))
        raise DataSetError(f"{path}: {name} = {strangers} is none of {known}")
    kinds = {_WORDS[word] for word in words if word in _WORDS}
    labels = [label for label in LABELS if label in words]
    if len(kinds) > 1 or len(labels) > 1:
        raise DataSetError(f"{path}: {name} = {words} means several things; write one kind, label")
    label = labels[0] if labels else None
    if kinds:
        return kinds.pop(), label
    # As in names that nobody explained: a benign or malignant something is a mass.
    return (FindingKind.MASS if label in LABELS[1:] else None), label
