"""Commands that need the models: `analyze` files without a PACS, and `check` the whole node."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from node.logs import keep_libraries_quiet
from node.running import load_running_settings
from node.settings import Settings
from workers.analysis import analyze_files
from workers.check import all_checks
from workers.triton.balanced import BalancedClient, for_people


@click.command(short_help="Analyse files without a PACS.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path))
def analyze(paths: tuple[Path, ...], out: Path) -> None:
    """Analyse files without a PACS: SEG, SR and PNG pictures are written to --out.

    Triton must be running (SENTINODE_TRITON_URL); `sentinode up` starts one.
    """
    keep_libraries_quiet()
    settings = load_running_settings()
    server = BalancedClient(settings.triton_url, settings.triton_timeout_seconds)
    with Progress(console=Console(stderr=True)) as progress, for_people(settings.triton_url):
        task = progress.add_task("analysing", total=None)
        summary = analyze_files(paths, out, server, settings, lambda: progress.advance(task))
    click.echo(json.dumps(summary, indent=2))
    sys.exit(0 if summary["analysed"] else 1)


@click.command(short_help="Check settings, database, models and destinations.")
def check() -> None:
    """Check configuration, database, broker, models and every destination."""
    checks = all_checks(with_destinations(load_running_settings()))
    table = Table("check", "", "what was found")
    for item in checks:
        outcome = "[green]ok[/]" if item.ok else "[red]FAILED[/]"
        table.add_row(escape(item.name), outcome, escape(item.text))
    Console().print(table)
    sys.exit(0 if all(item.ok for item in checks) else 1)


def with_destinations(settings: Settings) -> Settings:
    """Those of an embedded stack too, whose programs alone have it in their environment."""
    own = settings.state_dir / "destinations.yaml"
    if settings.destinations is not None or not own.is_file():
        return settings
    return settings.model_copy(update={"destinations": own})
