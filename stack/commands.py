"""`sentinode up`, `down` and `demo`: the embedded stack for people."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

import click
from rich.console import Console
from rich.markup import escape

from node.errors import ConfigurationError
from node.settings import Settings, load_settings
from stack import embedded, supervisor
from stack.demo import run_demo
from stack.display import StartDisplay
from stack.health import PartFailedError
from stack.supervisor import StackNotRunningError

_state_dir = click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of all state (SENTINODE_STATE_DIR, ./state).",
)


@click.command()
@_state_dir
def up(state_dir: Path | None) -> None:
    """Run the whole stack on this machine until Ctrl-C."""
    console = Console()
    user = _settings(state_dir)
    if embedded.running(user) is not None:
        raise ConfigurationError(f"a stack runs in {user.state_dir} already: `sentinode down`")
    stack = embedded.plan(user)
    signal.signal(signal.SIGTERM, _interrupt)
    process = embedded.start(stack)
    try:
        with StartDisplay(stack.settings, console) as display:
            embedded.wait(stack, display.seen)
        console.print(f"state and logs: {stack.state.root}\nCtrl-C stops everything")
        code = process.wait()
    except KeyboardInterrupt:
        code = 0
    except PartFailedError as error:
        console.print(f"[red]{escape(str(error))}", soft_wrap=True)
        code = 1
    finally:
        _stop(console, stack, process)
    sys.exit(code)


@click.command()
@_state_dir
@click.option("--quiet", is_flag=True, help="Say nothing when none runs.")
def down(state_dir: Path | None, quiet: bool) -> None:
    """Stop the stack that runs in the background."""
    user = _settings(state_dir)
    stack = embedded.running(user)
    if stack is not None:
        embedded.stop(stack)
        click.echo("stopped")
    elif not quiet:
        click.echo(f"no stack runs in {user.state_dir}")


@click.command()
@_state_dir
@click.option("--keep", is_flag=True, help="Leave the stack running.")
def demo(state_dir: Path | None, keep: bool) -> None:
    """Send one synthetic study through the whole stack and check what reaches the archive."""
    sys.exit(run_demo(_settings(state_dir), keep, Console()))


def _settings(state_dir: Path | None) -> Settings:
    return load_settings() if state_dir is None else load_settings(state_dir=state_dir)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _stop(console: Console, stack: embedded.Stack, process: subprocess.Popen[bytes]) -> None:
    """Stop in order; a second Ctrl-C does not leave half of it running."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if process.poll() is not None:
        return
    console.print("stopping ...")
    try:
        supervisor.stop(stack.state)
    except StackNotRunningError:
        process.terminate()
        process.wait(supervisor.STOP_SECONDS)
