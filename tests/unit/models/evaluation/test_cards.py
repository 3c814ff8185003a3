from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from models.datasets.catalogue import SETS
from models.evaluation.cards import (
    BEGIN,
    END,
    Target,
    licence_of,
    undeclared_data,
    write_card,
    write_licence,
)
from models.evaluation.index import write_index
from models.evaluation.parity import Agreement
from models.registry import MODELS, get_model
from models.serving.configuration import render

MODELS_FOLDER = Path(__file__).resolve().parents[4] / "models"
FACTS = """
trained_on = ["phantoms", "busi"]
intended_use = "Finding masses."
operating_point = "Chosen elsewhere."
known_failures = ["Text in the picture."]
[[target]]
set = "busi"
name = "sensitivity"
figure = "metrics/sensitivity"
at_least = 0.9
[[target]]
set = "rsna"
name = "false marks"
figure = "metrics/false_positives_per_image"
at_most = 0.5
"""
REPORT = {
    "data": "busi",
    "part": "validation",
    "through": "served",
    "version": "1",
    "weights_sha256": "",
    "n_images": 10,
    "n_groups": 9,
    "metrics": {"sensitivity": 0.85, "false_positives_per_image": 0.4, "specificity": 0.2},
    "intervals": {"sensitivity": [0.7, 0.95]},
    "by_kind": {"mass": {}},
    "classes": None,
}


def write_all(folder: Path) -> str:
    (folder / "mask_rcnn_us").mkdir(exist_ok=True)
    (folder / "mask_rcnn_us" / "card.toml").write_text(FACTS)
    report = folder / "docs" / "mask_rcnn_us" / "busi" / "report.json"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(REPORT))
    same = Agreement(images=9, findings=8, paired=4, box_px=[0.0, 1.0, 1.0, 14.0])
    facts = {"data": "phantoms", "weights_sha256": "", **same.report()}
    (folder / "docs" / "mask_rcnn_us" / "parity.json").write_text(json.dumps(facts))
    return write_card("mask_rcnn_us", folder / "docs", folder / "repository", folder).read_text()


def test_a_card_has_what_was_measured(tmp_path: Path) -> None:
    """Data, licence, operating point, figures with intervals, targets with what is missing."""
    text = write_all(tmp_path)
    assert "| lesions: sensitivity | 0.850 | 0.700 to 0.950 |" in text
    assert "| images without a lesion: left unmarked | 0.200 |  |" in text
    assert "| sensitivity, busi | >= 0.9 | 0.850 | missed by 0.050 |" in text
    assert "| false marks, rsna | <= 0.5 | not measured | open |" in text
    assert "9 images of phantoms: 4 pairs of findings, 0 without partner" in text
    assert "| box px | 1.0000 | 12.0500 | 14.0000 | 2.0 |  |" in text
    assert "**Not all differences are within what is allowed.**" in text
    assert "Al-Dhabyani" in text
    assert "Text in the picture." in text
    assert "Not a medical device" in text


def test_what_people_wrote_stays(tmp_path: Path) -> None:
    """The text around the marks survives, and writing twice changes nothing."""
    (tmp_path / "mask_rcnn_us").mkdir()
    card = tmp_path / "mask_rcnn_us" / "CARD.md"
    card.write_text(f"# Mine\n\nby hand\n\n{BEGIN}\nold\n{END}\n\nthe end\n")
    text = write_all(tmp_path)
    assert text.startswith("# Mine\n\nby hand\n")
    assert text.endswith("the end\n")
    assert "old" not in text
    assert write_all(tmp_path) == text


def test_reports_of_other_weights_are_marked(tmp_path: Path) -> None:
    """After an export a card says that its figures are not of what is served."""
    assert "other than those served" not in write_all(tmp_path)
    folder = tmp_path / "repository" / "mask_rcnn_us"
    folder.mkdir(parents=True)
    (folder / "config.pbtxt").write_text(render(get_model("mask_rcnn_us").spec, "ab" * 32))
    assert write_all(tmp_path).count("weights other than those served now") == 2


@pytest.mark.parametrize(
    ("value", "verdict"), [(0.4, "met"), (0.5, "met"), (0.62, "missed by 0.120")]
)
def test_verdicts(value: float, verdict: str) -> None:
    """At most is met by equality too."""
    target = Target("a", "metrics/x", "x", at_most=0.5)
    assert target.row({"a": {"metrics": {"x": value}}})[3] == verdict


def test_weights_have_the_narrowest_licence(tmp_path: Path) -> None:
    """Research-only data make research-only weights, said in a file beside them."""
    assert licence_of({"trained_on": ["phantoms", "busi"]}) == "Apache-2.0, as the project"
    assert "RSNA" in licence_of({"trained_on": ["phantoms", "rsna"]})
    (tmp_path / "mask_rcnn_mg").mkdir()
    (tmp_path / "mask_rcnn_mg" / "card.toml").write_text('trained_on = ["rsna"]\n')
    path = write_licence("mask_rcnn_mg", tmp_path / "repository", tmp_path)
    assert path == tmp_path / "repository" / "mask_rcnn_mg" / "LICENCE"
    assert "no redistribution" in path.read_text()


def test_data_that_the_card_does_not_list_is_told(tmp_path: Path) -> None:
    """A run on BUSI and RSNA, a card that knows BUSI only; a run of unknown data tells nothing."""
    write_all(tmp_path)
    (tmp_path / "config.json").write_text('{"data": ["busi", "rsna", "clinic"]}')
    assert undeclared_data("mask_rcnn_us", tmp_path, tmp_path) == ["rsna"]
    assert undeclared_data("mask_rcnn_us", tmp_path / "docs", tmp_path) == []


def test_the_index_reads_every_report(tmp_path: Path) -> None:
    """One row per report with figures and intervals, the comparisons, the pictures there are."""
    write_all(tmp_path)
    report = tmp_path / "docs" / "mask_rcnn_us" / "busi" / "report.json"
    report.write_text(json.dumps(REPORT | {"layout": "busi"}))
    (report.parent / "examples.png").write_bytes(b"a picture")
    (report.parent / "ablation.md").write_text("# Original and refined\n\n| a table |\n")
    text = write_index(tmp_path / "docs").read_text()
    link = "[mask_rcnn_us/busi](mask_rcnn_us/busi/report.md)"
    assert f"| {link} | 10 | 0.850 (0.700 to 0.950) |" in text
    assert "![mask_rcnn_us/busi](mask_rcnn_us/busi/examples.png)" in text
    assert "- [Original and refined](mask_rcnn_us/busi/ablation.md)" in text
    assert "none yet" in write_index(tmp_path / "empty").read_text()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model_has_its_facts(name: str) -> None:
    """The hand-written part is complete, and its data sets are in the catalogue."""
    facts = tomllib.loads((MODELS_FOLDER / name / "card.toml").read_text())
    assert {"trained_on", "intended_use", "operating_point", "known_failures"} <= set(facts)
    assert set(facts["trained_on"]) <= set(SETS)
    assert [Target(**entry) for entry in facts["target"]]
