from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: extra `train`")

from models.mtu_net import train  # noqa: E402
from models.mtu_net.data import TILES  # noqa: E402
from models.mtu_net.stocks import DataSettings, stocks  # noqa: E402
from models.training import config as configuration  # noqa: E402
from models.training import packs, weights  # noqa: E402
from models.training.command import defaults_path  # noqa: E402


@pytest.fixture(name="kept", scope="module")
def kept_samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packs of eight samples of small tiles; each class is a bright square of its own level."""
    rng = np.random.default_rng(0)
    tiles = rng.integers(40, 60, (8, TILES, 64, 64), dtype=np.uint8)
    truth = np.zeros_like(tiles)
    truth[:, :, 8:24, 8:24], truth[:, :, 40:60, 30:50] = 1, 2
    tiles[truth == 1], tiles[truth == 2] = 180, 250
    folder = tmp_path_factory.mktemp("kept")
    for name in ("training", "validation"):
        packs.write(folder / f"{name}.npz", "made elsewhere", [tiles, truth])
    return folder


@pytest.mark.parametrize("network", list(train.NETWORKS))
def test_every_network_trains_from_the_files_defaults(
    network: str, kept: Path, tmp_path: Path
) -> None:
    """Two steps leave weights that load and can be gone on from, and a Dice for each class."""
    overrides = [
        f"network={network}",
        f"data.packs={kept}",
        *("width=2", "data.window_px=32", "data.batch=3", "data.workers=0"),
        *("fit.steps=2", "fit.minutes=0", "fit.device=cpu", "fit.validations=1"),
        "fit.tensorboard=false",
    ]
    config = configuration.read(train.Config, defaults_path("mtu_net"), overrides)
    figures = train.run(config, [], tmp_path)
    method = train.NETWORKS[network]
    assert set(figures) == {f"dice_{name}" for name in method.reports}
    weights.load(method.build(2), tmp_path)
    train.run(replace(config, initial=tmp_path), [], tmp_path / "again")
    (tmp_path / "none").mkdir()
    with pytest.raises(configuration.ConfigError, match=r"initial: no weights"):
        train.run(replace(config, initial=tmp_path / "none"), [], tmp_path / "again")


def test_the_file_for_a_gpu_fits_the_configuration() -> None:
    """Laid over the defaults it is read, and trains on whole tiles."""
    paths = [defaults_path("mtu_net"), defaults_path("mtu_net").with_name("gpu.toml")]
    config = configuration.read(train.Config, paths)
    assert config.data.window_px == 0


def test_hyper_parameters_of_the_paper_can_be_laid_over() -> None:
    """Alghamdi 2024: 64 channels, whole tiles, Adam at 1e-4 for 100 epochs."""
    paths = [defaults_path("mtu_net"), defaults_path("mtu_net").with_name("paper_002.toml")]
    config = configuration.read(train.Config, paths)
    assert (config.width, config.data.window_px) == (64, 0)
    assert (config.fit.learning_rate, config.fit.weight_decay) == (1e-4, 0.0)
    assert config.fit.steps >= 100 * config.data.images / config.data.batch


def test_samples_are_prepared_once_and_taken_as_they_are(tmp_path: Path) -> None:
    """Drawn into packs; without their makings they are still read."""
    settings = DataSettings(images=1, validation_images=1, workers=0, packs=tmp_path)
    train.prepare(train.Config(data=settings), [])
    with ExitStack() as stack:
        training, validation = stocks(settings, [], None, torch.device("cpu"), stack)
    assert len(training) == len(validation) == 1
    more = dataclasses.replace(settings, images=2)
    with ExitStack() as stack:
        assert len(stocks(more, [], None, torch.device("cpu"), stack)[0]) == 1
