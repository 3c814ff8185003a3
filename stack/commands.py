"""`sentinode up`, `down` and `demo`: the embedded stack for people."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from node.errors import ConfigurationError, SentinodeError
from node.settings import Settings, load_settings
from stack import embedded
from stack.demo import run_demo
from stack.display import StartDisplay
from stack.interruption import Interruption

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
    with Interruption() as interruption:
        if embedded.end_left(user):
            console.print("ended what a killed stack had left")
        sys.exit(_foreground(embedded.plan(user), console, interruption))


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
    elif embedded.end_left(user):
        click.echo("ended what a killed stack had left")
    elif not quiet:
        click.echo(f"no stack runs in {user.state_dir}")


@click.command(short_help="One synthetic study through the whole stack, checked.")
@_state_dir
@click.option("--keep", is_flag=True, help="Leave the stack running.")
def demo(state_dir: Path | None, keep: bool) -> None:
    """Send one synthetic study through the whole stack and check what reaches the archive."""
    with Interruption() as interruption:
        sys.exit(run_demo(_settings(state_dir), keep, Console(), interruption))


def _settings(state_dir: Path | None) -> Settings:
    return load_settings() if state_dir is None else load_settings(state_dir=state_dir)


def _foreground(stack: embedded.Stack, console: Console, interruption: Interruption) -> int:
    """Run the stack until a signal; the exit status."""
    process = embedded.start(stack, with_parent=True)
    try:
        with interruption.released():
            with StartDisplay(stack.settings, console) as display:
                embedded.wait(stack, display.seen)
            console.print(f"state and logs: {stack.state.root}\nCtrl-C stops everything")
            return _ended(process.wait(), stack, console)
    except KeyboardInterrupt:
        return 0
    except SentinodeError as error:
        console.print(f"[red]{escape(str(error))}", soft_wrap=True)
        return 1
    finally:
        if process.poll() is None:
            console.print("stopping ...")
        embedded.stop(stack)
        process.wait()


def _ended(code: int, stack: embedded.Stack, console: Console) -> int:
    """supervisord has ended by itself: by `sentinode down`, or it was killed."""
    if code == 0:
        return 0
    log = stack.state.log("supervisord")
    console.print(f"[red]supervisord has ended ({code}), and with it the stack; see {log}")
    return 1
