"""Commands for people: send files, look at a study, try it again, let old ones go, migrate."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from node.doorbell import Doorbell
from node.errors import ConfigurationError, IllegalMoveError, NotFoundError
from node.identifiers import AETitle
from node.job import ACTIVE, FAILED, RECEIVING
from node.listing import PAGE_SIZE, StudyLine, StudyList, list_studies
from node.logs import keep_libraries_quiet
from node.priors.requests import ask_again
from node.process import stop_on_signals
from node.retention.expiry import Expiry, look
from node.retention.removal import BY_HAND, Rule
from node.retry import retry as retry_study
from node.running import load_running_settings
from node.send import Peer, find_instances, parse_ae_title, parse_peer, send_instances
from node.settings import MOST_DAYS, Settings, load_settings
from node.status import no_findings, score, study_status
from node.store.deliveries import known_destinations, studies_with_dead_letters
from node.store.files import Files
from node.store.migrate import upgrade
from node.store.runs import LACKING
from node.store.session import Store, open_store
from node.store.version import require_migrated, require_tables, unanswered

_POLL_SECONDS = 0.5
# Between two looks at a database that is not ready yet.
_WAIT_SECONDS = 2.0


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--to", "target", help="AE@HOST:PORT; the node itself unless given.")
@click.option("--from", "caller", help="Calling AE title; SENTINODE_AE_TITLE unless given.")
def send(paths: tuple[Path, ...], target: str | None, caller: str | None) -> None:
    """Send DICOM files or folders by C-STORE."""
    keep_libraries_quiet()
    settings = load_running_settings()
    peer = parse_peer(target) if target else _own_listener(settings)
    ae_title = parse_ae_title(caller) if caller else settings.ae_title
    files = find_instances(paths)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("sending", total=len(files))
        outcomes = send_instances(files, peer, ae_title, lambda: progress.advance(task))
    refused = [outcome for outcome in outcomes if not outcome.accepted]
    for outcome in outcomes:
        if outcome.warned or not outcome.accepted:
            click.echo(f"{outcome.path}: {outcome.text}", err=True)
    click.echo(f"{len(outcomes) - len(refused)} of {len(outcomes)} instances accepted")
    for study_uid in sorted({file.study_uid for file in files}):
        click.echo(f"study {study_uid}")
    sys.exit(1 if refused else 0)


@click.command(short_help="Show the newest studies, or one whole.")
@click.argument("study_uid", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the whole object, or a list of them.")
@click.option("--wait", type=float, default=0.0, help="Seconds to wait for the study to end.")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=PAGE_SIZE,
    show_default=True,
    help="Without STUDY_UID: how many studies.",
)
def status(study_uid: str | None, as_json: bool, wait: float, limit: int) -> None:
    """Show one study: its state, findings and results. Without STUDY_UID: the newest studies."""
    if study_uid is None:
        if wait:
            raise click.UsageError("--wait is for one study: name it")
        _show_list(limit, as_json)
        return
    with node_database(load_settings()) as store:
        found = wait_for_end(store, study_uid, wait)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        print_status(found, Console())


def _show_list(limit: int, as_json: bool) -> None:
    with node_database(load_settings()) as store, store.reading() as session:
        found = list_studies(session, size=limit)
    if as_json:
        click.echo(json.dumps([_listed(line) for line in found.lines], indent=2))
    else:
        _print_list(found, Console())


@click.command()
@click.argument("study_uid", required=False)
@click.option("--destination", help="Every study of which something is dead or refused there.")
def retry(study_uid: str | None, destination: str | None) -> None:
    """Try a failed study again, or all that a destination did not get.

    Of one study, failed requests for prior studies too.
    """
    if (study_uid is None) == (destination is None):
        raise click.UsageError("name either a study or a destination")
    settings = load_running_settings()
    with node_database(settings) as store:
        if study_uid is None:
            _retry_all(store, settings, str(destination))
        else:
            _retry_one(store, settings, study_uid)


def _retry_one(store: Store, settings: Settings, study_uid: str) -> None:
    with store.writing() as session:
        asked = ask_again(session, study_uid)
    if asked:
        click.echo(f"{asked} failed requests for prior studies are tried again")
    try:
        bell = retry_study(store, study_uid)
    except (IllegalMoveError, NotFoundError):
        if asked:
            return
        raise
    rung = Doorbell(settings).ring(bell)
    click.echo("queued" if rung else "queued; the sweeper rings once the broker is back")


def _retry_all(store: Store, settings: Settings, destination: str) -> None:
    with store.reading() as session:
        study_uids = studies_with_dead_letters(session, destination)
        known = known_destinations(session)
    if not study_uids and destination not in known:
        raise click.ClickException(
            f"no result was ever meant for a destination {destination}; those that results were "
            f"meant for: {', '.join(known) or 'none'}"
        )
    doorbell, retried, reached = Doorbell(settings), 0, True
    for study_uid in study_uids:
        try:
            bell = retry_study(store, study_uid)
            # Each call to a broker that is away costs seconds; the sweeper rings the rest.
            reached = reached and doorbell.ring(bell)
        except (IllegalMoveError, NotFoundError) as error:
            click.echo(f"{study_uid}: {error}", err=True)
            continue
        retried += 1
    doorbell.close()
    click.echo(f"{retried} of {len(study_uids)} studies queued")


@click.command(short_help="Remove studies that have been at rest for so many days.")
@click.option("--dry-run", is_flag=True, help="Only list what would go, and count what stays.")
@click.option("--days", type=click.IntRange(1, MOST_DAYS), help="Instead of SENTINODE_KEEP_DAYS.")
@click.option("--failed", is_flag=True, help="Failed studies, and no others.")
def expire(dry_run: bool, days: int | None, failed: bool) -> None:
    """Remove studies to which nothing has happened for so many days, now."""
    settings = load_settings()
    days = days or settings.keep_days
    if not days:
        raise click.UsageError("SENTINODE_KEEP_DAYS is 0, keep for ever; say --days")
    rule = Rule(days, BY_HAND, (FAILED,)) if failed else Rule(days, BY_HAND)
    with node_database(settings) as store:
        if dry_run:
            _list_expired(store, rule)
        else:
            _expire(store, Files(settings.state_dir), rule)


def _list_expired(store: Store, rule: Rule) -> None:
    studies, size_bytes, stay = 0, 0, Counter[str]()
    for looked in look(store, rule):
        if looked.reason is not None:
            stay[looked.reason] += 1
            continue
        studies += 1
        size_bytes += looked.weight.size_bytes
        day, count = looked.last_instance_at.date(), looked.weight.instances
        size_mb = looked.weight.size_bytes / 1e6
        click.echo(f"{looked.study_uid}  {day}  {count} instances  {size_mb:.1f} MB")
    click.echo(f"{studies} studies would be removed, {size_bytes / 1e9:.2f} GB", err=True)
    for reason, count in sorted(stay.items()):
        click.echo(f"{count} stay: {reason}", err=True)


def _expire(store: Store, files: Files, rule: Rule) -> None:
    expiry = Expiry(store, files, rule)
    with Progress("{task.description}", console=Console(stderr=True)) as progress:
        task = progress.add_task("removing")
        more = True
        while more:
            more = expiry.turn()
            progress.update(task, description=f"{expiry.studies} studies removed")
    click.echo(f"{expiry.studies} studies removed, {expiry.size_bytes / 1e9:.2f} GB")


@click.command("upgrade")
def upgrade_database() -> None:
    """Create or migrate the tables."""
    click.echo(f"database is at migration {upgrade(load_settings())}")


@click.command("wait")
@click.option("--seconds", type=float, default=600.0, show_default=True, help="How long.")
def wait_for_database(seconds: float) -> None:
    """Wait until the database answers with the tables of this version."""
    settings = load_settings()
    # As first process of a container it would not end by a signal that it does not handle.
    stop = stop_on_signals()
    deadline = time.monotonic() + seconds
    while True:
        try:
            require_migrated(settings)
        except ConfigurationError as error:
            if time.monotonic() >= deadline:
                raise
            click.echo(f"waiting: {error}", err=True)
        else:
            return
        if stop.wait(_WAIT_SECONDS):
            raise click.Abort


@contextmanager
def node_database(settings: Settings) -> Iterator[Store]:
    """The database of a node for the length of a command.

    Raises ConfigurationError where there is none, it has no tables or stops answering.
    """
    store = open_store(settings)
    try:
        require_tables(store)
        yield store
    except SQLAlchemyError as error:
        raise unanswered(error, store) from error
    finally:
        store.close()


def wait_for_end(store: Store, study_uid: str, wait_seconds: float) -> dict[str, Any]:
    """The status of a study, as soon as it has ended or the time is up. Raises NotFoundError."""
    deadline = time.monotonic() + wait_seconds
    while True:
        with store.reading() as session:
            found = study_status(session, study_uid)
        # So that NaN, which is less than nothing, waits for nothing.
        if found["state"] not in (*ACTIVE, RECEIVING) or not time.monotonic() < deadline:
            return found
        time.sleep(_POLL_SECONDS)


def print_status(found: dict[str, Any], console: Console) -> None:
    """A status object for the eye."""
    console.print(f"study {found['study_uid']}")
    console.print(f"[bold]{found['state']}[/bold], revision {found['revision']}, ", end="")
    console.print(f"{found['instances']} instances")
    if found["error"]:
        console.print(escape(found["error"]), style="red")
    if found["shown_revision"] not in (None, found["revision"]):
        shown, last = found["shown_revision"], found["revision"]
        text = f"shown is revision {shown}; revision {last} has no results yet"
        console.print(text, soft_wrap=True)
    if found["findings"]:
        console.print(findings_table(found))
    else:
        console.print(f"findings: {no_findings(found)}", soft_wrap=True)
    for row in found["classification"]:
        shares = ", ".join(f"{name} {score(share)}" for name, share in row["probabilities"].items())
        console.print(f"{row['model']}: {shares}  {row['source_sop_uid']}", soft_wrap=True)
    for run in found["model_runs"]:
        if run["state"] in LACKING:
            said = f"{run['model']} {run['state']} on {run['source_sop_uid']}: {run['error']}"
            console.print(escape(said), style="red", soft_wrap=True)
    for reason, count in Counter(row["reason"] for row in found["skipped_instances"]).items():
        console.print(escape(f"not analysed, {_objects(count)}: {reason}"), soft_wrap=True)
    # A faulty device gives all of its images one UID.
    for uid, count in Counter(found["conflicts"]).items():
        text = f"kept apart, {_objects(count)}: other content under the same SOP Instance UID {uid}"
        console.print(text, style="red", soft_wrap=True)
    for result in found["results"]:
        where = result["destination"] or "no destination"
        console.print(f"{result['kind']:<8} {result['state']:<10} {where}")
        if result["error"]:
            console.print(f"  {escape(result['error'])}", style="red")


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"


def _print_list(found: StudyList, console: Console) -> None:
    """The newest studies for the eye, the UID last, whole on every terminal."""
    for line in found.lines:
        day = f"{line.last_instance_at:%Y-%m-%d %H:%M}"
        count = f"{line.instances} instances, {line.findings} findings"
        console.print(f"{line.state:<10} {day}  {count}  {line.study_uid}", soft_wrap=True)
    counts = ", ".join(f"{count} {state}" for state, count in found.counts.items())
    total = f"{found.total} {'study' if found.total == 1 else 'studies'}"
    console.print(f"{total}: {counts}" if found.total else "no study yet")


def findings_table(found: dict[str, Any]) -> Table:
    """The findings of a status object, best score first."""
    table = Table("finding", "side", "view", "score", "area mm²", "model", title="Findings")
    for finding in sorted(found["findings"], key=lambda item: -float(item["score"])):
        area = finding["area_mm2"]
        table.add_row(
            finding["code"]["meaning"],
            finding["laterality"] or "-",
            finding["view"] or "-",
            score(finding["score"]),
            "-" if area is None else f"{area:.0f}",
            f"{finding['model']} {finding['model_version']}",
        )
    return table


def _listed(line: StudyLine) -> dict[str, Any]:
    """A line of the list as JSON has it; what a status object has too is called as there."""
    fields = asdict(line)
    fields["n_findings"] = fields.pop("findings")
    first, last = fields.pop("first_instance_at"), fields.pop("last_instance_at")
    timings = {"first_instance": first.isoformat(), "last_instance": last.isoformat()}
    return {**fields, "timings": timings}


def _own_listener(settings: Settings) -> Peer:
    everywhere = settings.dicom_host in ("0.0.0.0", "::")  # noqa: S104  # compared, not bound
    host = "127.0.0.1" if everywhere else settings.dicom_host
    return Peer(AETitle(settings.ae_title), host, settings.dicom_port)
