"""A whole training run on a folder, small enough for a test."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.mask_rcnn.configuration import NetworkConfig
from models.mask_rcnn.losses import LossConfig
from models.mask_rcnn.network import MaskRCNN
from models.mask_rcnn.settings import Config, DataSettings
from models.mask_rcnn.stocks import Stocks, stocks
from models.mask_rcnn.train import train
from models.mask_rcnn_us import MODEL
from models.mask_rcnn_us.spec import CONFIG
from models.mask_rcnn_us.train import prepare
from models.training import command, config, weights
from models.training.settings import FitSettings
from tests.unit.models.mask_rcnn import busi_folder

SIDE = MODEL.spec.inputs[0].shape[-1]
TINY = Config(
    NetworkConfig(
        (SIDE, SIDE),
        width=0.125,
        channels=8,
        hidden=8,
        classes=3,
        semantic=True,
        image_head=True,
        before_nms=10,
        proposals=8,
        detections=4,
    ),
    DataSettings(batch=2, phantoms=0, tuning_phantoms=0),
    FitSettings(steps=4, device="cpu", tensorboard=False, validations=1, checkpoint_seconds=1e-9),
    LossConfig(positives=4, sampled=12),
    stages=((0.0, 64), (0.5, 128)),
)


@pytest.fixture
def made(tmp_path: Path) -> Stocks:
    """Stocks of a folder of eighteen images."""
    folder = busi_folder.write(tmp_path / "busi", 6)
    return stocks(TINY.data, MODEL, [folder], torch.device("cpu"), None, tmp_path)


def test_run_reports_the_side_it_did_not_train_on(made: Stocks, tmp_path: Path) -> None:
    """Figures of the tuning side, sides written down, weights that the served network loads."""
    result = train(TINY, made, tmp_path / "out", "tiny")
    assert result.steps == 4
    assert {"tuning_sensitivity_at_half_fp", "tuning_accuracy"} <= set(result.metrics)
    sides = json.loads((tmp_path / "split.json").read_text())
    assert all(sides.values())
    weights.save(result.module, tmp_path / "out")
    weights.load(MaskRCNN(TINY.network), tmp_path / "out")


def test_interrupted_run_ends_with_the_same_weights(made: Stocks, tmp_path: Path) -> None:
    """Paused after a step and resumed, the run repeats the uninterrupted one, sizes included."""
    whole = train(TINY, made, tmp_path / "whole", "tiny")
    pausing = replace(TINY, fit=replace(TINY.fit, pause_minutes=1e-9))
    result = train(pausing, made, tmp_path / "parts", "tiny")
    while not result.finished:
        one_more = replace(TINY, fit=replace(TINY.fit, pause_minutes=1e-3))
        result = train(one_more, made, tmp_path / "parts", "tiny", resume=True)
    for name, tensor in whole.module.state_dict().items():
        assert torch.equal(tensor, result.module.state_dict()[name]), name


def test_a_run_starts_from_the_weights_of_another(made: Stocks, tmp_path: Path) -> None:
    """With next to no learning rate, the weights at the end are those named by `initial`."""
    first = train(TINY, made, tmp_path / "first", "tiny").module
    weights.save(first, tmp_path / "first")
    still = replace(TINY.fit, learning_rate=1e-9, decay=0.0)
    again = train(
        replace(TINY, fit=still, initial=tmp_path / "first"), made, tmp_path / "again", "tiny"
    ).module
    expected = dict(first.named_parameters())
    for name, tensor in again.named_parameters():
        assert torch.allclose(tensor, expected[name].half().float(), atol=1e-6), name
    wider = replace(TINY, network=replace(TINY.network, hidden=16), initial=tmp_path / "first")
    with pytest.raises(config.ConfigError, match="weights of another network"):
        train(wider, made, tmp_path / "wider", "tiny")


def test_defaults_of_the_ultrasound_model_are_read() -> None:
    """The TOML file holds no key that nobody reads, and says which network is served."""
    found = config.read(Config, command.defaults_path("mask_rcnn_us"))
    assert found.stages[-1][1] == found.network.input_px[0]
    assert found.network == CONFIG
    assert found.loss.smooth_l1 == 1.0
    path = command.defaults_path("mask_rcnn_us")
    with_gpu = config.read(Config, [path, path.with_name("gpu.toml")])
    assert with_gpu.network == found.network
    assert with_gpu.data.batch > found.data.batch


def test_packs_train_without_the_images(tmp_path: Path) -> None:
    """Kept samples and the kept split are all that another machine needs; they are the same."""
    folder = busi_folder.write(tmp_path / "busi", 6)
    settings = replace(TINY.data, packs=tmp_path / "packs", phantoms=2, workers=0)
    device = torch.device("cpu")
    prepare(replace(TINY, data=settings), [folder])
    here = stocks(settings, MODEL, [folder], device, None, tmp_path / "here")
    there = stocks(settings, MODEL, [], device, None, tmp_path / "there")
    for ours, theirs in zip(here.batch(3, settings, 1), there.batch(3, settings, 1), strict=True):
        assert torch.equal(ours, theirs)
    assert there.validation is not None
    kept = (tmp_path / "there" / "split.json").read_text()
    assert kept == (tmp_path / "here" / "split.json").read_text()


def test_nothing_to_train_on_is_an_error(tmp_path: Path) -> None:
    """Without folders and without phantoms there is no run."""
    with pytest.raises(ValueError, match="nothing to train on"):
        stocks(TINY.data, MODEL, [], torch.device("cpu"), None, tmp_path)
