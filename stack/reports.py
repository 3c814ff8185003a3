"""`sentinode models report`: every page under docs/models, made again by one command.

In: the folder in which the sets lie, the model repository. Out: for each model and set a report of
the validation side, parity with torch, and the card. What must hold: sets that are not there are
named and left out; what is measured goes through the served model unless told otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from models.evaluation.cards import write_card, write_licence
from models.evaluation.index import write_index
from models.registry import MODELS
from node.settings import load_settings
from stack.served import served
from workers.evaluation import evaluate
from workers.parity import parity

# On which sets a model is judged: those with the truth that it needs.
SETS_OF = {
    "mask_rcnn_us": ("busi",),
    "mask_rcnn_mg": ("mini_mias",),
    "mtu_net": ("mini_mias",),
    "resnet50": ("rsna", "mini_mias"),
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(sorted(MODELS)))
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="SENTINODE_DATA",
    help="Folder in which busi, mini_mias, rsna lie; $SENTINODE_DATA.",
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("docs/models"))
@click.option("--through", type=click.Choice(["served", "onnx", "torch"]), default="served")
@click.option("--limit", type=click.IntRange(1), help="Only this many images of each set.")
@click.option("--parity-images", type=click.IntRange(0), default=100, show_default=True)
@click.option("--cards/--no-cards", default=True, help="Write the cards and licences too.")
def report(
    names: tuple[str, ...],
    data: Path | None,
    out: Path,
    through: str,
    limit: int | None,
    parity_images: int,
    cards: bool,
) -> None:
    """Make the pages of NAMES, or of every model."""
    with _triton(through == "served" or parity_images > 0):
        for name in names or sorted(MODELS):
            for folder in _folders(name, data):
                arguments = [name, "--data", str(folder), "--out", str(out / name / folder.name)]
                arguments += ["--through", through, "--part", "validation"]
                arguments += [] if limit is None else ["--limit", str(limit)]
                evaluate.main(arguments, standalone_mode=False)
                # Its curves and figures are in report.md too, and the page is for reading offline.
                (out / name / folder.name / "report.html").unlink()
            if parity_images:
                arguments = [name, "--images", str(parity_images), "--out", str(out / name)]
                parity.main(arguments, standalone_mode=False)
            if cards:
                write_card(name, out, load_settings().model_repository)
                write_licence(name, load_settings().model_repository)
            write_index(out)


def _folders(name: str, data: Path | None) -> Iterator[Path]:
    for folder in SETS_OF.get(name, ()):
        if data is not None and (data / folder).is_dir():
            yield data / folder
        else:
            click.echo(f"{name}: no {folder} in {data or '--data'}, left out", err=True)


@contextmanager
def _triton(wanted: bool) -> Iterator[None]:
    """The settings' Triton is ours while the block lasts."""
    if not wanted:
        yield
        return
    with served(load_settings().model_repository) as triton:
        before = os.environ.get("SENTINODE_TRITON_URL")
        os.environ["SENTINODE_TRITON_URL"] = triton.url
        try:
            yield
        finally:
            if before is None:
                del os.environ["SENTINODE_TRITON_URL"]
            else:
                os.environ["SENTINODE_TRITON_URL"] = before
