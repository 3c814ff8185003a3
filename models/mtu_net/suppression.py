"""What the second output is for: arteries kept from being reported as clusters.

    python -m models.mtu_net.suppression --data mini_mias --repository DIR --out DIR

In: normal mammograms that were not trained on, with inserted clusters and arteries, and an exported
model. Out: `suppression.json` and `suppression.md`: false clusters per image and clusters found,
with the pixels of arteries taken away from the clusters and without. Both readings share one
inference, so that the difference is that step and nothing else (Alghamdi 2024, section I: arteries
are a common false positive).
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from models.contract import BreastImage, FindingKind, ModelInputError
from models.datasets.cases import Lesion
from models.evaluation import bootstrap
from models.evaluation.local import LocalServer
from models.evaluation.matching import match
from models.evaluation.run import Server
from models.mtu_net.insertion_samples import backgrounds, with_calcium
from models.mtu_net.postprocess import postprocess
from models.mtu_net.preprocess import preprocess
from models.mtu_net.spec import SPEC

_SEED = 0xBAC
READINGS = {"without": False, "with": True}
KIND = FindingKind.CALCIFICATION_CLUSTER


@dataclass(frozen=True, slots=True)
class Row:
    """One image: patient, whether it has an artery, clusters, and by reading: found and false."""

    group: str
    artery: bool
    clusters: int
    found: Mapping[str, int]
    false: Mapping[str, int]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    options = _parser().parse_args(arguments)
    server = LocalServer(options.repository)
    _, cases = backgrounds([options.data])
    rows = []
    for case in track(cases, "images"):
        rng = np.random.default_rng([_SEED, *case.name.encode()])
        try:
            image, masks = with_calcium(case.read(), rng)
            rows.append(read_both(server, image, masks, case.group))
        except ModelInputError:
            continue
    facts = {
        "images": len(rows),
        "thresholds": dict(SPEC.thresholds),
        "all": figures(rows),
        "with_artery": figures([row for row in rows if row.artery]),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "suppression.json").write_text(json.dumps(facts, indent=2) + "\n")
    (options.out / "suppression.md").write_text(_markdown(facts))


def read_both(
    server: Server, image: BreastImage, masks: Mapping[str, NDArray[np.bool_]], group: str
) -> Row:
    """Both readings of one image. Raises ModelInputError."""
    prepared = preprocess(image)
    outputs, _ = server.infer(SPEC, prepared.tensors)
    clusters = _lesions(masks[KIND.value])
    found, false = {}, {}
    for name, suppress in READINGS.items():
        output = postprocess(outputs, prepared, SPEC.thresholds, suppress=suppress)
        regions = [region for region in output.regions if region.kind is KIND]
        hits, alarms = match(regions, clusters)
        found[name] = sum(score > 0 for _, score in hits)
        false[name] = len(alarms)
    artery = bool(masks[FindingKind.ARTERIAL_CALCIFICATION.value].any())
    return Row(group, artery, len(clusters), found, false)


def figures(rows: Sequence[Row]) -> dict[str, Any]:
    """By reading, and their difference, with 95 % intervals over patients."""
    clusters = np.array([row.clusters for row in rows], float)

    def at(weight: NDArray[np.float64]) -> dict[str, float]:
        values: dict[str, float] = {}
        total, images = float(weight @ clusters), float(weight.sum())
        for name in READINGS:
            found = float(weight @ np.array([row.found[name] for row in rows], float))
            false = float(weight @ np.array([row.false[name] for row in rows], float))
            values[f"sensitivity_{name}"] = found / total if total else math.nan
            values[f"false_clusters_per_image_{name}"] = false / images if images else math.nan
        for name in ("sensitivity", "false_clusters_per_image"):
            values[f"{name}_change"] = values[f"{name}_with"] - values[f"{name}_without"]
        return values

    groups = [row.group for row in rows]
    return {
        "images": len(rows),
        "clusters": int(clusters.sum()),
        "figures": at(np.ones(len(rows))),
        "intervals": bootstrap.intervals(groups, at),
    }


def _lesions(mask: NDArray[np.bool_]) -> list[Lesion]:
    """Each connected part of a mask as a lesion."""
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    lesions = []
    for label in range(1, count):
        left, top, width, height = (int(value) for value in boxes[label][:4])
        part = labels[top : top + height, left : left + width] == label
        lesions.append(Lesion(KIND, part, (top, left)))
    return lesions


def _markdown(facts: Mapping[str, Any]) -> str:
    lines = [
        "# Arteries taken away from the clusters",
        "",
        "Inserted clusters and arteries in normal mammograms of patients that were not trained on; "
        "95 % intervals, bootstrap over patients.",
        "",
        "| images | figure | without | with | change |",
        "|---|---|---|---|---|",
    ]
    for name, title in (("all", "all"), ("with_artery", "with an artery")):
        part = facts[name]
        for figure in ("false_clusters_per_image", "sensitivity"):
            cells = [
                _text(
                    part["figures"][f"{figure}_{column}"], part["intervals"][f"{figure}_{column}"]
                )
                for column in ("without", "with", "change")
            ]
            label = f"{title} ({part['images']}, {part['clusters']} clusters)"
            lines.append(f"| {label} | {figure.replace('_', ' ')} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _text(value: float, bounds: Sequence[float] | None) -> str:
    return f"{value:.2f}" if bounds is None else f"{value:.2f} ({bounds[0]:.2f} to {bounds[1]:.2f})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--out", type=Path, required=True)
    return parser


if __name__ == "__main__":
    main()
