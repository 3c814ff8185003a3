"""`sentinode models evaluate` as it is typed, with the weights that the project ships."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

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
