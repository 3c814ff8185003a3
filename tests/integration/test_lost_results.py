"""Results whose files are gone before they were delivered, as after a backup without them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from sqlalchemy import select

from node.identifiers import JobId
from node.job import DONE, FAILED
from node.retry import retry
from node.settings import Settings, load_settings
from node.store.migrate import upgrade
from node.store.session import Store
from node.store.tables import Job, Result
from tests.analysed import Analysed, Said
from tests.datasets import mammogram
from tests.peers.orthanc import Orthanc
from workers.pipeline import open_pipeline


@pytest.fixture
def settings(tmp_path: Path, orthanc: Orthanc) -> Settings:
    """A node whose results go to Orthanc."""
    destinations = tmp_path / "destinations.yaml"
    destination = {
        "name": "orthanc",
        "protocol": "stow",
        "url": orthanc.dicomweb_url,
        "confirm": "qido",
        "kinds": ["SEG", "SR", "GSPS"],
    }
    destinations.write_text(yaml.safe_dump({"destinations": [destination]}))
    settings = load_settings(
        state_dir=tmp_path / "state", destinations=destinations, min_free_bytes=0
    )
    upgrade(settings)
    return settings


def test_lost_results_are_written_again(settings: Settings, store: Store, orthanc: Orthanc) -> None:
    """The same objects arrive, by themselves or when a person retries."""
    node = Analysed(settings, store)
    lease = node.analysed(mammogram(), said=Said(findings=1))
    node.release(lease)
    pipeline = open_pipeline(settings)
    pipeline.analyse(lease.job_id)
    with store.reading() as session:
        job = session.get_one(Job, lease.job_id)
        written = {r.path: (settings.state_dir / r.path).read_bytes() for r in job.results}
    assert len(written) == 3
    shutil.rmtree(settings.state_dir / "results")
    pipeline.deliver(JobId(lease.job_id))
    pipeline.store.close()
    assert {path: (settings.state_dir / path).read_bytes() for path in written} == written
    with store.reading() as session:
        assert session.get_one(Job, lease.job_id).state == DONE
        uids = session.scalars(select(Result.sop_instance_uid)).all()
    assert set(uids) <= set(orthanc.sop_instance_uids_of(lease.study_uid))


def test_a_damaged_result_is_written_again_once_it_is_removed(
    settings: Settings, store: Store
) -> None:
    """What the reason says to do is what helps."""
    node = Analysed(settings, store)
    lease = node.analysed(mammogram())
    node.release(lease)
    pipeline = open_pipeline(settings)
    pipeline.analyse(lease.job_id)
    with store.reading() as session:
        (path,) = session.scalars(select(Result.path)).all()
    (settings.state_dir / path).write_bytes(b"damaged")
    pipeline.deliver(JobId(lease.job_id))
    with store.reading() as session:
        job = session.get_one(Job, lease.job_id)
        assert job.state == FAILED
        assert job.error is not None
        assert "remove what is left and retry the study" in job.error
    (settings.state_dir / path).unlink()
    pipeline.deliver(retry(store, lease.study_uid).job_id)
    pipeline.store.close()
    with store.reading() as session:
        assert session.get_one(Job, lease.job_id).state == DONE
