"""`sentinode device`: does this machine run the models fast enough, small enough, and rightly?

In: a running Triton. Out: for each model the time of one image, and how far its findings are from
those of the reference (Triton 2.51 with ONNX Runtime in single precision on x86-64, on the same
phantoms), with the machine's memory. What must hold: weights other than the reference's are not
compared but said; exit status 1 where any model differs by more than a reader could see.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from models.contract import Model, ModelOutput, ModelOutputError, Region
from models.evaluation.parity import BOX_PX, PROBABILITY, SCORE, WORST_SCORE
from models.evaluation.phantom_cases import phantom_cases
from models.registry import MODELS
from node.errors import ModelMismatchError, SentinodeError
from node.running import load_running_settings
from workers.triton.balanced import for_people
from workers.triton.client import TritonClient
from workers.triton.contract import check_model

REFERENCE = Path(__file__).with_name("device_reference.json")
# Phantoms for each model; those of the parity tests, so that no model was trained on them.
IMAGES = 3
ROUNDS = 5

Finding = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One model. `problems` is empty where it agrees with the reference."""

    seconds: float
    findings: int
    problems: list[str]


@click.command(short_help="Time every model here and compare it with the reference.")
@click.option("--write", is_flag=True, help="Make what runs now the reference (developers).")
def device(write: bool) -> None:
    """Time every model on this machine's Triton and compare it with the reference."""
    settings = load_running_settings()
    client = TritonClient(settings.triton_url, settings.triton_timeout_seconds)
    reference = {} if write else json.loads(REFERENCE.read_text(encoding="utf-8"))
    table = Table("model", "", "s per image", "findings", "what was found")
    facts: dict[str, Any] = {}
    failed = False
    for name, model in MODELS.items():
        try:
            with for_people(settings.triton_url):
                facts[name] = run_model(client, model)
            outcome = judge(facts[name], facts[name] if write else reference.get(name))
        except (SentinodeError, ModelOutputError) as error:
            outcome = Outcome(0.0, 0, [str(error)])
        failed |= bool(outcome.problems)
        said = "; ".join(outcome.problems) or "agrees with the reference"
        mark = "[red]FAILED[/]" if outcome.problems else "[green]ok[/]"
        table.add_row(name, mark, f"{outcome.seconds:.2f}", str(outcome.findings), said)
    Console().print(table)
    click.echo(memory_text(Path("/proc/meminfo").read_text(encoding="ascii")))
    if write and not failed:
        kept = {name: {**row, "seconds": None} for name, row in facts.items()}
        REFERENCE.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    sys.exit(1 if failed else 0)


def run_model(client: TritonClient, model: Model) -> dict[str, Any]:
    """Findings on the phantoms, seconds of the fastest answer, digest of the served weights.

    Raises ModelMismatchError, ModelUnavailableError, ModelRefusedError, ModelOutputError.
    """
    check_model(client, model.spec)
    configuration = client.model_configuration(model.spec.name)
    fastest, images = float("inf"), []
    for case in phantom_cases(model.spec.modality, IMAGES):
        prepared = model.preprocess(case.read())
        for _ in range(ROUNDS):
            began = time.perf_counter()
            outputs, _version = client.infer(model.spec, prepared.tensors)
            fastest = min(fastest, time.perf_counter() - began)
        images.append(described(model.postprocess(outputs, prepared)))
    return {
        "sha256": configuration.parameters["sha256"].string_value,
        "seconds": fastest,
        "images": images,
    }


def described(output: ModelOutput) -> dict[str, Any]:
    """A model's output in plain values; boxes are row, column, row, column in px of the image."""
    return {
        "regions": [_finding(region) for region in output.regions],
        "classification": {name: float(value) for name, value in output.classification.items()},
    }


def judge(found: Mapping[str, Any], reference: Mapping[str, Any] | None) -> Outcome:
    """Compare with the reference. Raises ModelMismatchError where that is of other weights."""
    if reference is None or reference["sha256"] != found["sha256"]:
        raise ModelMismatchError("other weights than the reference's; nothing to compare with")
    problems: list[str] = []
    for number, (image, wanted) in enumerate(
        zip(found["images"], reference["images"], strict=True), start=1
    ):
        problems += [f"image {number}: {text}" for text in differences(image, wanted)]
    count = sum(len(image["regions"]) for image in found["images"])
    return Outcome(found["seconds"], count, problems)


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What a reader would notice; a finding that only the operating point decides is not that."""
    wrong = []
    for name, value in wanted["classification"].items():
        if abs(value - found["classification"][name]) > PROBABILITY:
            wrong.append(f"{name} {found['classification'][name]:.3f} instead of {value:.3f}")
    left = list(found["regions"])
    for one in wanted["regions"]:
        partner = min(left, key=lambda other: _distance(one, other), default=None)
        if partner is None or _distance(one, partner) > 2 * BOX_PX:
            wrong.append(f"no {one['kind']} at {one['box']}, score {one['score']:.2f}")
            continue
        left.remove(partner)
        if abs(one["score"] - partner["score"]) > WORST_SCORE:
            wrong.append(f"score {partner['score']:.3f} instead of {one['score']:.3f}")
    least = min((one["score"] for one in wanted["regions"]), default=1.0)
    wrong += [
        f"a new {other['kind']} at {other['box']}"
        for other in left
        if other["score"] > least + SCORE
    ]
    return wrong


def memory_text(meminfo: str) -> str:
    """What the machine has and has left, of /proc/meminfo (on a Jetson the GPU's is the same)."""
    pairs = (line.split(":") for line in meminfo.splitlines())
    mib = {name: int(value.split()[0]) // 1024 for name, value in pairs}
    used = mib["MemTotal"] - mib["MemAvailable"]
    swapped = mib["SwapTotal"] - mib["SwapFree"]
    return f"memory: {used} MiB of {mib['MemTotal']} MiB in use, swap {swapped} MiB"


def _finding(region: Region) -> Finding:
    rows, columns = region.mask.shape
    row, column = region.offset_px
    box = [int(value) for value in (row, column, row + rows, column + columns)]
    return {"kind": str(region.kind), "score": round(float(region.score), 4), "box": box}


def _distance(one: Finding, other: Finding) -> float:
    """Largest distance of equal edges, px; findings of different kinds are never the same."""
    if one["kind"] != other["kind"]:
        return float("inf")
    return float(max(abs(a - b) for a, b in zip(one["box"], other["box"], strict=True)))
