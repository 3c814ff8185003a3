"""Where to put the threshold on clusters, and what that gives on real ones:

    python -m models.mtu_net.operating_point --data mini_mias --repository DIR --out FILE

In: a folder with circles around real clusters, of whose patients none was trained on (see
`insertion_samples.split_of`), and an exported model. Out: JSON. Five folds by patient: each fold is
judged at the threshold that the other four chose, so that no image has a say in its own figure.
The threshold to serve is chosen without the part that the project holds out (`splits.hold_out`).
That part holds few clusters: `evaluate --part validation` adds every patient with a cluster, and on
those the threshold was chosen, so that the figures of the folds are the ones to believe. Arteries
are outlined in no set at hand and left out.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from models.contract import FindingKind
from models.datasets.cases import Case
from models.datasets.folders import read_folder
from models.datasets.splits import hold_out, k_folds
from models.evaluation import bootstrap
from models.evaluation.local import LocalServer
from models.evaluation.matching import ImageResult
from models.evaluation.run import evaluate
from models.mtu_net.insertion_samples import split_of
from models.mtu_net.model import MTUNetModel

FOLDS = 5
KIND = FindingKind.CALCIFICATION_CLUSTER

Floats = NDArray[np.float64]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    options = _parser().parse_args(arguments)
    cases = read_folder(options.data)
    held_out = [cases[index] for index in split_of(cases).validation]
    known = [case for case in held_out if case.truth.knows(KIND)]
    with Progress() as progress:
        task = progress.add_task("images", total=len(known))
        server = LocalServer(options.repository)
        outcome = evaluate(MTUNetModel(), server, known, lambda: progress.advance(task))
    apart = {cases[index].name for index in hold_out(cases).validation}
    figures = summary(known, outcome.results, options.false_positives, apart)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures["cross_fitted"], indent=2))


def summary(
    cases: Sequence[Case],
    results: Sequence[ImageResult],
    limit: float,
    apart: Collection[str] = (),
) -> dict[str, Any]:
    """Figures at thresholds chosen by the other folds; the threshold to serve; the FROC of all.

    `apart`: names of the images that have no say in the threshold to serve.
    """
    names = {result.name for result in results}
    judged = [case for case in cases if case.name in names]
    found = [[score for kind, score in result.found or () if kind is KIND] for result in results]
    false = [[score for kind, score in result.false or () if kind is KIND] for result in results]
    thresholds = np.zeros(len(results))
    for split in k_folds(judged, FOLDS):
        thresholds[split.validation] = threshold(
            [found[i] for i in split.training], [false[i] for i in split.training], limit
        )
    asked = [row for row, case in enumerate(judged) if case.name not in apart]
    chosen = threshold([found[row] for row in asked], [false[row] for row in asked], limit)
    return {
        "images": len(results),
        "clusters": sum(map(len, found)),
        "limit_false_positives_per_image": limit,
        "cross_fitted": _figures([case.group for case in judged], found, false, thresholds),
        "threshold": chosen,
        "froc": froc(found, false),
    }


def threshold(found: Sequence[list[float]], false: Sequence[list[float]], limit: float) -> float:
    """The lowest score at which at most `limit` false positives per image are left."""
    scores = sorted({score for row in (*found, *false) for score in row if score > 0})
    flat = np.array([score for row in false for score in row])
    allowed = [score for score in scores if (flat >= score).sum() <= limit * len(false)]
    return allowed[0] if allowed else 1.0


def froc(found: Sequence[list[float]], false: Sequence[list[float]]) -> list[list[float]]:
    """[false positives per image, sensitivity] at the usual numbers of false positives."""
    points = []
    for limit in (0.25, 0.5, 1.0, 2.0, 4.0):
        at = threshold(found, false, limit)
        hits = [score >= at for row in found for score in row]
        points.append([limit, float(np.mean(hits)) if hits else math.nan])
    return points


def _figures(
    groups: Sequence[str],
    found: Sequence[list[float]],
    false: Sequence[list[float]],
    thresholds: Floats,
) -> dict[str, Any]:
    """Sensitivity and false positives per image, with 95 % intervals over patients."""
    pairs = list(zip(found, thresholds, strict=True))
    hits = np.array([sum(score >= max(at, 1e-9) for score in row) for row, at in pairs], float)
    alarms = [sum(s >= at for s in row) for row, at in zip(false, thresholds, strict=True)]
    lesions = np.array([len(row) for row in found], float)

    def figures(weight: Floats) -> Mapping[str, float]:
        total = float(weight @ lesions)
        return {
            "sensitivity": float(weight @ hits) / total if total else math.nan,
            "false_positives_per_image": float(weight @ np.array(alarms, float) / weight.sum()),
        }

    return {
        **figures(np.ones(len(found))),
        "hits": int(hits.sum()),
        "intervals": bootstrap.intervals(groups, lambda weight: dict(figures(weight))),
        "thresholds": sorted({float(value) for value in thresholds}),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--false-positives", type=float, default=2.0, help="per image, at most")
    return parser


if __name__ == "__main__":
    main()
