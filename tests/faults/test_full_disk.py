"""A disk that is really full, and a database that is away: 0xA700, nothing lost, nothing left."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.dying import receiver
from tests.faults.test_kill_steps import LARGE, SMALL, prepared
from tests.peers.disk import mounted
from tests.peers.pipelining import MAMMOGRAPHY, PLAIN, Sender
from tests.peers.postgresql import running_postgresql
from tests.stored import Objects, Sent, assert_sound, files_of, store_all, temporary_files

_MIB = 1 << 20
SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700
# One file of 110 kB; with its row it needs some 40 kB more.
MEDIUM = (260, 210)


def reasons(folder: Path) -> list[str]:
    """Why instances were refused, as the log says."""
    lines = (folder / "receiver.log").read_text().splitlines()
    logged = [json.loads(line) for line in lines if line.startswith("{")]
    return [line["reason"] for line in logged if line["message"] == "instance refused"]


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_full_disk_at_every_moment(kind: str, tmp_path: Path) -> None:
    """However little is free, an object is refused whole, and taken once there is space."""
    objects, acknowledged = Objects(MEDIUM), []
    with mounted(kind, 32 * _MIB, tmp_path / "disk") as disk:
        values = prepared(tmp_path, state_dir=disk.folder / "state")
        with receiver(values, tmp_path):
            # The first has a file of its own; the others share one that is allocated ahead.
            large = Objects(LARGE).new()
            for free_bytes in (0, *range(0, 240_000, 12_288)):
                one = objects.new() if acknowledged else large
                before = files_of(values["state_dir"])
                disk.leave_free(free_bytes)
                status = _store(values, one)
                assert temporary_files(values["state_dir"]) == []
                if status != SUCCESS:
                    assert status == OUT_OF_RESOURCES
                    assert files_of(values["state_dir"]) == before
                    disk.empty()
                    assert _store(values, one) == SUCCESS
                acknowledged.append(one)
            disk.empty()
            assert_sound(values, acknowledged)
        refused = reasons(tmp_path)
        assert any(reason.startswith("disk") for reason in refused)
        assert any(reason.startswith("database") for reason in refused)


def test_full_disk_in_the_row(tmp_path: Path) -> None:
    """Small objects, whose bytes are in the database, meet the full disk at the commit."""
    objects, acknowledged = Objects((100, 80)), []
    with mounted("tmpfs", 16 * _MIB, tmp_path / "disk") as disk:
        values = prepared(tmp_path, state_dir=disk.folder / "state")
        with receiver(values, tmp_path):
            disk.leave_free(0)
            batch = [objects.new() for _ in range(8)]
            assert set(store_all(values["dicom_port"], batch, window=8).values()) <= {
                SUCCESS,
                OUT_OF_RESOURCES,
            }
            disk.empty()
            again = store_all(values["dicom_port"], batch, window=8)
            assert set(again.values()) == {SUCCESS}
            acknowledged += batch
            assert_sound(values, acknowledged)
        assert any(reason.startswith("database") for reason in reasons(tmp_path))


def test_no_space_at_fsync(tmp_path: Path) -> None:
    """A file system that finds out at fsync costs the instance, and nothing else."""
    values, one = prepared(tmp_path), Objects(LARGE).new()
    with receiver(values, tmp_path, full_at_fsync=True):
        assert _store(values, one) == OUT_OF_RESOURCES
        assert temporary_files(values["state_dir"]) == []
        assert files_of(values["state_dir"]) == set()
    with receiver(values, tmp_path):
        assert _store(values, one) == SUCCESS
        assert_sound(values, [one])


def test_database_goes_away_and_comes_back(tmp_path: Path) -> None:
    """PostgreSQL ends in the middle of a data set: 0xA700. It starts again: success."""
    acknowledged: list[Sent] = []
    with running_postgresql() as database:
        values = prepared(tmp_path, database_url=database.new_database())
        with receiver(values, tmp_path):
            for objects in (Objects(SMALL), Objects(LARGE)):
                before, during = objects.new(), objects.new()
                assert _store(values, before) == SUCCESS
                with ExitStack() as away:
                    status = _store(values, during, lambda: away.enter_context(database.away()))
                    assert status == OUT_OF_RESOURCES
                    assert _store(values, during) == OUT_OF_RESOURCES
                    assert temporary_files(values["state_dir"]) == []
                assert _store(values, during) == SUCCESS
                acknowledged += [before, during]
            assert_sound(values, acknowledged)


def _store(values: dict[str, Any], one: Sent, half_way: Callable[[], object] = lambda: None) -> int:
    def halves() -> Iterator[bytes]:
        middle = len(one.content) // 2
        yield one.content[:middle]
        half_way()
        yield one.content[middle:]

    with Sender(values["dicom_port"], PLAIN) as sender:
        sender.store(1, MAMMOGRAPHY, one.sop_instance_uid, halves())
        status = sender.responses(1)[1]
        sender.release()
    return status
