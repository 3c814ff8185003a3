"""`sentinode models evaluate` as it is typed, with the weights that the project ships."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from node.errors import ConfigurationError
from workers.evaluation import evaluate

if find_spec("onnxruntime") is None:
    pytest.skip("onnxruntime is not installed: extra `embedded`", allow_module_level=True)

TABLE = """file,patient,tissue,abnormality,severity,x_from_left_px,y_from_top_px,radius_px,note
a.png,1,G,CIRC,M,60,200,20,
b.png,1,G,NORM,,,,,
c.png,2,F,CIRC,B,70,150,15,
gone.png,3,F,NORM,,,,,
"""


def test_a_folder_never_seen_with_a_missing_file(tmp_path: Path) -> None:
    """Laid out as mini-MIAS: figures with intervals, the missing picture listed, three pages."""
    y, x = np.mgrid[:400, :320]
    rng = np.random.default_rng(0)
    for name in "abc":
        pixels = (120 + rng.normal(0, 9, x.shape)) * ((y - 200) ** 2 + x**2 < 180**2)
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.clip(pixels, 0, 255).astype(np.uint8))
    (tmp_path / "labels.csv").write_text(TABLE)
    arguments = ["resnet50", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(evaluate, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "not readable gone" in result.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["n_images"], report["n_groups"], report["n_unreadable"]) == (3, 2, 1)
    assert report["layout"] == "mini_mias"
    assert sum(map(sum, report["confusion"])) == 3
    for name in ("report.html", "report.md", "roc.svg", "confusion.svg"):
        assert (tmp_path / "out" / name).is_file()


def test_a_folder_of_another_modality_is_told(tmp_path: Path) -> None:
    """Mammograms for an ultrasound model: no report, a sentence."""
    (tmp_path / "labels.csv").write_text(TABLE)
    arguments = ["mask_rcnn_us", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(evaluate, arguments)
    assert result.exit_code == 1
    assert "holds no US image with truth" in result.output


BUSI_PX = (120, 160)


def write_busi(folder: Path) -> None:
    """Two images with a dark lesion, two without, one of them broken, and a lonely mask."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[: BUSI_PX[0], : BUSI_PX[1]]
    lesion = (y - 60) ** 2 + (x - 80) ** 2 < 25**2
    for label in ("normal", "benign"):
        (folder / label).mkdir(parents=True)
        for number in range(2):
            grey = rng.normal(120, 25, BUSI_PX) - 90 * (lesion & (label != "normal"))
            picture = np.clip(grey, 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / label / f"{label} ({number}).png"), picture)
            if label != "normal":
                mask = lesion.astype(np.uint8) * 255
                cv2.imwrite(str(folder / label / f"{label} ({number})_mask.png"), mask)
    (folder / "normal" / "normal (1).png").write_bytes(b"no picture")
    cv2.imwrite(str(folder / "benign" / "other_mask.png"), lesion.astype(np.uint8) * 255)


def test_what_is_left_out_is_told_and_counted(tmp_path: Path) -> None:
    """A broken picture and a lonely mask: on the screen and in the report; examples are drawn."""
    write_busi(tmp_path / "busi ünd mehr")
    arguments = ["mask_rcnn_us", "--data", str(tmp_path / "busi ünd mehr")]
    result = CliRunner().invoke(
        evaluate, [*arguments, "--out", str(tmp_path / "out"), "--limit", "4"]
    )
    assert result.exit_code == 0, result.output
    assert "left out 1, a mask without its image: benign/other_mask.png" in result.output
    assert "not readable normal (1)" in result.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["n_images"], report["n_unreadable"], report["limit"]) == (3, 1, 4)
    assert report["left_out"] == {"a mask without its image": 1}
    assert "Left out 1: a mask without its image." in (tmp_path / "out" / "report.md").read_text()
    assert (tmp_path / "out" / "examples.png").is_file()


def test_a_folder_without_the_truth_that_is_needed_is_no_result(tmp_path: Path) -> None:
    """Circles that are missing: counted, and the exit status says that nothing was measured."""
    test_a_folder_never_seen_with_a_missing_file(tmp_path)
    head = TABLE.splitlines()[0]
    (tmp_path / "labels.csv").write_text(f"{head}\na.png,1,G,CIRC,M,,,,\n")
    arguments = ["mask_rcnn_mg", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(evaluate, arguments)
    assert result.exit_code == 1
    assert "could be judged: 1 without the truth that mask_rcnn_mg needs" in result.output
    # The curves of the evaluation before, of another model, are gone.
    assert not (tmp_path / "out" / "roc.svg").exists()


def test_weights_of_a_run_are_not_ignored(tmp_path: Path) -> None:
    """Beside ONNX Runtime they would not be looked at; without any the folder is named."""
    write_busi(tmp_path / "busi")
    (tmp_path / "run").mkdir()
    arguments = ["mask_rcnn_us", "--data", str(tmp_path / "busi"), "--out", str(tmp_path / "out")]
    weights = ["--weights", str(tmp_path / "run")]
    result = CliRunner().invoke(evaluate, [*arguments, *weights])
    assert result.exit_code == 2
    assert "add --through torch" in result.output


def test_one_side_without_images_says_how_to_go_on(tmp_path: Path) -> None:
    """A single image cannot be held out."""
    write_busi(tmp_path / "busi")
    for path in (tmp_path / "busi" / "benign").iterdir():
        path.unlink()
    (tmp_path / "busi" / "normal" / "normal (1).png").unlink()
    arguments = ["mask_rcnn_us", "--data", str(tmp_path / "busi"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(evaluate, [*arguments, "--part", "validation"])
    assert result.exit_code == 1
    assert "none stands on the validation side of the split; use --part all" in result.output


@pytest.mark.parametrize(
    ("part", "message"),
    [("all", "images that they saw may be among these"), ("validation", "not on this very folder")],
)
def test_images_that_the_weights_may_have_seen_are_told(
    tmp_path: Path, part: str, message: str
) -> None:
    """A part of a set that they were trained on has another validation side than the whole."""
    write_busi(tmp_path / "busi")
    for number in range(2, 8):
        for end in (".png", "_mask.png"):
            path = tmp_path / "busi" / "benign" / f"benign ({number}){end}"
            path.write_bytes(path.with_name(f"benign (0){end}").read_bytes())
    arguments = ["mask_rcnn_us", "--data", str(tmp_path / "busi"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(evaluate, [*arguments, "--part", part], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert message in result.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["may_have_seen"] is True
    for name in ("report.md", "report.html"):
        told = (tmp_path / "out" / name).read_text()
        assert "The weights may have been trained on some of these images" in told


def test_a_mask_r_cnn_may_look_at_parts_and_no_other_model(tmp_path: Path) -> None:
    """The report says so; a classifier has nothing to merge."""
    write_busi(tmp_path)
    arguments = ["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--tiled"]
    result = CliRunner().invoke(evaluate, ["mask_rcnn_us", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["through"] == "onnx on overlapping parts"
    assert "onnx on overlapping parts" in (tmp_path / "out" / "report.md").read_text()
    assert not (tmp_path / "out" / "examples.png").exists()
    result = CliRunner().invoke(evaluate, ["resnet50", *arguments])
    assert result.exit_code == 2
    assert "for models that mark masses" in result.output


def test_names_that_are_no_formula_and_no_text(tmp_path: Path) -> None:
    """Dollar signs, and folders and files named on an old disk: the report is whole."""
    write_busi(tmp_path / "busi")
    folder = (tmp_path / "busi").rename(tmp_path / os.fsdecode(b"caf\xe9 <b>$x^$"))
    for number, name in enumerate((r"a$\frac$", os.fsdecode(b"caf\xe9"))):
        for end in (".png", "_mask.png"):
            (folder / "benign" / f"benign ({number}){end}").rename(folder / "benign" / (name + end))
    arguments = ["mask_rcnn_us", "--data", str(folder), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(evaluate, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["data"], report["n_images"]) == (r"caf\udce9 <b>$x^$", 3)
    page = (tmp_path / "out" / "report.html").read_text()
    assert r"<h1>mask_rcnn_us" in page
    assert r"on caf\udce9 &lt;b&gt;$x^$</h1>" in page
    assert (tmp_path / "out" / "examples.png").is_file()


def test_a_report_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    """The folder is there, and nothing can be put into it: no image is looked at."""
    write_busi(tmp_path / "busi")
    arguments = ["mask_rcnn_us", "--data", str(tmp_path / "busi"), "--out", "/proc/self"]
    result = CliRunner().invoke(evaluate, arguments)
    assert isinstance(result.exception, ConfigurationError)
    assert "/proc/self cannot be written to" in str(result.exception)
    assert "name another --out" in str(result.exception)


def test_truth_of_phantoms_that_is_broken_is_named(tmp_path: Path) -> None:
    """Not a traceback."""
    (tmp_path / "s" / "truth").mkdir(parents=True)
    (tmp_path / "s" / "truth" / "a.json").write_text("{")
    result = CliRunner().invoke(evaluate, ["mask_rcnn_us", "--data", str(tmp_path)])
    assert isinstance(result.exception, ConfigurationError)
    assert "a.json: " in str(result.exception)
