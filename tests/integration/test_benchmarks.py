"""The benchmarks: their sender against a real receiver, a filled store, and one quick run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]
from sqlalchemy import func, select

from benchmarks.answers import ProtocolError
from benchmarks.filling import fill
from benchmarks.sender import Plan, send
from node.job import utc_now
from node.store.session import Store
from node.store.tables import Instance, Series, Study
from tests.peers.ports import free_port

REPOSITORY = Path(__file__).resolve().parents[2]


@contextmanager
def pynetdicom_receiver(received: list[Dataset], status: int, slots: int) -> Iterator[int]:
    """A storage SCP of pynetdicom with so many slots; yields its port."""
    entity = AE(ae_title="TEST")
    entity.add_supported_context(CTImageStorage)
    entity.maximum_associations = slots

    def keep(event: evt.Event) -> int:
        received.append(event.dataset)
        return status

    port = free_port()
    handlers = [(evt.EVT_C_STORE, keep)]
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        yield port
    finally:
        server.shutdown()


def plan(port: int, associations: int) -> Plan:
    """Three small objects on each association."""
    return Plan(port, "TEST", "10kB", associations, seconds=0.0, minimum=3, run=1)


def test_every_object_arrives_as_one_of_its_own() -> None:
    """What pynetdicom decodes are different instances, each with its own pixels' length."""
    received: list[Dataset] = []
    with pynetdicom_receiver(received, 0x0000, slots=10) as port:
        sent = send(plan(port, associations=4))
    assert sent.objects == len(received) == 12
    assert len({dataset.SOPInstanceUID for dataset in received}) == 12
    assert len({dataset.StudyInstanceUID for dataset in received}) == 4
    assert {len(dataset.PixelData) for dataset in received} == {64 * 72 * 2}
    assert 0 < sent.p50_seconds <= sent.p95_seconds <= sent.seconds


def test_a_failed_object_ends_the_run() -> None:
    """A receiver that answers anything but 0x0000 gives no figure."""
    with (
        pynetdicom_receiver([], 0xA700, slots=10) as port,
        pytest.raises(ProtocolError, match="status=42752"),
    ):
        send(plan(port, associations=1))


def test_a_receiver_with_too_few_slots_is_reported() -> None:
    """A rejected association is a result that says how many were taken, not a crash."""
    with pynetdicom_receiver([], 0x0000, slots=2) as port:
        sent = send(plan(port, associations=4))
    assert sent.rejected.startswith("2 of 4 associations")
    assert sent.objects == 0


def test_store_is_filled_with_copies_of_a_study(store: Store) -> None:
    """On both databases: as many instances as asked for, each of its own, none of them waiting."""
    _one_study(store, instances=5)
    assert fill(store.engine, 1000) == 1000
    with store.reading() as session:
        count = select(func.count())
        assert session.scalar(count.select_from(Study)) == 200
        assert session.scalar(count.select_from(Series)) == 200
        for column in (Instance.sop_instance_uid, Instance.digest, Instance.path):
            assert session.scalar(select(func.count(column.distinct()))) == 1000
        waiting = count.select_from(Study).where(Study.deadline_at.is_not(None))
        assert session.scalar(waiting) == 1
        sizes = session.scalars(select(func.count(Instance.id)).group_by(Instance.study_uid))
        assert set(sizes) == {5}
        assert {len(digest) for digest in session.scalars(select(Instance.digest))} == {71}


def _one_study(store: Store, instances: int) -> None:
    now = utc_now()
    with store.writing() as session:
        session.add(
            Study(
                study_uid="1.2.3",
                state="receiving",
                deadline_at=now,
                first_instance_at=now,
                last_instance_at=now,
            )
        )
        session.flush()
        session.add(Series(study_uid="1.2.3", series_uid="1.2.3.4"))
        session.add_all(_instance(number) for number in range(instances))


def _instance(number: int) -> Instance:
    return Instance(
        study_uid="1.2.3",
        series_uid="1.2.3.4",
        sop_instance_uid=f"1.2.3.4.{number}",
        sop_class_uid=CTImageStorage,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=f"instances/{number}",
        size_bytes=1,
        digest=f"blake3:{number:064d}",
        calling_ae_title="TEST",
        peer_host="127.0.0.1",
        received_at=utc_now(),
        conflict=False,
        route="",
        models=[],
        attributes={},
    )


def test_quick_run_measures_every_receiver(tmp_path: Path) -> None:
    """`make bench-receive`'s command in its quick form: every receiver here gives its figures."""
    result = tmp_path / "receive.json"
    argv = [sys.executable, "-m", "benchmarks.receive", "--quick", "--json", str(result)]
    argv += ["--folder", str(tmp_path / "stores")]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = {row["variant"]: row["median"] for row in json.loads(result.read_text())["rows"]}
    assert {"sentinode", "pynetdicom", "sink"} <= set(rows)
    for name, median in rows.items():
        assert median["objects_per_second"] > 0, name
        assert median["peak_megabytes"] > 1, name
    assert os.listdir(tmp_path / "stores") == []
