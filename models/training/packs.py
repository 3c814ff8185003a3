"""Prepared samples in one small file: made once, trained on many times, carried to another machine.

In: columns as `SampleStock` holds them, each an array with one row per sample. Out: an `.npz` file
and back. Bytes of images are stored as lossless WebP, plane by plane (a third of the size of
breast images), everything else by zlib. What must hold: what is read is what was written, bit for
bit, under the key it was written with (the digest of whatever made the samples).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Columns = Sequence[NDArray[Any]]

_LOSSLESS = [cv2.IMWRITE_WEBP_QUALITY, 101]  # above 100: OpenCV's word for lossless
_MAX_SIDE_PX = 16_383  # of a WebP picture
_MIN_SIDE_PX = 16  # smaller planes cost more as pictures than as bytes


class StalePackError(ValueError):
    """The pack was made by another preprocessing, or from other samples."""


def write(path: Path, key: str, columns: Columns) -> None:
    """Write `columns` by way of a temporary file beside `path`."""
    entries: dict[str, NDArray[Any]] = {"key": np.array(key), "count": np.array(len(columns))}
    for number, column in enumerate(columns):
        if _are_pictures(column):
            planes = column.reshape(-1, *column.shape[-2:])
            streams = [cv2.imencode(".webp", plane, _LOSSLESS)[1] for plane in planes]
            entries[f"{number}_bytes"] = np.concatenate(streams)
            entries[f"{number}_lengths"] = np.array([len(stream) for stream in streams])
            entries[f"{number}_shape"] = np.array(column.shape)
        else:
            entries[f"{number}"] = column
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    with temporary.open("wb") as file:
        np.savez_compressed(file, **entries)
    os.replace(temporary, path)


def read(path: Path, key: str | None) -> list[NDArray[Any]]:
    """The columns. Raises StalePackError where `key` is given and is another one."""
    with np.load(path, allow_pickle=False) as entries:
        if key is not None and str(entries["key"]) != key:
            raise StalePackError(f"{path} holds samples made in another way; remove it")
        return [_column(entries, number) for number in range(int(entries["count"]))]


def _column(entries: Any, number: int) -> NDArray[Any]:
    if f"{number}" in entries:
        plain: NDArray[Any] = entries[f"{number}"]
        return plain
    stream, ends = entries[f"{number}_bytes"], np.cumsum(entries[f"{number}_lengths"])
    shape = tuple(int(size) for size in entries[f"{number}_shape"])
    planes = np.empty((len(ends), *shape[-2:]), np.uint8)
    for index, part in enumerate(np.split(stream, ends[:-1])):
        # Grey WebP comes back in three equal channels.
        planes[index] = cv2.imdecode(part, cv2.IMREAD_COLOR)[:, :, 0]
    return planes.reshape(shape)


def _are_pictures(column: NDArray[Any]) -> bool:
    if column.dtype != np.uint8 or column.ndim < 3:
        return False
    sides = column.shape[-2:]
    return min(sides) >= _MIN_SIDE_PX and max(sides) <= _MAX_SIDE_PX
