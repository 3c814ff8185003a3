"""What people type and hand over by mistake: each ends in one sentence that says what to do."""

from __future__ import annotations

import json
import logging
import resource
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

torch = pytest.importorskip("torch", reason="torch is not installed: extra `train`")

from models.commands import export, train  # noqa: E402
from models.datasets.folders import layout_of  # noqa: E402
from models.evaluation.cards import undeclared_data  # noqa: E402
from models.training import checkpoint, weights  # noqa: E402

SMALL = ("data.workers=0", "data.phantoms=0", "fit.steps=1", "fit.validations=1")


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(1, 255, (90, 120), np.uint8)
    cv2.imwrite(str(path), pixels)


def invoke(name: str, *arguments: str, settings: tuple[str, ...] = SMALL) -> Result:
    overrides = [part for setting in settings for part in ("--set", setting)]
    result = CliRunner().invoke(train, [name, *arguments, *overrides])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def busi(tmp_path: Path) -> Path:
    for number in range(3):
        picture(tmp_path / "mine" / "normal" / f"{number}.png", number)
    return tmp_path / "mine"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mask_rcnn_mg", "holds no mammogram that is normal or has an outlined mass"),
        ("mtu_net", "holds no normal mammogram"),
        ("resnet50", "of 0 mammograms with a label none is on the training side"),
    ],
)
def test_a_folder_of_another_kind(busi: Path, tmp_path: Path, name: str, message: str) -> None:
    """Ultrasound for mammography: nothing is trained on phantoms instead, in silence."""
    settings = ("fit.steps=1", "data.workers=0")
    result = invoke(name, "--data", str(busi), "--out", str(tmp_path / "out"), settings=settings)
    assert result.exit_code == 1
    assert f"{busi}" in result.output
    assert message in result.output


def test_ultrasound_without_an_outline(tmp_path: Path) -> None:
    """Images whose lesions nobody outlined teach a detector nothing."""
    picture(tmp_path / "mine" / "benign" / "a.png", 0)
    result = invoke("mask_rcnn_us", "--data", str(tmp_path / "mine"), "--out", str(tmp_path / "o"))
    assert result.exit_code == 1
    assert "holds no US image whose lesions are outlined" in result.output


def test_a_picture_that_cannot_be_read(busi: Path, tmp_path: Path) -> None:
    """Named, with what to do about it."""
    for path in (busi / "normal").iterdir():
        path.write_bytes(b"no picture")
    result = invoke("mask_rcnn_us", "--data", str(busi), "--out", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert ".png is not a readable picture; repair the file, or take it out" in result.output


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    """Neither one that no machine has nor one that this machine has not."""
    settings = ("fit.device=meteor", "fit.steps=1")
    result = invoke("resnet50", "--out", str(tmp_path / "out"), settings=settings)
    assert result.exit_code == 1
    assert "fit.device is 'meteor', which this machine lacks; write auto or cpu" in result.output


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("fit.minutes=nan", "fit.minutes is nan, which is no finite number"),
        ("fit.minutes=inf", "fit.minutes is inf, which is no finite number"),
        ("data.batch=0", "data: batch is 0; a step needs 1 sample or more"),
        ("data.batch=-1", "data.batch is -1; it cannot be below 0"),
        ("data.workers=-1", "data.workers is -1; it cannot be below 0"),
        ("fit.threads=-1", "fit.threads is -1; it cannot be below 0"),
        ("fit.watch.mode=best", "fit.watch.mode is 'best'; known are max, min"),
    ],
)
@pytest.mark.parametrize("name", ["mask_rcnn_mg", "mask_rcnn_us", "mtu_net", "resnet50"])
def test_settings_that_cannot_be_meant(
    tmp_path: Path, name: str, setting: str, message: str
) -> None:
    """A run without an end, or one that ends in a traceback of torch."""
    result = invoke(name, "--out", str(tmp_path / "out"), settings=("fit.steps=1", setting))
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "out").exists()


def test_a_figure_to_watch_that_there_is_not(tmp_path: Path) -> None:
    """Told with those that there are, at the first validation."""
    settings = ("data.workers=0", "data.phantoms=1", "data.tuning_phantoms=1", "data.batch=1")
    settings += ("fit.steps=1", "fit.validations=1", "fit.watch.metric=auc")
    result = invoke("mask_rcnn_us", "--out", str(tmp_path / "out"), settings=settings)
    assert result.exit_code == 1
    assert "fit.watch.metric: no metric auc to watch; there are phantom_" in result.output


def test_folds_without_a_folder(tmp_path: Path) -> None:
    """Phantoms and packs are not divided: each fold would be the same run."""
    result = invoke("resnet50", "--out", str(tmp_path / "out"), "--folds", "2")
    assert result.exit_code == 2
    assert "--folds divides the images of a folder: name it as --data" in result.output


def test_a_configuration_that_is_no_text(tmp_path: Path) -> None:
    """The file is named."""
    (tmp_path / "mine.toml").write_bytes(b"\x89PNG")
    result = invoke("resnet50", "--config", str(tmp_path / "mine.toml"))
    assert result.exit_code == 2
    assert "mine.toml is not TOML" in result.output


def test_a_damaged_checkpoint(busi: Path, tmp_path: Path) -> None:
    """Not gone on from, and not silently begun anew."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "checkpoint.pt").write_bytes(b"half a file")
    settings = (*SMALL, "data.tuning_phantoms=0", "data.batch=2")
    result = invoke(
        "mask_rcnn_us", "--data", str(busi), "--out", str(out), "--resume", settings=settings
    )
    assert result.exit_code == 1
    assert "checkpoint.pt is damaged, or of a run with other settings" in result.output


def test_a_licence_goes_by_the_data_and_not_by_its_folder(busi: Path, tmp_path: Path) -> None:
    """BUSI in a folder called "mine", for a model whose card does not list it."""
    assert layout_of(busi) == "busi"
    out = tmp_path / "out"
    invoke("resnet50", "--data", str(busi), "--out", str(out), settings=("fit.steps=1",))
    facts = json.loads((out / "config.json").read_text())
    assert (facts["data"], facts["layouts"]) == (["mine"], ["busi"])
    assert undeclared_data("resnet50", out) == ["busi"]
    assert undeclared_data("mask_rcnn_us", out) == []


def test_what_the_initial_weights_saw_is_inherited(busi: Path, tmp_path: Path) -> None:
    """A run on phantoms alone that starts from weights of patients carries their data's licence."""
    before = tmp_path / "before"
    before.mkdir()
    (before / "config.json").write_text(json.dumps({"data": [], "layouts": ["rsna"]}))
    settings = ("fit.steps=1", f"initial={before}")
    result = invoke(
        "resnet50", "--data", str(busi), "--out", str(tmp_path / "x"), settings=settings
    )
    assert result.exit_code == 2
    assert "initial: no weights.*.pt" in result.output
    facts = json.loads((tmp_path / "x" / "config.json").read_text())
    assert facts["layouts"] == ["busi", "rsna"]


def test_export_without_weights(tmp_path: Path) -> None:
    """A folder that no training has written."""
    result = CliRunner().invoke(export, ["resnet50", "--weights", str(tmp_path)])
    assert result.exit_code == 1
    assert f"{tmp_path} cannot be exported as resnet50: no weights.*.pt" in result.output


def test_export_of_weights_that_are_none_of_the_models(tmp_path: Path) -> None:
    """Of another network, damaged, beside a damaged description: which, and nothing is written."""
    arguments = [
        "resnet50",
        "--weights",
        str(tmp_path),
        "--repository",
        str(tmp_path / "repository"),
    ]
    weights.save(torch.nn.Linear(2, 2), tmp_path)
    result = CliRunner().invoke(export, arguments)
    assert "holds the weights of another network: Missing key(s)" in result.output
    (tmp_path / "weights.000.pt").write_bytes(b"half a file")
    result = CliRunner().invoke(export, arguments)
    assert "weights.000.pt is damaged, or holds no weights" in result.output
    (tmp_path / "config.json").write_text("{")
    result = CliRunner().invoke(export, arguments)
    assert isinstance(result.exception, SystemExit)
    assert "config.json is damaged" in result.output
    assert not (tmp_path / "repository").exists()


def test_a_full_disk_leaves_the_weights_that_were_there(tmp_path: Path) -> None:
    """And of what could not be written nothing; the error names the file."""
    weights.save(torch.nn.Linear(2, 2), tmp_path)
    before = (tmp_path / "weights.000.pt").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match=r"weights\.000\.partial cannot be written: .*too large"):
            weights.save(torch.nn.Linear(500, 500), tmp_path)
        with pytest.raises(OSError, match=r"best\.partial cannot be written"):
            checkpoint.write(tmp_path / "best.pt", torch.nn.Linear(500, 500).state_dict())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["weights.000.pt"]
    assert (tmp_path / "weights.000.pt").read_bytes() == before


def test_what_is_of_no_use_is_told_by_number_and_by_name(
    busi: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An image without an outline is counted; one that is empty ends the run by its name."""
    picture(busi / "benign" / "a.png", 9)
    for path in (busi / "normal").iterdir():
        cv2.imwrite(str(path), np.full((90, 120), 7, np.uint8))
    with caplog.at_level(logging.WARNING):
        result = invoke("mask_rcnn_us", "--data", str(busi), "--out", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "cannot be trained on: the image is empty" in result.output
    assert "1 images not used: nobody outlined their masses" in caplog.text
