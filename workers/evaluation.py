"""`sentinode models evaluate`: how good a served model is on images whose truth is known.

In: a model's name and a folder: studies of `sentinode phantom`, or real data in a layout of its
own. Out: `report.json`, `report.html`, and the figures as a table. What must hold: DICOM files take
the way of service through `workers.dicom`; nothing is written but the report.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click
import pydicom
from pydicom.errors import InvalidDicomError
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from models.contract import BreastImage, FindingKind
from models.datasets.cases import Case, Lesion, Truth
from models.datasets.folders import UnknownLayoutError, read_folder
from models.evaluation.local import LocalServer, NotExportedError
from models.evaluation.report import NOTICE, Report, make_report, write_report
from models.evaluation.report import table as report_rows
from models.evaluation.run import Outcome, Server
from models.evaluation.run import evaluate as run_cases
from models.registry import MODELS, get_model
from node.errors import ConfigurationError
from node.settings import load_settings
from phantoms.dataset import ImageTruth, read_truth
from workers.dicom.decoding import read_source
from workers.triton.client import TritonClient
from workers.triton.contract import check_model


@click.command()
@click.argument("name", type=click.Choice(sorted(MODELS)))
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Studies of `sentinode phantom`, or a folder laid out as busi, mini_mias or rsna.",
)
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--served", is_flag=True, help="Ask Triton instead of opening the ONNX file here.")
@click.option("--limit", type=click.IntRange(1), help="Only this many images, evenly chosen.")
def evaluate(name: str, data: Path, out: Path, served: bool, limit: int | None) -> None:
    """Evaluate NAME on images with known truth; write report.json and report.html to --out."""
    spec = get_model(name).spec
    cases = [case for case in find_cases(data) if case.modality == spec.modality]
    if not cases:
        raise click.ClickException(f"{data} holds no {spec.modality} image with truth")
    outcome = run(name, thinned(cases, limit), served)
    report = make_report(spec, data.name, outcome)
    write_report(out, spec, report, outcome.results)
    show(report, outcome)
    click.echo(f"{out / 'report.json'}  {out / 'report.html'}")


def run(name: str, cases: list[Case], served: bool) -> Outcome:
    """All cases through one model, with a progress bar."""
    model = get_model(name)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=len(cases))
        server = open_server(name, served)
        try:
            return run_cases(model, server, cases, lambda: progress.advance(task))
        except NotExportedError as error:
            raise ConfigurationError(str(error)) from error


def open_server(name: str, served: bool) -> Server:
    """Triton, checked against the spec, or ONNX Runtime on the repository's file."""
    settings = load_settings()
    if not served:
        return LocalServer(settings.model_repository)
    client = TritonClient(settings.triton_url, settings.triton_timeout_seconds)
    check_model(client, get_model(name).spec)
    return client


def find_cases(folder: Path) -> list[Case]:
    """Cases of a folder in any layout that is known. Raises ConfigurationError."""
    truths = read_truth(folder)
    if truths:
        return list(phantom_cases(folder, truths))
    try:
        return read_folder(folder)
    except UnknownLayoutError as error:
        raise ConfigurationError(str(error)) from error


def phantom_cases(folder: Path, truths: dict[str, ImageTruth]) -> Iterator[Case]:
    """DICOM images with truth; of a mammogram the one for presentation, which viewers show."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True)
        except InvalidDicomError:
            continue
        truth = truths.get(str(header.get("SOPInstanceUID")))
        if truth is None or header.get("PresentationIntentType") == "FOR PROCESSING":
            continue
        known = Truth(truth.label, tuple(_lesions(truth)))
        yield Case(truth.sop_instance_uid, truth.modality, known, partial(_read, path))


def thinned(cases: list[Case], limit: int | None) -> list[Case]:
    """At most `limit` cases, spread evenly over the sorted list so that every class is met."""
    if limit is None or limit >= len(cases):
        return cases
    return [cases[index * len(cases) // limit] for index in range(limit)]


def show(report: Report, outcome: Outcome) -> None:
    """Print the figures, and why images were refused."""
    title = f"{report['model']} {report['version']}: {report['n_images']} images"
    table = Table("figure", "value", "95 % interval", title=title, caption=NOTICE)
    for row in report_rows(report):
        table.add_row(*row)
    Console().print(table)
    for case, reason in outcome.refused:
        click.echo(f"refused {case}: {reason}", err=True)


def _read(path: Path) -> BreastImage:
    return read_source(path).image


def _lesions(truth: ImageTruth) -> Iterator[Lesion]:
    for lesion in truth.lesions:
        x0, y0, x1, y1 = lesion.box_px
        mask = lesion.read_mask()[y0:y1, x0:x1]
        yield Lesion(FindingKind(lesion.kind), mask, (y0, x0))
