"""DDSM patches as TFRecords (kaggle.com/datasets/skooch/ddsm-mammography, used by paper 004).

In: a folder with `*.tfrecords`: raw 299 x 299 bytes, `label_normal` 0 or 1, `label` 0 negative, 1
benign calcification, 2 benign mass, 3 malignant calcification, 4 malignant mass. Out: cases, one
per patch. What must hold: nothing is outlined; a patch without finding has no lesions. The set does
not tell patients apart, so that splits go by likeness, which misses patches of one lesion that were
turned; files whose name begins with "test" or "cv" are kept for testing, as the set means them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from models.contract import BreastImage
from models.datasets.cases import Case, Fold, Label, Truth
from models.datasets.tables import DataSetError
from models.datasets.tfrecords import Record, read_features, records

_LABELS: dict[int, Label] = {
    0: "normal",
    1: "benign",
    2: "benign",
    3: "malignant",
    4: "malignant",
}


def ddsm_files(folder: Path) -> list[Path]:
    """TFRecord files here or one folder below, as the set unpacks."""
    return sorted({*folder.glob("*.tfrecord*"), *folder.glob("*/*.tfrecord*")})


def read_ddsm(folder: Path) -> Iterator[Case]:
    """Every patch, named by file and number. Raises DataSetError."""
    for path in ddsm_files(folder):
        fold: Fold = "test" if path.name.startswith(("test", "cv")) else "train"
        for number, record in enumerate(records(path)):
            label = _label(record)
            truth = Truth(label, () if label == "normal" else None)
            yield Case(f"{path.stem}-{number}", "MG", truth, Patch(record), fold=fold)


class Patch:
    """Reads one patch when called; may be pickled."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def __call__(self) -> BreastImage:
        data = read_features(self._record).get("image", [])
        if len(data) != 1 or not isinstance(data[0], bytes):
            raise DataSetError(f"{self._record.path}: a record has no image")
        side = math.isqrt(len(data[0]))
        if side * side != len(data[0]):
            raise DataSetError(f"{self._record.path}: {len(data[0])} bytes are no square image")
        levels = np.frombuffer(data[0], np.uint8).reshape(side, side)
        return BreastImage(levels.astype(np.float32) / np.float32(255.0), "MG")


def _label(record: Record) -> Label | None:
    features = read_features(record)
    label = features.get("label", [])
    if len(label) == 1:
        return _LABELS.get(int(label[0]))
    if features.get("label_normal") == [0]:
        return "normal"
    raise DataSetError(f"{record.path}: a record has neither label nor label_normal")
