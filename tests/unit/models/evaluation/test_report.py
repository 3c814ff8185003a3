from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from models.contract import FindingKind
from models.datasets.cases import Label
from models.evaluation.matching import ImageResult
from models.evaluation.metrics import Counts
from models.evaluation.page import table, write_pages
from models.evaluation.papers import papers_of
from models.evaluation.report import NAMES, Subject, make_report
from models.evaluation.run import Outcome
from models.mask_rcnn_us.spec import SPEC as MASK_RCNN_US
from models.mtu_net.spec import SPEC as SERVED_MTU_NET
from models.registry import MODELS
from models.resnet50.spec import CLASSES
from models.resnet50.spec import SPEC as RESNET50

# Operating points of their own: those that are served move with every training.
MTU_NET = replace(SERVED_MTU_NET, thresholds={"mc": 0.5, "bac": 0.5})

MASS = FindingKind.MASS
CLUSTER, ARTERY = FindingKind.CALCIFICATION_CLUSTER, FindingKind.ARTERIAL_CALCIFICATION
SUBJECT = Subject("made_up", "mini_mias", "validation", "served")


def detections() -> Outcome:
    hit = ((CLUSTER, 0.9), (ARTERY, 0.7))
    pixels = {CLUSTER: Counts(60, 5, 930, 5), ARTERY: Counts(20, 5, 970, 5)}
    results = [
        ImageResult(
            *("a", "benign", {}, hit, ((CLUSTER, 0.6),), Counts(80, 10, 900, 10)),
            overlaps=(0.9, 0.8),
            pixels_by_kind=pixels,
        ),
        ImageResult("b", "normal", {}, (), (), Counts(0, 0, 1000, 0)),
        ImageResult("c", "malignant", {}, None, None, None),
    ]
    return Outcome(results, [("d", "no breast")], [("e", "no file")])


def classes(count: int = 30) -> Outcome:
    rng = np.random.default_rng(0)
    results = []
    for index in range(count):
        row = rng.dirichlet((1.0, 1.0, 1.0))
        probabilities = dict(zip(CLASSES, row.tolist(), strict=True))
        label = CLASSES[index % 3]
        results.append(
            ImageResult(str(index), label, probabilities, *[None] * 3, group=str(index // 2))
        )
    return Outcome(results)


def test_a_report_of_detections(tmp_path: Path) -> None:
    """All names are there, cases without result are counted, pages show curves and papers."""
    outcome = detections()
    report = make_report(MTU_NET, SUBJECT, outcome)
    write_pages(tmp_path, MTU_NET, report, outcome.results, b"a picture")
    read = json.loads((tmp_path / "report.json").read_text())
    assert [read[f"n_{name}"] for name in ("images", "without_truth", "refused", "unreadable")] == [
        *(2, 1, 1, 1),
    ]
    assert {*NAMES, "froc", "dice_detected"} <= set(read["metrics"])
    assert read["metrics"]["sensitivity"] == 1.0
    assert read["image_counts"] == {"tp": 1, "fp": 0, "tn": 1, "fn": 0}
    assert read["by_kind"]["arterial_calcification"]["lesions"] == 1
    assert read["by_kind"]["arterial_calcification"]["pixels"]["dice"] == 0.8
    assert read["sensitivity_at"]["false_positives_per_image"]["0.5"]["value"] == 1.0
    page, text = ((tmp_path / name).read_text() for name in ("report.html", "report.md"))
    for words in ("calcification cluster, pixels, mcc", "0.839", "paper 002 reports", "made_up"):
        assert words in page
        assert words in text
    assert "as reported by the paper" in text
    assert "![FROC](froc.svg)" in text
    assert "examples.png" in text
    assert "Not a medical device" in page
    for name in ("froc.svg", "examples.png"):
        assert (tmp_path / name).is_file()
    assert "http" not in page.replace("http://www.w3.org", "").replace(
        "http://purl.org", ""
    ).replace("http://creativecommons.org", "").replace("https://matplotlib.org", "")


def test_few_lesions_say_little_however_many_images_there_are(tmp_path: Path) -> None:
    """Two found of two, among two dozen: the page does not let 1.000 to 1.000 stand alone."""
    outcome = detections()
    more = [replace(outcome.results[1], name=str(number)) for number in range(22)]
    many = replace(outcome, results=[*outcome.results, *more])
    write_pages(tmp_path, MTU_NET, make_report(MTU_NET, SUBJECT, many), many.results)
    assert "So few lesions (2) say little" in (tmp_path / "report.md").read_text()


def test_a_page_says_whose_weights_were_judged(tmp_path: Path) -> None:
    """Name and version are those of the exported ones, also where a training run was looked at."""
    outcome, words = detections(), "with weights that were not exported"
    for subject, told in ((SUBJECT, True), (replace(SUBJECT, weights_sha256="a1"), False)):
        write_pages(tmp_path, MTU_NET, make_report(MTU_NET, subject, outcome), outcome.results)
        for name in ("report.md", "report.html"):
            assert (words in (tmp_path / name).read_text()) == told


def test_markdown_tables_are_tables(tmp_path: Path) -> None:
    """Every row of a table has as many cells as its header, and no blank line splits it."""
    outcome = detections()
    write_pages(tmp_path, MTU_NET, make_report(MTU_NET, SUBJECT, outcome), outcome.results)
    lines = (tmp_path / "report.md").read_text().splitlines()
    for above, line in pairwise(lines):
        if line.startswith("|") and above.startswith("|"):
            assert line.count("|") == above.count("|"), line
    assert sum(line.startswith("|---") for line in lines) == 4


def test_a_report_of_classes(tmp_path: Path) -> None:
    """A classifier has a confusion matrix, areas per class, patients, and no regions."""
    outcome = classes()
    report = make_report(RESNET50, SUBJECT, outcome)
    write_pages(tmp_path, RESNET50, report, outcome.results)
    assert sum(map(sum, report["confusion"])) == 30
    assert (report["n_groups"], report["classes"]["n_patients"]) == (15, 15)
    assert report["metrics"]["dice"] is None
    assert report["metrics"]["froc"] is None
    assert 0.0 <= report["metrics"]["auc"] <= 1.0
    assert "ROC, each class" in (tmp_path / "report.html").read_text()
    assert {"auc", "accuracy", "mcc"} <= {name for name, _, _ in table(report)}
    assert (report["classes"]["n_breasts"], report["classes"]["by_breast"]) == (0, {})


def test_breasts_are_judged_where_the_set_tells_sides(tmp_path: Path) -> None:
    """A section of the page and figures with intervals, by patient and side."""
    outcome = classes()
    sided = [
        replace(result, clinical={"laterality": "L"}, group=f"patient {number // 2}")
        for number, result in enumerate(outcome.results)
    ]
    report = make_report(RESNET50, SUBJECT, replace(outcome, results=sided))
    write_pages(tmp_path, RESNET50, report, sided)
    assert report["classes"]["n_breasts"] == 15
    assert set(report["classes"]["by_breast_intervals"]) >= {"auc_malignant", "auc_normal"}
    assert "15 breasts, mean over the images of each" in (tmp_path / "report.md").read_text()


def test_a_detector_that_tells_classes_is_judged_by_them() -> None:
    """Accuracy is over normal, benign and malignant where the model says them."""
    spec = replace(MASK_RCNN_US, thresholds={MASS.value: 0.5})
    results = [
        replace(result, found=((MASS, 0.9),), false=(), pixels=Counts(5, 5, 5, 5), overlaps=(0.5,))
        for result in classes().results
    ]
    report = make_report(spec, SUBJECT, Outcome(results))
    assert report["metrics"]["accuracy"] == report["classes"]["figures"]["accuracy"]
    assert report["intervals"]["accuracy"] == report["classes"]["intervals"]["accuracy"]
    assert report["metrics"]["sensitivity"] == 1.0


def test_marked_lesions_are_told_apart(tmp_path: Path) -> None:
    """Of five lesions one is of an unknown class, one not marked, and two of three told rightly."""
    spec = replace(MASK_RCNN_US, thresholds={MASS.value: 0.5})
    told: list[tuple[tuple[Label | None, str], ...]] = [
        (("benign", "benign"), ("malignant", "benign")),
        (("malignant", "malignant"), (None, "benign")),
        (("malignant", ""),),
    ]
    results = [
        replace(
            *(result,),
            found=tuple((MASS, 0.9) for _ in own),
            false=(),
            pixels=Counts(5, 5, 5, 5),
            overlaps=(0.5,) * len(own),
            told=own,
        )
        for own, result in zip(told, classes(3).results, strict=True)
    ]
    report = make_report(spec, SUBJECT, Outcome(results))
    lesions = report["lesion_classes"]
    assert lesions["n_lesions"] == 4
    assert lesions["confusion"] == [[1, 0, 0, 0], [1, 1, 0, 1]]
    assert lesions["figures"]["accuracy"] == 2 / 3
    assert (lesions["figures"]["recall"], lesions["figures"]["specificity"]) == (0.5, 1.0)
    write_pages(tmp_path, spec, report, results)
    assert "| **malignant** | 1 | 1 | 0 | 1 |" in (tmp_path / "report.md").read_text()
    assert "Marked lesions" in (tmp_path / "report.html").read_text()


def test_without_classes_no_lesion_is_told_apart() -> None:
    """A model whose marks have no class is not judged by it."""
    assert make_report(MTU_NET, SUBJECT, detections())["lesion_classes"] is None


def test_one_class_only(tmp_path: Path) -> None:
    """A folder of nothing but normals: what is defined is reported, the rest is null."""
    results = [result for result in classes().results if result.label == "normal"]
    report = make_report(RESNET50, SUBJECT, Outcome(results))
    write_pages(tmp_path, RESNET50, report, results)
    assert report["metrics"]["auc"] is None
    assert report["metrics"]["sensitivity"] is None
    assert report["metrics"]["specificity"] is not None


def test_nothing_judged_is_null_not_zero(tmp_path: Path) -> None:
    """Without any truth every figure is null."""
    report = make_report(MTU_NET, SUBJECT, Outcome())
    write_pages(tmp_path, MTU_NET, report, [])
    assert all(report["metrics"][name] is None for name in NAMES)


def test_every_model_has_its_papers() -> None:
    """Each model's report has the columns of the papers whose system it follows."""
    keys = {name: [paper.key for paper in papers_of(name)] for name in MODELS}
    assert keys == {
        "mask_rcnn_mg": ["000", "001", "004"],
        "mask_rcnn_us": ["004"],
        "mtu_net": ["002"],
        "resnet50": ["003"],
    }


def test_each_kind_is_counted_where_it_was_outlined(tmp_path: Path) -> None:
    """Arteries of one image of two: their false marks per image are over that one."""
    pixels = {CLUSTER: Counts(0, 5, 990, 5), ARTERY: Counts(20, 5, 970, 5)}
    marks = ((CLUSTER, 0.9), (ARTERY, 0.9))
    both = ImageResult("a", "benign", {}, (), marks, Counts(0, 9, 991, 0), pixels_by_kind=pixels)
    one = replace(
        both, name="b", false=marks[:1], pixels_by_kind={CLUSTER: pixels[CLUSTER]}, kinds={CLUSTER}
    )
    report = make_report(MTU_NET, SUBJECT, Outcome([both, one]))
    arteries, clusters = report["by_kind"][ARTERY.value], report["by_kind"][CLUSTER.value]
    assert (arteries["images"], clusters["images"]) == (1, 2)
    assert arteries["false_positives_per_image"] == clusters["false_positives_per_image"] == 1.0
    assert report["metrics"]["false_positives_per_image"] == 1.5
    none = make_report(MTU_NET, SUBJECT, Outcome([one]))
    assert none["by_kind"][ARTERY.value]["false_positives_per_image"] is None
    write_pages(tmp_path, MTU_NET, none, [one])
    assert "Arterial calcification was outlined on 0 of these" in (
        (tmp_path / "report.md").read_text()
    )
