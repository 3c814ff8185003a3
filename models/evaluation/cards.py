"""Model cards and licences, from what was measured and what people wrote.

In: `models/<name>/card.toml` (hand-written: training data, intended use, failures, targets), the
specification, reports and parity under `docs/models/<name>`. Out: the measured part of
`models/<name>/CARD.md`, between two marks, and `model_repository/<name>/LICENCE`. What must hold:
no figure is written by hand; a missed target is shown with how much is missing.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from models.contract import ModelSpec
from models.datasets.catalogue import SETS, DataSet
from models.evaluation.index import look_up
from models.evaluation.local import weights_digest
from models.evaluation.page import ENVIRONMENT
from models.registry import MODELS, get_model

# One word for two figures: who marks something on every normal image may call none malignant.
_TITLES = {
    ("images without a lesion: ", "specificity"): "left unmarked",
    ("images: ", "specificity"): "specificity (not malignant)",
    ("marked lesions: ", "accuracy"): "benign or malignant, accuracy",
    ("marked lesions: ", "recall"): "malignant ones told as such",
    ("marked lesions: ", "specificity"): "benign ones told as such",
}

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
_MODELS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Target:
    """What was to be shown: a figure of one report, by its path, at least or at most a value."""

    set: str
    figure: str
    name: str
    at_least: float | None = None
    at_most: float | None = None

    def row(self, reports: Mapping[str, Any]) -> tuple[str, str, str, str]:
        """Name and set, wanted, measured, verdict."""
        wanted = f">= {self.at_least}" if self.at_most is None else f"<= {self.at_most}"
        title = f"{self.name}, {self.set}"
        value = look_up(reports.get(self.set), self.figure)
        if value is None:
            return title, wanted, "not measured", "open"
        missing = self._missing(value)
        verdict = "met" if missing <= 0 else f"missed by {missing:.3f}"
        return title, wanted, f"{value:.3f}", verdict

    def _missing(self, value: float) -> float:
        if self.at_least is not None:
            return self.at_least - value
        return value - (self.at_most or 0.0)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(sorted(MODELS)))
@click.option("--docs", type=click.Path(path_type=Path), default=Path("docs/models"))
@click.option("--repository", type=click.Path(path_type=Path), default=Path("model_repository"))
def card(names: tuple[str, ...], docs: Path, repository: Path) -> None:
    """Write the measured part of CARD.md, and the licence beside the weights, of NAMES or all."""
    for name in names or sorted(MODELS):
        licence = write_licence(name, repository)  # first: into a wrong folder it cannot be written
        path = write_card(name, docs, repository)
        click.echo(f"{path}  {licence}")


def write_card(name: str, docs: Path, repository: Path, models: Path = _MODELS) -> Path:
    """Replace the measured part of the card, or append it. Returns the card's path.

    Reports of other weights than those in `repository` are marked as such.
    """
    path = models / name / "CARD.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else f"# {name}\n"
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    reports = _reports(docs / name, weights_digest(repository, name))
    part = measured_part(get_model(name).spec, _facts(name, models), reports)
    path.write_text(f"{before.rstrip()}\n\n{BEGIN}\n{part}\n{END}\n{after.lstrip()}")
    return path


def measured_part(spec: ModelSpec, facts: Mapping[str, Any], reports: Mapping[str, Any]) -> str:
    """The Markdown between the marks. `reports`: by set, and under "parity" that file."""
    targets = [Target(**entry).row(reports) for entry in facts.get("target", ())]
    evaluated = {name: report for name, report in reports.items() if name != "parity"}
    text = ENVIRONMENT.get_template("card.md").render(
        spec=spec,
        facts=facts,
        sets=_sets(facts),
        licence=licence_of(facts),
        targets=targets,
        reports=evaluated,
        rows={name: list(_rows(report)) for name, report in evaluated.items()},
        parity=reports.get("parity"),
    )
    return text.strip()


def write_licence(name: str, repository: Path, models: Path = _MODELS) -> Path:
    """Write LICENCE beside the weights. Returns its path."""
    folder = repository / name
    folder.mkdir(parents=True, exist_ok=True)
    facts = _facts(name, models)
    text = ENVIRONMENT.get_template("licence.txt").render(
        name=name, sets=_sets(facts), licence=licence_of(facts)
    )
    (folder / "LICENCE").write_text(text.rstrip() + "\n")
    return folder / "LICENCE"


def undeclared_data(name: str, weights: Path, models: Path = _MODELS) -> list[str]:
    """Sets of a training run, by layout or name of its folders, that the card does not list."""
    path = weights / "config.json"
    if not path.is_file():
        return []
    facts = json.loads(path.read_text())
    declared = _facts(name, models)["trained_on"]
    seen = dict.fromkeys([*facts.get("layouts", ()), *facts.get("data", ())])
    return [found for found in seen if found in SETS and found not in declared]


def licence_of(facts: Mapping[str, Any]) -> str:
    """One sentence: weights have the narrowest terms of the data that they were trained on."""
    narrow = [found.title for found in _sets(facts) if found.research_only]
    if narrow:
        return f"research use only, because trained on {' and '.join(narrow)}"
    return "Apache-2.0, as the project"


def _sets(facts: Mapping[str, Any]) -> list[DataSet]:
    return [SETS[name] for name in facts["trained_on"]]


def _facts(name: str, models: Path) -> dict[str, Any]:
    return tomllib.loads((models / name / "card.toml").read_text(encoding="utf-8"))


def _reports(folder: Path, digest: str) -> dict[str, Any]:
    """Every report.json below, by the name of its folder, and parity.json as "parity"."""
    paths = {path.parent.name: path for path in sorted(folder.glob("*/report.json"))}
    if (folder / "parity.json").is_file():
        paths["parity"] = folder / "parity.json"
    found = {name: json.loads(path.read_text()) for name, path in paths.items()}
    return {
        name: report | {"is_current": report["weights_sha256"] == digest}
        for name, report in found.items()
    }


def _rows(report: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Figures that a reader looks for first, as far as they are defined."""
    figures = report["metrics"], report["intervals"]
    names = ["sensitivity", "false_positives_per_image", "dice_detected"]
    sections = [("lesions: ", *figures, names)] if report["by_kind"] else []
    if report["by_kind"]:
        sections.append(("images without a lesion: ", *figures, ["specificity"]))
    classes = report["classes"]
    if classes is not None:
        names = ["accuracy", "balanced_accuracy", "auc_malignant", "auc_normal", "specificity"]
        sections.append(("images: ", classes["figures"], classes["intervals"], names))
        names = ["auc_malignant", "auc_normal"]
        patients = classes["by_patient"], classes["by_patient_intervals"]
        sections.append(("patients: ", *patients, names))
        breasts = classes["by_breast"], classes["by_breast_intervals"]
        sections.append(("breasts: ", *breasts, names))
    lesions = report.get("lesion_classes")  # a report of an earlier version lacks it
    if lesions is not None:
        names = ["accuracy", "recall", "specificity"]
        sections.append(("marked lesions: ", lesions["figures"], lesions["intervals"], names))
    for prefix, values, bounds, names in sections:
        for name in names:
            if values.get(name) is not None:
                low_high = bounds.get(name)
                interval = f"{low_high[0]:.3f} to {low_high[1]:.3f}" if low_high else ""
                shown = _TITLES.get((prefix, name), name.replace("_", " "))
                yield prefix + shown, f"{values[name]:.3f}", interval
