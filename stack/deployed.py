"""`sentinode trial`: the demo study through a node that others started (Compose, Kubernetes)."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click
import httpx
from rich.console import Console
from rich.markup import escape

from node.errors import SentinodeError
from node.send import parse_peer
from node.settings import load_settings
from phantoms.commands import DEMO_SEED
from stack.trial import Trial, run_trial


@click.command(short_help="Send a synthetic study to a running node and check it.")
@click.option("--to", "node", required=True, help="The node: AE@HOST:PORT.")
@click.option("--archive", help="Orthanc, which gets the images too: AE@HOST:PORT.")
@click.option("--seed", default=DEMO_SEED, show_default=True, help="Another seed, another patient.")
def trial(node: str, archive: str | None, seed: int) -> None:
    """Send one synthetic study to a running node and check its results in Orthanc.

    Needs the node's settings: its database says when the study is done, and ORTHANC_URL names the
    archive that is asked. Exit status 0 only if every SEG and SR is there exactly once.
    """
    console = Console()
    targets = [parse_peer(text) for text in (archive, node) if text]
    with tempfile.TemporaryDirectory(prefix="sentinode-trial-") as folder:
        try:
            run_trial(Trial(load_settings(), console, Path(folder) / "study", targets), seed)
        except (SentinodeError, httpx.HTTPError) as error:
            console.print(f"[red]trial failed:[/red] {escape(str(error))}", highlight=False)
            sys.exit(1)
