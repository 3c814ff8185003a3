"""Samples kept in a file: the same bits back, and never those of another preprocessing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.training import packs
from models.training.packs import StalePackError
from models.training.samples import Packed, SampleStock, sample_pool

CPU = torch.device("cpu")


def _sample(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    smooth = np.add.outer(np.arange(40), np.arange(24)) + 40 * rng.random()
    planes = np.stack([smooth, rng.integers(0, 256, (40, 24))]).astype(np.uint8)
    return planes, rng.normal(size=3).astype(np.float32)


def test_columns_return_bit_for_bit(tmp_path: Path) -> None:
    """Pictures, small planes, numbers of several types; pictures shrink."""
    rng = np.random.default_rng(1)
    smooth = np.broadcast_to(np.arange(64, dtype=np.uint8), (9, 2, 64, 64))
    columns: list[NDArray[Any]] = [
        rng.integers(0, 256, (9, 3, 32, 20)).astype(np.uint8),
        np.ascontiguousarray(smooth),
        rng.integers(0, 2, (9, 4, 4)).astype(np.uint8),
        rng.normal(size=(9, 8)).astype(np.float32),
        np.arange(9, dtype=np.int64)[:, np.newaxis],
    ]
    packs.write(tmp_path / "a.npz", "key", columns)
    found = packs.read(tmp_path / "a.npz", "key")
    for column, back in zip(columns, found, strict=True):
        assert column.dtype == back.dtype
        np.testing.assert_array_equal(column, back)
    packs.write(tmp_path / "b.npz", "key", columns[1:2])
    assert (tmp_path / "b.npz").stat().st_size < columns[1].nbytes / 10


def test_pack_of_other_samples_is_refused(tmp_path: Path) -> None:
    """Another key is an error that names the file; no key takes what is there."""
    packs.write(tmp_path / "a.npz", "old", [np.zeros((2, 3), np.float32)])
    with pytest.raises(StalePackError, match=r"a\.npz"):
        packs.read(tmp_path / "a.npz", "new")
    assert len(packs.read(tmp_path / "a.npz", None)) == 1


def test_stock_is_made_once_and_read_again(tmp_path: Path) -> None:
    """The second stock makes nothing and gives the same batches."""
    packed = Packed(tmp_path / "stock.npz", "key")
    first = SampleStock(None, _sample, range(12), CPU, packed)

    def never(seed: int) -> tuple[NDArray[np.generic], ...]:
        raise AssertionError("made again")

    for again in (packed, Packed(packed.path, None)):
        second = SampleStock(None, never, [], CPU, again)
        assert len(second) == 12
        for one, other in zip(first.batch(3, 5, 7), second.batch(3, 5, 7), strict=True):
            assert torch.equal(one, other)


def test_stock_filled_by_processes_is_kept_when_complete(tmp_path: Path) -> None:
    """`complete` returns when the file is there; a folder that cannot be written is an error."""
    packed = Packed(tmp_path / "stock.npz", "key")
    (tmp_path / "file").touch()
    with sample_pool(1) as pool:
        SampleStock(pool, _sample, range(4), CPU, packed).complete()
        assert packed.path.is_file()
        stock = SampleStock(pool, _sample, range(4), CPU, Packed(tmp_path / "file/x.npz", "key"))
        with pytest.raises(RuntimeError, match="could not be made or kept"):
            stock.complete()
