"""What the clinical facts add to the image: `python -m models.resnet50.facts --data DIR`.

In: a folder with labels and facts, the exported model. Out: areas under the ROC curve of malignant
against the rest, with 95 % intervals by patient: from the age alone, from the image alone, from the
image with age and view (what a DICOM header tells), and with density as well; by image and by
patient, whose score is that of her most suspicious image. What must hold: the same cases in every
row, those whose age is known, so that the rows may be compared.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.contract import BreastImage, ModelInputError
from models.datasets.cases import Case
from models.datasets.folders import read_folder
from models.evaluation.bootstrap import intervals
from models.evaluation.local import LocalServer
from models.evaluation.metrics import Ranking, Weight
from models.evaluation.opening import Side, chosen
from models.resnet50.clinical import vector
from models.resnet50.model import ResNet50Model
from models.resnet50.spec import CLASSES, SPEC

AGE, IMAGE = "age alone", "image alone"
HEADER, FORM = "image, age, view", "image, age, view, density"
Scores = Mapping[str, NDArray[np.float64]]


def scores_of(image: BreastImage, server: LocalServer) -> dict[str, float]:
    """Probability of malignant with more and more of the facts. Raises ModelInputError."""
    bare = replace(image, patient_age_years=None, view=None, density=None)
    variants = {IMAGE: bare, HEADER: replace(image, density=None), FORM: image}
    pixels, facts = (tensor.name for tensor in SPEC.inputs)
    prepared = ResNet50Model().preprocess(image).tensors[pixels]
    tensors = {
        pixels: np.repeat(prepared, len(variants), axis=0),
        facts: np.stack([vector(variant) for variant in variants.values()]),
    }
    outputs, _ = server.infer(SPEC, tensors)
    malignant = outputs[SPEC.outputs[0].name][:, CLASSES.index("malignant")]
    age = {AGE: float(image.patient_age_years or np.nan)}
    return age | dict(zip(variants, malignant.tolist(), strict=True))


def by_patient(
    scores: Scores, actual: NDArray[np.bool_], groups: Sequence[str]
) -> tuple[Scores, NDArray[np.bool_], list[str]]:
    """The highest score of each patient's images; she is positive if one of them is."""
    names, row = np.unique(groups, return_inverse=True)
    highest = {}
    for name, score in scores.items():
        highest[name] = np.full(len(names), -np.inf)
        np.maximum.at(highest[name], row, score)
    positive = np.zeros(len(names), np.bool_)
    np.logical_or.at(positive, row, actual)
    return highest, positive, list(names)


def areas(
    scores: Scores, actual: NDArray[np.bool_], groups: Sequence[str]
) -> dict[str, dict[str, object]]:
    """Area and interval of each row, and of what each image row gains over the age alone."""
    rankings = {name: Ranking(actual, score) for name, score in scores.items()}

    def figures(weight: Weight) -> dict[str, float]:
        found = {name: ranking.auc(weight) for name, ranking in rankings.items()}
        gains = {f"{n} over {AGE}": found[n] - found[AGE] for n in (IMAGE, HEADER, FORM)}
        return found | gains

    bounds = intervals(groups, figures)
    whole = figures(np.ones(len(actual)))
    return {name: {"auc": value, "interval": bounds[name]} for name, value in whole.items()}


def measure(cases: Sequence[Case], server: LocalServer) -> dict[str, object]:
    """Both tables. Cases without a known age, or refused by the model, are left out and counted."""
    rows: list[dict[str, float]] = []
    actual, groups = [], []
    for case in cases:
        image = case.read()
        if image.patient_age_years is None:
            continue
        try:
            rows.append(scores_of(image, server))
        except ModelInputError:
            continue
        actual.append(case.truth.label == "malignant")
        groups.append(case.group)
    scores = {name: np.array([row[name] for row in rows]) for name in (AGE, IMAGE, HEADER, FORM)}
    positive = np.array(actual, np.bool_)
    return {
        "images": len(rows),
        "left_out": len(cases) - len(rows),
        "patients": len(set(groups)),
        "by_image": areas(scores, positive, groups),
        "by_patient": areas(*by_patient(scores, positive, groups)),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--side", choices=["all", "training", "validation"], default="validation")
    options = parser.parse_args(arguments)
    side: Side = options.side
    cases = chosen(read_folder(options.data), SPEC.modality, side)
    print(json.dumps(measure(cases, LocalServer(options.repository)), indent=1))


if __name__ == "__main__":
    main()
