"""One set of real peers for all fault tests, and small studies to lose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from phantoms.study import StudyOptions, write_study
from tests.peers.whole import Whole, running_whole

# Studies of these tests only; see phantoms.study for which seeds training uses.
_SEEDS = count(700_000)


@pytest.fixture(scope="session")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """Peers, without any process of the node."""
    with running_whole(tmp_path_factory.mktemp("whole")) as whole:
        yield whole


@pytest.fixture
def whole(peers: Whole) -> Iterator[Whole]:
    """The node running among its peers; every process is new."""
    peers.deliver_by("stow", "qido")
    peers.start("receive", "sweep", "analysis", "delivery")
    yield peers
    peers.stop_all()


@pytest.fixture
def new_study(tmp_path: Path) -> Callable[[], Path]:
    """Write a new two-view study of small images."""

    def write() -> Path:
        folder = tmp_path / "study"
        options = StudyOptions(views=("LCC", "RCC"), rows=416, processing=False)
        write_study(folder, next(_SEEDS), options)
        return folder

    return write
