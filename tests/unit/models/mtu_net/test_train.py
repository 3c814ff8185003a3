from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models.mtu_net import samples, train  # noqa: E402
from models.mtu_net.data import TILES  # noqa: E402
from models.training import config as configuration  # noqa: E402
from models.training import weights  # noqa: E402
from models.training.command import defaults_path  # noqa: E402


@pytest.fixture(name="kept", scope="module")
def kept_samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight samples of small tiles in which each class is a bright square of its own level."""
    rng = np.random.default_rng(0)
    tiles = rng.integers(40, 60, (8, TILES, 64, 64), dtype=np.uint8)
    truth = np.zeros_like(tiles)
    truth[:, :, 8:24, 8:24], truth[:, :, 40:60, 30:50] = 1, 2
    tiles[truth == 1], tiles[truth == 2] = 180, 250
    path = tmp_path_factory.mktemp("kept") / "samples.npz"
    np.savez(path, tiles=tiles, truth=truth)
    return path


@pytest.mark.parametrize("network", list(train.NETWORKS))
def test_every_network_trains_from_the_files_defaults(
    network: str, kept: Path, tmp_path: Path
) -> None:
    """Two steps leave weights that load, and a Dice for each class the network reports."""
    overrides = [
        f"network={network}",
        f"samples={kept}",
        f"validation_samples={kept}",
        *("width=2", "window_px=32", "batch=3", "fit.steps=2", "fit.minutes=0"),
        *("fit.device=cpu", "fit.validations=1", "fit.tensorboard=false"),
    ]
    config = configuration.read(train.Config, defaults_path("mtu_net"), overrides)
    figures = train.run(config, [], tmp_path)
    method = train.NETWORKS[network]
    assert set(figures) == {f"dice_{name}" for name in method.reports}
    weights.load(method.build(2), tmp_path)


def test_the_file_for_a_gpu_fits_the_configuration() -> None:
    """Laid over the defaults it is read, and trains on whole tiles."""
    paths = [defaults_path("mtu_net"), defaults_path("mtu_net").with_name("gpu.toml")]
    config = configuration.read(train.Config, paths)
    assert config.window_px == 0


def test_kept_samples_come_back_as_they_were(kept: Path) -> None:
    """A file's tiles and truth stand in the stock in their order."""
    stock = samples.load(kept, torch.device("cpu"))
    with np.load(kept) as stored:
        (tiles, truth), *_ = stock.in_order(8)
        np.testing.assert_array_equal(tiles.numpy(), stored["tiles"])
        np.testing.assert_array_equal(truth.numpy(), stored["truth"])


def test_samples_are_drawn_into_a_file(tmp_path: Path) -> None:
    """Without a folder they are phantoms."""
    path = tmp_path / "two.npz"
    samples.main(["--out", str(path), "--count", "2"])
    with np.load(path) as stored:
        assert stored["tiles"].shape == stored["truth"].shape == (2, TILES, 256, 256)
