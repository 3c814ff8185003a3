"""What a run may look at, and the table of the comparison."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed: extra `train`")

from models.imaging.patches import PATCH_PX
from models.mask_rcnn_mg.compare import ARMS, REPORTED, main, table
from models.mask_rcnn_mg.spec import CONFIG
from models.mask_rcnn_mg.train import Config, network, run, sides
from models.training import config as configuration
from models.training import weights
from models.training.command import defaults_path
from models.training.folds import Fold
from tests.unit.models.mask_rcnn_mg.folders import mini_mias


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mini_mias(tmp_path_factory.mktemp("sets") / "mini_mias", 10)


@pytest.fixture
def config() -> Config:
    return configuration.read(Config, defaults_path("mask_rcnn_mg"))


def test_defaults_can_be_read_and_changed(config: Config) -> None:
    """The file's keys are those of the dataclass; the shares are those of one whole."""
    shares = config.data.shares
    total = shares.outlined + shares.inserted + shares.normal + shares.phantom
    assert total == pytest.approx(1.0)
    assert not config.grey_only


def test_the_served_network_is_the_one_that_is_trained(config: Config) -> None:
    """Weights of another one could not be exported."""
    assert config.network == CONFIG


def test_hyper_parameters_of_the_papers_can_be_laid_over() -> None:
    """Raza et al. on turned squares of 256 px; Kumar et al. with all of their changes."""
    path = defaults_path("mask_rcnn_mg")
    raza, kumar = (
        configuration.read(Config, [path, path.with_name(f"paper_{key}.toml")])
        for key in ("001", "004")
    )
    assert raza.data.window_px == (PATCH_PX, PATCH_PX)
    assert raza.data.patches
    assert raza.loss.sampled < raza.network.proposals
    assert (kumar.network.depth, kumar.network.finest_stride_px) == (101, 2)
    assert (kumar.network.roi_levels, kumar.network.mask_head) == ("all", "refined")
    assert (kumar.loss.smooth_l1, kumar.loss.renyi) == (0.0, 1.0)


def test_patches_are_square(config: Config) -> None:
    """A turned one of another shape would lose its corners."""
    with pytest.raises(ValueError, match="square"):
        replace(config.data, patches=True, window_px=(320, 256))


def test_a_refined_network_trains_on_turned_patches(
    films: Path, config: Config, tmp_path: Path
) -> None:
    """Another network and loss than the served ones; a second run goes on from their weights."""
    tiny = replace(
        config,
        network=replace(
            config.network,
            width=0.125,
            channels=8,
            hidden=8,
            finest_stride_px=2,
            roi_levels="all",
            before_nms=8,
            proposals=8,
            detections=2,
        ),
        loss=replace(config.loss, smooth_l1=0.0, renyi=1.0, positives=2, sampled=4),
        data=replace(
            config.data, samples=2, batch=2, workers=0, window_px=(128, 128), patches=True
        ),
        fit=replace(config.fit, steps=1, tensorboard=False),
    )
    assert run(tiny, [films], tmp_path)["images"] > 0
    first = network(replace(tiny, initial=tmp_path)).state_dict()
    weights.load(again := network(tiny), tmp_path)
    for name, tensor in again.state_dict().items():
        assert tensor.equal(first[name]), name


@pytest.mark.parametrize("fold", [None, Fold(0, 5), Fold(4, 5)])
@pytest.mark.parametrize("inner", [0, 2])
def test_no_patient_stands_on_both_sides(
    films: Path, config: Config, fold: Fold | None, inner: int
) -> None:
    """Backgrounds count: a held-out patient's normal film is not trained on either."""
    training, validation = sides(replace(config, inner_folds=inner), [films], fold)
    assert training
    assert validation
    trained = {case.group for cases in training for case in cases}
    assert not trained & {case.group for case in validation}


def test_inner_folds_leave_the_validation_side_alone(films: Path, config: Config) -> None:
    """An operating point is chosen on patients of the training side only."""
    _, held_out = sides(config, [films], None)
    for inner_fold in (0, 1):
        inner = replace(config, inner_folds=2, inner_fold=inner_fold)
        training, validation = sides(inner, [films], None)
        seen = {case.group for case in (*training[0], *validation)}
        assert not seen & {case.group for case in held_out}


def test_table_has_ours_and_theirs() -> None:
    """One row per arm, intervals beside our figures, the paper's in columns of their own."""
    names = ("sensitivity_at_1_fp", "sensitivity_at_half_fp", "auc", "dice_of_hits")
    arm = {
        "figures": dict.fromkeys(names, 0.5) | {"masses": 46.0, "images": 207.0},
        "intervals": dict.fromkeys(names, (0.25, 0.75)),
    }
    text = table(
        {
            "steps": 10,
            "data": ["y"],
            "test": "x",
            "arms": dict.fromkeys(ARMS, arm),
            "reported": REPORTED,
        }
    )
    assert "| pseudo-colour | 0.50 (0.25 to 0.75)" in text
    assert "| grey only |" in text
    assert text.splitlines()[4].endswith("| 0.90 | 0.88 |")
    assert "46 masses on 207 images of x; 10 steps each" in text


def test_testing_on_training_data_is_refused(films: Path, tmp_path: Path) -> None:
    """The test folder must not be among those trained on."""
    data = str(films)
    with pytest.raises(SystemExit):
        main(["--data", data, "--test", data, "--out", str(tmp_path)])
