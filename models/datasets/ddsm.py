"""DDSM patches (kaggle.com/datasets/skooch/ddsm-mammography, used by paper 004).

In: a folder with `*.tfrecords` for training: raw 299 x 299 bytes, `label_normal` 0 or 1, `label` 0
negative, 1 benign calcification, 2 benign mass, 3 malignant calcification, 4 malignant mass; and,
for testing, `test10_data.npy`, `cv10_data.npy` with `test10_labels.npy`, `cv10_labels.npy`. Out:
cases, one per patch. What must hold: nothing is outlined; a patch without finding has no lesions.
The set does not tell patients apart, so that splits go by likeness, which misses patches of one
lesion that were turned. Both test files are one fold: masses are in the one, calcifications in the
other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.contract import BreastImage
from models.datasets.cases import SUSPICIOUS, Case, Fold, Label, Truth
from models.datasets.pictures import is_hidden
from models.datasets.tables import DataSetError
from models.datasets.tfrecords import Record, read_features, records

_LABELS: dict[int, Label] = {
    0: "normal",
    1: "benign",
    2: "benign",
    3: "malignant",
    4: "malignant",
}
_DATA, _LABEL = "_data.npy", "_labels.npy"


def ddsm_files(folder: Path) -> list[Path]:
    """TFRecord files and arrays, here or one folder below, as the set unpacks."""
    patterns = ("*.tfrecord*", f"*{_DATA}")
    found = (folder.glob(f"{below}{pattern}") for below in ("", "*/") for pattern in patterns)
    return sorted({path for paths in found for path in paths if not is_hidden(path.name)})


def read_ddsm(folder: Path) -> Iterator[Case]:
    """Every patch, named by file and number. Raises DataSetError."""
    for path in ddsm_files(folder):
        if path.name.endswith(_DATA):
            yield from _array(folder, path)
            continue
        fold: Fold = "test" if path.name.startswith(("test", "cv")) else "train"
        for number, record in enumerate(records(path)):
            yield _case(path, number, _label(record), Patch(record), fold)


@dataclass(frozen=True, slots=True)
class Patch:
    """Reads one patch when called; may be pickled."""

    record: Record

    def __call__(self) -> BreastImage:
        data = read_features(self.record).get("image", [])
        if len(data) != 1 or not isinstance(data[0], bytes):
            raise DataSetError(f"{self.record.path}: a record has no image")
        side = math.isqrt(len(data[0]))
        if side * side != len(data[0]):
            raise DataSetError(f"{self.record.path}: {len(data[0])} bytes are no square image")
        return _image(np.frombuffer(data[0], np.uint8).reshape(side, side))


def _array(folder: Path, path: Path) -> Iterator[Case]:
    """Patches (n, side, side, 1) and their labels (n), which lie beside them or in `folder`."""
    name = path.name.removesuffix(_DATA) + _LABEL
    places = (path.parent / name, folder / name)
    labels = next((place for place in places if place.is_file()), None)
    if labels is None:
        raise DataSetError(f"{name}, the labels of {path}, is missing")
    values, patches = _loaded(labels), _loaded(path, mmap_mode="r")
    _, *sides = patches.shape or (0,)
    if patches.dtype != np.uint8 or len(sides) not in (2, 3) or sides[2:] not in ([], [1]):
        raise DataSetError(
            f"{path} holds {patches.dtype} of {patches.shape}, and no grey patches in bytes"
        )
    if values.size != len(patches):
        raise DataSetError(f"{labels} has {values.size} labels for {len(patches)} patches")
    for number, value in enumerate(values.ravel()):
        label = _label_of(value, labels)
        yield _case(path, number, label, partial(_of_array, path, number), "test")


def _loaded(path: Path, mmap_mode: Literal["r"] | None = None) -> NDArray[Any]:
    """Raises DataSetError for what is no array."""
    try:
        return np.asarray(np.load(path, mmap_mode=mmap_mode))
    except (EOFError, ValueError) as error:
        raise DataSetError(f"{path} is no array that numpy has saved: {error}") from error


def _of_array(path: Path, number: int) -> BreastImage:
    return _image(np.asarray(_loaded(path, mmap_mode="r")[number]).squeeze())


def _case(path: Path, number: int, label: Label | None, read: Any, fold: Fold) -> Case:
    truth = Truth(label, () if label == "normal" else None, SUSPICIOUS)
    return Case(f"{path.stem}-{number}", "MG", truth, read, fold=fold)


def _image(levels: NDArray[Any]) -> BreastImage:
    return BreastImage(levels.astype(np.float32) / np.float32(255.0), "MG")


def _label(record: Record) -> Label | None:
    features = read_features(record)
    label = features.get("label", [])
    if len(label) == 1:
        return _label_of(label[0], record.path)
    if features.get("label_normal") == [0]:
        return "normal"
    raise DataSetError(f"{record.path}: a record has neither label nor label_normal")


def _label_of(value: Any, source: Path) -> Label:
    """Raises DataSetError for a number that is none of the set's."""
    label = _LABELS.get(value)
    if label is None:
        raise DataSetError(f"{source}: a label is {value!r}; known are 0 to {max(_LABELS)}")
    return label
