"""Training samples: made by processes, kept on the device, drawn by step number.

In: a picklable function from seed to a tuple of numpy arrays, and the seeds. Out: batches of device
tensors. Training starts as soon as a few samples are there while the rest are still being made:
on a short budget, waiting for the whole set would cost more than the repetition of the first.
With `packed` the samples are kept in a file, and read from it the next time.
What must hold: samples stand in the order of their seeds, and once all are made, the batch of a
step depends on nothing but (seed, step).
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.pool import Pool
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.training import packs

Sample = tuple[NDArray[np.generic], ...]
MakeSample = Callable[[int], Sample]

_WAIT_SECONDS = 0.05


class SampleError(RuntimeError):
    """A sample cannot be made from an image, or cannot be kept; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Where a stock is kept, and the digest of what made it; see `packs`.

    `key` None takes the file as it is: for a machine that has it and not what it was made from.
    """

    path: Path
    key: str | None


@contextmanager
def sample_pool(workers: int) -> Iterator[Pool]:
    """A pool of fresh processes, ended with the block.

    `spawn`, because a process forked after CUDA has started cannot use it and may hang.
    """
    context = multiprocessing.get_context("spawn")
    # One process per core already; OpenCV's own threads would only fight over the cores.
    pool = context.Pool(workers, initializer=cv2.setNumThreads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.terminate()
        pool.join()


@contextmanager
def pool_or_none(workers: int) -> Iterator[Pool | None]:
    """`sample_pool`, or None for 0 workers: samples are then made in this process."""
    if not workers:
        yield None
        return
    with sample_pool(workers) as pool:
        yield pool


class SampleStock:
    """Samples of equal shape on one device, growing while `make` runs in the pool."""

    def __init__(
        self,
        pool: Pool | None,
        make: MakeSample,
        seeds: Sequence[int],
        device: torch.device,
        packed: Packed | None = None,
    ) -> None:
        """Begin to make one sample per seed; without a pool, make all of them here and now.

        A pack that is there is read instead; `make` and `seeds` then count for nothing. Raises
        StalePackError.
        """
        self._packed = packed
        self._filling: threading.Thread | None = None
        if packed is not None and packed.path.is_file():
            self._take(packs.read(packed.path, packed.key), device)
            return
        if not seeds:
            raise ValueError("a stock needs at least one seed")
        self._capacity = len(seeds)
        self._device = device
        self._columns: list[Tensor] = []
        self._ready = 0
        self._failure: Exception | None = None
        if pool is None:
            self._fill(iter(map(make, seeds)))
        else:
            made = pool.imap(make, seeds)
            self._filling = threading.Thread(target=self._fill_guarded, args=(made,), daemon=True)
            self._filling.start()

    def _fill_guarded(self, made: Iterator[Sample]) -> None:
        try:
            self._fill(made)
        except Exception as failure:  # noqa: BLE001 - carried to the thread that draws batches
            self._failure = failure

    def _fill(self, made: Iterator[Sample]) -> None:
        for row, sample in enumerate(made):
            if not self._columns:
                self._columns = [
                    torch.empty(
                        (self._capacity, *array.shape),
                        dtype=torch.from_numpy(np.zeros(1, array.dtype)).dtype,
                        device=self._device,
                    )
                    for array in sample
                ]
            for column, array in zip(self._columns, sample, strict=True):
                column[row].copy_(torch.from_numpy(np.ascontiguousarray(array)))
            self._ready = row + 1
        if self._packed is not None and self._packed.key is not None:
            arrays = [column.cpu().numpy() for column in self._columns]
            packs.write(self._packed.path, self._packed.key, arrays)

    def _take(self, columns: packs.Columns, device: torch.device) -> None:
        self._columns = [torch.from_numpy(column).to(device) for column in columns]
        self._capacity = self._ready = len(columns[0])
        self._device, self._failure = device, None

    def __len__(self) -> int:
        """Samples made so far."""
        return self._ready

    def wait(self, count: int) -> None:
        """Return when `count` samples (at most the capacity) are there.

        Raises SampleError, with the cause, when a sample could not be made.
        """
        while self._failure is None and self._ready < min(count, self._capacity):
            time.sleep(_WAIT_SECONDS)
        if self._failure is not None:
            reason = f"a sample could not be made or kept: {self._failure}"
            raise SampleError(reason) from self._failure

    def complete(self) -> None:
        """Return when every sample is made, and kept where it is to be. Raises as `wait`."""
        self.wait(self._capacity)
        if self._filling is not None:
            self._filling.join()
            self.wait(self._capacity)

    def batch(self, step: int, size: int, seed: int) -> tuple[Tensor, ...]:
        """Draw `size` samples for `step`: each column (size, ...), on the stock's device."""
        self.wait(size)
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        rows = torch.randint(self._ready, (size,), generator=generator).to(self._device)
        return tuple(column.index_select(0, rows) for column in self._columns)

    def in_order(self, size: int) -> Iterator[tuple[Tensor, ...]]:
        """Every sample once, in the order of the seeds, in batches of at most `size`."""
        self.wait(self._capacity)
        for start in range(0, self._capacity, size):
            yield tuple(column[start : start + size] for column in self._columns)
