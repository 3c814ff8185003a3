"""The real Triton server of the wheel, on free ports, serving the project's own models."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from stack.process import START_SECONDS
from stack.served import Triton, served

REPOSITORY = Path(__file__).resolve().parents[2] / "model_repository"


def running_triton(
    ports: tuple[int, int, int] | None = None,
    repository: Path = REPOSITORY,
    cpu_threads: int = 0,
) -> AbstractContextManager[Triton]:
    """Run Triton until the block ends; entered once every model is ready.

    `cpu_threads`: of each model, 0 for all cores.
    """
    return served(repository, cpu_threads, ports, start_seconds=START_SECONDS)
