"""A study one of whose models is away for long: told as far as it is known, and whole later."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import httpx
import pydicom
import pytest
from pydicom import FileDataset
from sqlalchemy import select, update

from node.identifiers import JobId
from node.job import DELIVERING, FAILED, QUEUED, RUNNING, utc_now
from node.status import study_status
from node.store.tables import Event, Job, ModelRun
from phantoms.study import StudyOptions, write_study
from stack.served import Triton
from tests.analysed import Analysed
from tests.peers.triton import REPOSITORY, running_triton
from workers.pipeline import open_pipeline
from workers.triton.balanced import BalancedClient

if find_spec("pytriton") is None:
    pytest.skip("nvidia-pytriton is not installed: extra `embedded`", allow_module_level=True)

ABSENT = "mtu_net"
PRESENT = ("mask_rcnn_mg", "resnet50")


@pytest.fixture
def node(postgresql_node: Analysed) -> Analysed:
    """The node of every test here."""
    return postgresql_node


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that lacks one of the mammogram models."""
    folder = tmp_path_factory.mktemp("repository")
    for name in PRESENT:
        shutil.copytree(REPOSITORY / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def triton(repository: Path) -> Iterator[Triton]:
    """Its server."""
    with running_triton(repository=repository) as server:
        yield server


@pytest.fixture
def views(tmp_path: Path) -> list[FileDataset]:
    """Two images of one study."""
    write_study(tmp_path, 700_901, StudyOptions(views=("LCC", "LMLO"), rows=832, processing=False))
    return [pydicom.dcmread(path) for path in sorted(tmp_path.rglob("*.dcm"))]


def tried(node: Analysed, job_id: int, url: str) -> Job:
    """The job after a worker has had it, now."""
    with node.store.writing() as session:
        session.get_one(Job, job_id).due_at = utc_now()
    server = BalancedClient(url, timeout_seconds=60)
    pipeline = replace(open_pipeline(node.settings), server=server)
    pipeline.analyse(JobId(job_id))
    pipeline.store.close()
    server.close()
    with node.store.reading() as session:
        return session.get_one(Job, job_id)


def waited(node: Analysed, job_id: int) -> None:
    """Let the job have failed for longer than a study waits for a model."""
    longer = timedelta(seconds=node.settings.partial_report_seconds + 1)
    with node.store.writing() as session:
        session.execute(
            update(Job).where(Job.id == job_id).values(failing_since=utc_now() - longer)
        )


def states(node: Analysed, job_id: int) -> dict[str, set[str]]:
    """The states of the runs of each model."""
    found: dict[str, set[str]] = {}
    with node.store.reading() as session:
        for run in session.scalars(select(ModelRun).where(ModelRun.job_id == job_id)):
            found.setdefault(run.model, set()).add(run.state)
    return found


def report_of(node: Analysed, job: Job) -> str:
    """The text of the job's report."""
    with node.store.reading() as session:
        paths = [each.path for each in session.get_one(Job, job.id).results if each.kind == "SR"]
    return pydicom.dcmread(node.files.absolute(paths[0])).to_json()


def test_a_model_that_is_away_holds_a_study_for_half_an_hour(
    node: Analysed, triton: Triton, repository: Path, views: list[FileDataset]
) -> None:
    """It was for a day, with nothing of what the other models had found in the archive."""
    first, late = views
    uid = str(first.StudyInstanceUID)
    job = tried(node, node.received(first), triton.url)
    assert (job.state, states(node, job.id)) == (RUNNING, {})

    waited(node, job.id)
    job = tried(node, job.id, triton.url)
    assert job.state == DELIVERING
    assert states(node, job.id) == {ABSENT: {"away"}} | {name: {"succeeded"} for name in PRESENT}
    report = report_of(node, job)
    assert "INCOMPLETE: 1 of 3 analyses failed" in report
    assert "it is asked again" in report

    # What archives have is shown; the next revision waits, and tells nothing that was told.
    again = node.job(uid, 2)
    assert (again.state, again.due_at > utc_now()) == (QUEUED, True)
    with node.store.reading() as session:
        status = study_status(session, uid)
    assert (status["state"], status["revision"], status["shown_revision"]) == (QUEUED, 2, 1)
    assert status["results"]
    waited(node, again.id)
    assert tried(node, again.id, triton.url).state == RUNNING

    # A late image does not wait for a day either: it is in the revision that waits.
    node.receive(late)
    assert not node.sweep(1000)
    assert node.sweep(1000) == []
    with node.store.reading() as session:
        texts = session.scalars(select(Event.text).where(Event.revision == 2)).all()
    assert "late images join, 2 instances now" in texts
    assert tried(node, again.id, triton.url).state == DELIVERING
    assert states(node, again.id)[ABSENT] == {"away"}

    shutil.copytree(REPOSITORY / ABSENT, repository / ABSENT)
    loads = f"http://127.0.0.1:{triton.http_port}/v2/repository/models/{ABSENT}/load"
    httpx.post(loads, json={}, timeout=60, trust_env=False).raise_for_status()
    whole = tried(node, node.job(uid, 3).id, triton.url)
    assert whole.state == DELIVERING
    assert set().union(*states(node, whole.id).values()) == {"succeeded"}
    assert "INCOMPLETE" not in report_of(node, whole)
    with node.store.reading() as session:
        assert session.scalars(select(Job).where(Job.revision > 3)).all() == []


def test_a_study_of_which_nothing_is_known_waits_whole(
    node: Analysed, views: list[FileDataset]
) -> None:
    """With no Triton at all there is nothing to report, and a damaged image is no knowledge."""
    views[1].PixelData = views[1].PixelData[:1000]
    job_id = node.received(*views)
    waited(node, job_id)
    job = tried(node, job_id, "127.0.0.1:1")
    assert job.state == RUNNING
    assert states(node, job_id) == {name: {"failed"} for name in (ABSENT, *PRESENT)}, (
        "of the damaged image alone"
    )
    with node.store.reading() as session:
        assert session.scalars(select(Job.revision)).all() == [1]
    with node.store.writing() as session:
        long_ago = utc_now() - timedelta(seconds=node.settings.retry_give_up_seconds + 1)
        session.get_one(Job, job_id).failing_since = long_ago
    assert tried(node, job_id, "127.0.0.1:1").state == FAILED
