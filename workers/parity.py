"""`sentinode models parity`: does Triton answer as torch does?

In: a model's name, images (phantoms, or a folder), a running Triton. Out: the largest differences,
printed and, if wanted, written into parity.json of a folder. What must hold: exit status 1 where
they are not the same model.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from models.datasets.cases import Case
from models.evaluation.local import weights_digest
from models.evaluation.opening import chosen
from models.evaluation.parity import Agreement, compare
from models.evaluation.phantom_cases import phantom_cases
from models.evaluation.run import Server
from models.registry import MODELS, get_model
from node.running import load_running_settings
from workers.evaluation import Way, find_cases, judging, open_server
from workers.triton.balanced import for_people


@click.command()
@click.argument("name", type=click.Choice(sorted(MODELS)))
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder in a layout of docs/data-sets.md, instead of phantoms.",
)
@click.option("--images", type=click.IntRange(1), default=100, show_default=True)
@click.option("--through", type=click.Choice(["served", "onnx"]), default="served")
@click.option(
    "--weights",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Training run for torch, instead of the exported file's weights.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path))
def parity(
    name: str, data: Path | None, images: int, through: str, weights: Path | None, out: Path | None
) -> None:
    """Compare NAME in torch with what is served, finding by finding."""
    cases = images_of(name, data, images)
    settings = load_running_settings()
    with for_people(settings.triton_url), judging(name):
        agreement = run(name, cases, open_server(name, Way(through)), weights)
    facts = {
        "model": name,
        "version": get_model(name).spec.version,
        "data": "phantoms" if data is None else data.resolve().name,
        "through": through,
        "weights_sha256": weights_digest(settings.model_repository, name),
        "torch_weights": "those of the exported file" if weights is None else "those of training",
        **agreement.report(),
    }
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "parity.json").write_text(json.dumps(facts, indent=2) + "\n")
    click.echo(json.dumps(facts, indent=2))
    if not agreement.images:
        raise click.ClickException(
            f"no image could be compared: {agreement.refused} refused, "
            f"{agreement.unreadable} not readable, of {len(cases)} that {name} takes"
        )
    if not agreement.is_same:
        raise click.ClickException(f"{name} is not the same in torch and {through}")


def images_of(name: str, data: Path | None, count: int) -> list[Case]:
    """`count` images that the model takes."""
    modality = get_model(name).spec.modality
    if data is None:
        return phantom_cases(modality, count)
    return chosen(find_cases(data)[1], modality, "all", count)


def run(name: str, cases: list[Case], served: Server, weights: Path | None = None) -> Agreement:
    """Torch on one side, `served` on the other, with a progress bar."""
    torch = open_server(name, Way("torch", weights))
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(f"{name}, torch and served", total=len(cases))
        return compare(get_model(name), torch, served, cases, lambda: progress.advance(task))
