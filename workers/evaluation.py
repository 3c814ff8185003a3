"""`sentinode models evaluate`: how good a model is on images whose truth is known.

In: a model's name and a folder: studies of `sentinode phantom`, or real data in a layout of its
own. Out: report.json, report.html and report.md with drawings, and the figures as a table. What
must hold: DICOM files of phantoms take the way of service through `workers.dicom`; nothing is
written but the report.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile

import click
import pydicom
from pydicom.errors import InvalidDicomError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from models.contract import BreastImage, FindingKind, Model, ModelOutputError
from models.datasets.cases import Case, LeftOut, Lesion, Truth
from models.datasets.catalogue import SETS
from models.datasets.folders import Contents, read_contents
from models.datasets.splits import hold_out
from models.datasets.tables import DataSetError
from models.evaluation import examples, seen
from models.evaluation.local import LocalServer, NotExportedError, weights_digest
from models.evaluation.opening import Side, chosen, grouped
from models.evaluation.page import as_text, write_pages
from models.evaluation.page import table as report_rows
from models.evaluation.report import NOTICE, Report, Subject, make_report
from models.evaluation.run import Outcome, Server
from models.evaluation.run import evaluate as run_cases
from models.mtu_net.insertion_samples import split_of
from models.registry import MODELS, get_model
from node.errors import ConfigurationError, DecodingError
from node.running import load_running_settings
from phantoms.dataset import ImageTruth, TruthError, read_truth
from workers.dicom.decoding import read_source
from workers.triton.balanced import BalancedClient, for_people

WAYS = ("onnx", "torch", "served")
_NAMES_SHOWN = 5

# A model that was not trained with the project's usual split.
SPLITS = {"mtu_net": split_of}


@dataclass(frozen=True, slots=True)
class Way:
    """How requests are answered: `onnx` and `torch` in this process, `served` by Triton.

    `weights`: folder of a training run for torch; without it the exported file's own weights.
    """

    through: str = "onnx"
    weights: Path | None = None


@click.command()
@click.argument("name", type=click.Choice(sorted(MODELS)))
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Studies of `sentinode phantom`, or a folder in a layout of docs/data-sets.md.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the report.  [default: runs/NAME/report/FOLDER]",
)
@click.option("--through", type=click.Choice(WAYS), default="onnx", show_default=True)
@click.option("--served", is_flag=True, help="The same as --through served: ask Triton.")
@click.option(
    "--weights",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Training run for --through torch, instead of the exported file's weights.",
)
@click.option(
    "--part",
    type=click.Choice(["all", "training", "validation"]),
    default="all",
    show_default=True,
    help="Side of the split with which models of this project are trained.",
)
@click.option(
    "--tiled", is_flag=True, help="Predict on four overlapping parts and merge, as paper 001 does."
)
@click.option("--limit", type=click.IntRange(1), help="Only this many images, evenly chosen.")
@click.option("--examples", "pictures", type=click.IntRange(0), default=6, show_default=True)
def evaluate(
    name: str,
    data: Path,
    out: Path | None,
    through: str,
    served: bool,
    weights: Path | None,
    part: Side,
    tiled: bool,
    limit: int | None,
    pictures: int,
) -> None:
    """Evaluate NAME on images with known truth; write report.json, .html and .md to --out."""
    way = Way("served" if served else through, weights)
    if weights is not None and way.through != "torch":
        raise click.UsageError("--weights are those of a training run: add --through torch")
    model = get_model(name)
    if tiled and model.spec.task != "detection":
        raise click.UsageError(f"--tiled is for models that mark masses, not for {name}")
    contents = find_contents(data)
    cases = grouped(
        chosen(contents.cases, model.spec.modality, part, limit, SPLITS.get(name, hold_out))
    )
    tell_left_out(contents.left_out)
    trained = seen.of_run(weights) if weights else seen.of_card(name)
    may_have_seen = seen.may_have_seen(trained, contents.layout, contents.cases, part)
    if not cases:
        raise click.ClickException(_nothing(data, contents, model.spec.modality, part))
    if may_have_seen:
        click.echo(_flattering(contents.layout, part), err=True)
    named = as_text(data.resolve().name)
    out = out or Path("runs") / name / "report" / data.resolve().name
    _make_folder(out)
    server = open_server(name, way)
    with for_people(load_running_settings().triton_url):
        outcome = run(model, server, cases, tiled=tiled)
    through_what = f"{way.through} on overlapping parts" if tiled else way.through
    digest = "" if weights else weights_digest(load_running_settings().model_repository, name)
    subject = Subject(
        *(named, contents.layout, part, through_what, digest),
        limit=limit,
        n_other_modality=sum(case.modality != model.spec.modality for case in contents.cases),
        left_out=dict(Counter(entry.reason for entry in contents.left_out)),
        may_have_seen=may_have_seen,
    )
    report = make_report(model.spec, subject, outcome)
    shown = 0 if tiled else pictures  # they show what service would
    picture = _examples(model, server, _that_ran(cases, outcome), contents.layout, shown)
    write_pages(out, model.spec, report, outcome.results, picture)
    show(report, outcome)
    click.echo(f"{out / 'report.json'}  {out / 'report.html'}  {out / 'report.md'}")
    _refuse_empty(report, data)


def run(model: Model, server: Server, cases: list[Case], *, tiled: bool = False) -> Outcome:
    """All cases through one model, with a progress bar."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress,
        judging(model.spec.name),
    ):
        task = progress.add_task(model.spec.name, total=len(cases))
        return run_cases(model, server, cases, lambda: progress.advance(task), tiled=tiled)


@contextmanager
def judging(name: str) -> Iterator[None]:
    """A person is told why a model cannot be judged. Raises ConfigurationError."""
    try:
        yield
    except ModelOutputError as error:
        raise ConfigurationError(
            f"the answer of {name} is none: {error}; these weights cannot be judged"
        ) from error
    except NotExportedError as error:
        raise ConfigurationError(
            f"{error}; `sentinode models export {name}` writes it; outside the checkout name its "
            "model_repository in SENTINODE_MODEL_REPOSITORY"
        ) from error


def open_server(name: str, way: Way) -> Server:
    """Triton, checked against the spec; torch; or ONNX Runtime on the repository's file."""
    settings = load_running_settings()
    if way.through == "torch":
        # Torch is imported only where it is asked for: workers and demo live without it.
        torched = importlib.import_module("models.evaluation.torched")
        try:
            server: Server = torched.TorchServer(name, settings.model_repository, way.weights)
        except (NotExportedError, OSError, RuntimeError, ValueError) as error:
            source = way.weights or settings.model_repository / name
            raise ConfigurationError(f"{source} holds no weights of {name}: {error}") from error
        return server
    if way.through == "onnx":
        return LocalServer(settings.model_repository)
    return BalancedClient(settings.triton_url, settings.triton_timeout_seconds)


def find_contents(folder: Path) -> Contents:
    """What a folder holds. Raises ConfigurationError."""
    try:
        truths = read_truth(folder)
        if truths:
            return Contents("phantoms", list(phantom_cases(folder, truths)), [])
        return read_contents(folder)
    except (DataSetError, OSError, TruthError) as error:
        raise ConfigurationError(str(error)) from error


def find_cases(folder: Path) -> tuple[str, list[Case]]:
    """Layout and cases of a folder. Raises ConfigurationError."""
    contents = find_contents(folder)
    return contents.layout, contents.cases


def tell_left_out(left_out: Sequence[LeftOut]) -> None:
    """Print what is no case, by reason; of many the first ones by name."""
    for reason in dict.fromkeys(entry.reason for entry in left_out):
        names = [entry.name for entry in left_out if entry.reason == reason]
        more = ", ..." if len(names) > _NAMES_SHOWN else ""
        shown = ", ".join(names[:_NAMES_SHOWN])
        click.echo(f"left out {len(names)}, {reason}: {shown}{more}", err=True)


def _nothing(data: Path, contents: Contents, modality: str, part: Side) -> str:
    """Why there is nothing to evaluate, and what to do."""
    fitting = sum(case.modality == modality for case in contents.cases)
    if not contents.cases:
        return f"{data} ({contents.layout}) holds no image that can be used"
    if not fitting:
        others = len(contents.cases)
        return (
            f"{data} ({contents.layout}) holds no {modality} image with truth; {others} of others"
        )
    return (
        f"of the {fitting} {modality} images of {data} none stands on the {part} side of the "
        "split; use --part all"
    )


def _flattering(layout: str, part: Side) -> str:
    """Why figures may be better than on images that nobody trained on, and what to do."""
    told = f"these weights were trained on {SETS[layout].title}"
    if part == "validation":
        return (
            f"{told}, but not on this very folder (images, names or truth are others): its "
            "validation side may hold images that they were trained on, and figures of such flatter"
        )
    return (
        f"{told}: images that they saw may be among these, and figures of such flatter; "
        "--part validation of the folder that they were trained on leaves them out"
    )


def _refuse_empty(report: Report, data: Path) -> None:
    """A report without an image is no result. Raises ClickException that counts the reasons."""
    if not report["n_images"] and report["classes"] is None:
        raise click.ClickException(
            f"no image of {data} could be judged: {report['n_without_truth']} without the truth "
            f"that {report['model']} needs, {report['n_refused']} refused, "
            f"{report['n_unreadable']} not readable"
        )


def _make_folder(out: Path) -> None:
    """Before hours of work, not after them. Raises ConfigurationError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"{out} cannot be written to: {error.strerror}; name another --out"
        ) from error


def _that_ran(cases: Sequence[Case], outcome: Outcome) -> list[Case]:
    """Those that can be drawn."""
    stopped = {name for name, _ in (*outcome.refused, *outcome.unreadable)}
    return [case for case in cases if case.name not in stopped]


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
        study = str(header.get("StudyInstanceUID"))
        yield Case(truth.sop_instance_uid, truth.modality, known, partial(_read, path), study)


def show(report: Report, outcome: Outcome) -> None:
    """Print the figures, and why images were refused."""
    title = f"{report['model']} {report['version']}: {report['n_images']} images"
    shown = Table("figure", "value", "95 % interval", title=title, caption=NOTICE)
    for row in report_rows(report):
        shown.add_row(*row)
    Console().print(shown)
    for case, reason in outcome.refused:
        click.echo(f"refused {case}: {reason}", err=True)
    for case, reason in outcome.unreadable:
        click.echo(f"not readable {case}: {reason}", err=True)


def _examples(
    model: Model, server: Server, cases: list[Case], layout: str, count: int
) -> bytes | None:
    """A picture of some cases, where the set's licence lets its pixels be shown."""
    facts = SETS.get(layout)
    picked = examples.chosen(cases, count) if facts and facts.may_be_shown else []
    if facts is None or not picked or model.spec.task == "classification":
        return None
    return examples.draw(model, server, picked, f"{facts.title}; {facts.citation}. {NOTICE}")


def _read(path: Path) -> BreastImage:
    """Raises OSError."""
    try:
        return read_source(path).image
    except DecodingError as error:
        raise OSError(f"{path}: {error}") from error


def _lesions(truth: ImageTruth) -> Iterator[Lesion]:
    for lesion in truth.lesions:
        x0, y0, x1, y1 = lesion.box_px
        mask = lesion.read_mask()[y0:y1, x0:x1]
        yield Lesion(FindingKind(lesion.kind), mask, (y0, x0))
