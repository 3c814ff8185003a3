from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from models.contract import FindingKind
from models.evaluation.matching import ImageResult
from models.evaluation.metrics import Counts
from models.evaluation.report import make_report, table, write_report
from models.evaluation.run import Outcome
from models.evaluation.summary import NAMES
from models.mtu_net.spec import SPEC as MTU_NET
from models.resnet50.spec import CLASSES
from models.resnet50.spec import SPEC as RESNET50

CLUSTER, ARTERY = FindingKind.CALCIFICATION_CLUSTER, FindingKind.ARTERIAL_CALCIFICATION


def detections() -> Outcome:
    hit = ((CLUSTER, 0.9), (ARTERY, 0.7))
    results = [
        ImageResult("a", "benign", {}, hit, ((CLUSTER, 0.6),), Counts(80, 10, 900, 10)),
        ImageResult("b", "normal", {}, (), (), Counts(0, 0, 1000, 0)),
        ImageResult("c", "malignant", {}, None, None, None),
    ]
    return Outcome(results, [("d", "no breast")])


def classes() -> Outcome:
    rng = np.random.default_rng(0)
    results = []
    for index in range(30):
        row = rng.dirichlet((1.0, 1.0, 1.0))
        probabilities = dict(zip(CLASSES, row.tolist(), strict=True))
        label = CLASSES[index % 3]
        results.append(ImageResult(str(index), label, probabilities, None, None, None))
    return Outcome(results)


def test_a_report_of_detections(tmp_path: Path) -> None:
    """All names are there, unjudged and refused cases are counted, the page shows the FROC."""
    outcome = detections()
    report = make_report(MTU_NET, "made up", outcome)
    write_report(tmp_path, MTU_NET, report, outcome.results)
    read = json.loads((tmp_path / "report.json").read_text())
    assert (read["n_images"], read["n_without_truth"], read["n_refused"]) == (2, 1, 1)
    assert set(read["metrics"]) == {*NAMES, "froc"}
    assert read["metrics"]["sensitivity"] == 1.0
    assert read["by_kind"]["arterial_calcification"]["lesions"] == 1
    page = (tmp_path / "report.html").read_text()
    assert "FROC" in page
    assert "Not a medical device" in page
    assert "http" not in page.replace("http://www.w3.org", "").replace(
        "http://purl.org", ""
    ).replace("http://creativecommons.org", "").replace("https://matplotlib.org", "")


def test_a_report_of_classes(tmp_path: Path) -> None:
    """A classifier has a confusion matrix and a ROC, and no figures of regions."""
    outcome = classes()
    report = make_report(RESNET50, "made up", outcome)
    write_report(tmp_path, RESNET50, report, outcome.results)
    assert sum(map(sum, report["confusion"])) == 30
    assert report["metrics"]["dice"] is None
    assert report["metrics"]["froc"] is None
    assert 0.0 <= report["metrics"]["auc"] <= 1.0
    assert "ROC, malignant" in (tmp_path / "report.html").read_text()
    assert {"auc", "accuracy", "mcc"} <= {name for name, _, _ in table(report)}


def test_nothing_judged_is_null_not_zero(tmp_path: Path) -> None:
    """Without any truth every figure is null."""
    report = make_report(MTU_NET, "made up", Outcome())
    write_report(tmp_path, MTU_NET, report, [])
    assert all(report["metrics"][name] is None for name in NAMES)
