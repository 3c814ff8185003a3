"""What result objects cost: time on one core and bytes on the wire (`make bench-results`).

A study of four full-field mammograms is encoded to files in memory, in every kind that some
destination may want, over and over on one core. Times are of the process; the first round, in which
code is imported and memory is first touched, is told apart. Sizes are those of the file, and for
segmentations those of the deflated file that is sent where the archive takes it.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import click
import cv2
from rich.console import Console

from benchmarks.machine import machine, versions
from benchmarks.options import json_option
from benchmarks.results_study import SIZE_PX, analysed, write_images
from workers.analyses import Form, StudyAnalysis
from workers.dicom.transfer import deflated
from workers.dicom.writing import part10
from workers.findings import RunOutcome
from workers.results import encode_study

# What an OHIF, a workstation and an archive of last resort want between them.
_FORMS: Final[tuple[Form, ...]] = (
    ("SEG", "ohif"),
    ("SR", "ohif"),
    ("CADSR", ""),
    ("GSPS", ""),
    ("SC", ""),
    ("KOS", ""),
)
_KNOWN: Final = ("Sentinode", "pydicom", "Python")


@dataclass(frozen=True, slots=True)
class Kind:
    """All objects of one kind of the study. `sent_bytes`: deflated where they are segmentations."""

    kind: str
    objects: int
    seconds: float
    bytes: int
    sent_bytes: int
    largest_sent_bytes: int


@dataclass(frozen=True, slots=True)
class Study:
    """One study. `seconds`: all its objects, median; `deflating_seconds`: its segmentations."""

    findings_per_image: int
    seconds: float
    first_seconds: float
    deflating_seconds: float
    kinds: list[Kind]


_Contents = dict[str, list[bytes]]


def measure(paths: list[Path], findings_per_image: int, rounds: int) -> Study:
    """Encode the study `rounds` times and once more before."""
    study = analysed(paths, findings_per_image)
    contents: _Contents = {}
    first = _encode(_afresh(study), contents)
    others = [_encode(_afresh(study)) for _ in range(rounds)]
    began = time.process_time()
    sent = {kind: _sent(kind, files) for kind, files in contents.items()}
    deflating_seconds = time.process_time() - began
    kinds = [
        Kind(
            kind=kind,
            objects=len(files),
            seconds=statistics.median(each[kind] for each in others),
            bytes=sum(map(len, files)),
            sent_bytes=sum(map(len, sent[kind])),
            largest_sent_bytes=max(map(len, sent[kind])),
        )
        for kind, files in contents.items()
    ]
    return Study(
        findings_per_image=findings_per_image,
        seconds=statistics.median(sum(each.values()) for each in others),
        first_seconds=sum(first.values()),
        deflating_seconds=deflating_seconds,
        kinds=kinds,
    )


def _afresh(study: StudyAnalysis) -> StudyAnalysis:
    """The study as it comes from the database: findings keep what was worked out of them."""
    analyses = (
        replace(analysis, runs=tuple(_run_afresh(run) for run in analysis.runs))
        for analysis in study.analyses
    )
    return replace(study, analyses=tuple(analyses))


def _run_afresh(run: RunOutcome) -> RunOutcome:
    return replace(run, findings=tuple(replace(found) for found in run.findings))


def _encode(study: StudyAnalysis, contents: _Contents | None = None) -> dict[str, float]:
    """Seconds by kind. Files go into `contents`, or are let go as by a worker that wrote them."""
    seconds: dict[str, float] = {}
    began = time.process_time()
    for result in encode_study(study, frozenset(_FORMS)):
        content = part10(result.dataset)
        now = time.process_time()
        seconds[result.kind] = seconds.get(result.kind, 0.0) + now - began
        if contents is not None:
            contents.setdefault(result.kind, []).append(content)
        began = time.process_time()
    return seconds


def _sent(kind: str, contents: Sequence[bytes]) -> list[bytes]:
    return [deflated(content) for content in contents] if kind == "SEG" else list(contents)


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option(
    "--findings",
    type=click.IntRange(1),
    multiple=True,
    default=(5, 20),
    show_default=True,
    help="On each of the four images; may be given several times.",
)
@json_option("results")
def results(rounds: int, findings: tuple[int, ...], json_path: Path) -> None:
    """Measure what result objects cost. Needs a source checkout with the test extra."""
    console = Console()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(prefix="results-") as folder:
        paths = write_images(Path(folder))
        studies = [measure(paths, number, rounds) for number in findings]
    for study in studies:
        console.print(_line(study))
    facts: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks.results", *sys.argv[1:]]),
        "rounds": rounds,
        "size_px": list(SIZE_PX),
        "load_average": os.getloadavg()[0],
        "machine": machine(),
        "versions": {name: value for name, value in versions().items() if name in _KNOWN},
    }
    json_path.parent.mkdir(parents=True, exist_ok=True)
    rows = [asdict(study) for study in studies]
    json_path.write_text(json.dumps(facts | {"studies": rows}, indent=1) + "\n", encoding="utf-8")
    json_path.with_suffix(".md").write_text(page(studies, facts), encoding="utf-8")
    console.print(f"written: {json_path}")


_HEAD: Final = """# What result objects cost

Written by `{command}`.

A study of four mammograms of {rows} x {columns} pixels is encoded to Part 10 files in memory, one
kind after the other, on one core; processor time, median of {rounds} rounds. Each round begins with
findings as they come from the database, and lets every file go when it is done. Pictures (SC)
include decoding the four images again. "Sent" is the size on the wire: segmentations deflated
(Deflated Explicit VR Little Endian), everything else as it is. RLE Lossless is no way to small
segmentations: its runs end after 128 bytes, and DCMTK 3.6.7 and pydicom 3.0 refuse single bits in
it.

| findings on each image | all objects | first time | deflating | largest segmentation sent |
|---:|---:|---:|---:|---:|
"""


def page(studies: Sequence[Study], facts: dict[str, Any]) -> str:
    """The page as Markdown."""
    rows, columns = facts["size_px"]
    lines = [
        _HEAD.format(command=facts["command"], rounds=facts["rounds"], rows=rows, columns=columns)
    ]
    for study in studies:
        largest = max(each.largest_sent_bytes for each in study.kinds if each.kind == "SEG")
        lines.append(
            f"| {study.findings_per_image} | {study.seconds:.2f} s | {study.first_seconds:.2f} s "
            f"| {study.deflating_seconds:.2f} s | {largest / 1000:.0f} kB |\n"
        )
    for study in studies:
        lines.append(
            f"\n## {study.findings_per_image} findings on each image\n\n"
            "| kind | objects | time | size | sent |\n|---|---:|---:|---:|---:|\n"
        )
        lines += [
            f"| {each.kind} | {each.objects} | {1000 * each.seconds:.0f} ms "
            f"| {each.bytes / 1000:,.0f} kB | {each.sent_bytes / 1000:,.0f} kB |\n"
            for each in study.kinds
        ]
    known = [*facts["machine"].items(), *facts["versions"].items()]
    lines.append("\n## Measured on\n\n")
    lines += [f"- {name}: {value}\n" for name, value in known]
    lines.append(f"- load of the machine at the end: {facts['load_average']:.1f}\n")
    return "".join(lines)


def _line(study: Study) -> str:
    kinds = ", ".join(f"{each.kind} {1000 * each.seconds:.0f}" for each in study.kinds)
    return (
        f"{study.findings_per_image} findings on each image: {study.seconds:.2f} s "
        f"(first time {study.first_seconds:.2f} s); milliseconds: {kinds}"
    )


if __name__ == "__main__":
    results()
