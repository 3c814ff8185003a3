"""kill -9 before every step of removing studies: each is wholly here or wholly gone, and ends gone.

Small, medium and large objects in two studies, which share a pack; results and pictures beside.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import select

from node.query.catalog import find, known_keywords
from node.query.levels import Selection, read_query
from node.retrieve.holdings import hold
from node.settings import load_settings
from node.store.files import Files
from node.store.session import open_store
from node.store.tables import FindingRow, Instance, Removal, Result, Series, Study
from tests.analysed import Said
from tests.datasets import mammogram
from tests.faults.dying import expire
from tests.faults.test_kill_steps import LARGE, MEDIUM, prepared
from tests.peers.asking import identifier
from tests.peers.postgresql import Postgresql
from tests.resting import Resting
from tests.stored import assert_sound, files_of

# `make test-slow` sets it.
_SLOW = "SENTINODE_FAULT_SECONDS" in os.environ
_SIZES = ((64, 48), MEDIUM, LARGE)
_STUDIES = 2


def filled(values: Mapping[str, Any]) -> None:
    """Studies that are done, each with an object of every size."""
    settings = load_settings(**values)
    store = open_store(settings)
    node = Resting(settings, store)
    for _ in range(_STUDIES):
        images = [mammogram(size_px=_SIZES[0])]
        study_uid = images[0].StudyInstanceUID
        images += [mammogram(study_uid, size_px=size_px) for size_px in _SIZES[1:]]
        node.done(*images, said=Said(findings=1))
    node.inbox.close()
    store.close()


def assert_whole_or_gone(values: Mapping[str, Any]) -> set[str]:
    """What every reader sees of each study is all of it or nothing; returns who is here."""
    settings = load_settings(**values)
    store, files = open_store(settings), Files(settings.state_dir)
    asked = read_query(identifier("STUDY", StudyInstanceUID=""), known_keywords)
    listed = {each["StudyInstanceUID"][0] for each in find(asked, store, files)}
    with store.reading() as session:
        studies = session.scalars(select(Study)).all()
        rows = [session.scalars(select(table)).all() for table in (Instance, Series)]
        findings = session.scalars(select(FindingRow)).all()
        results = session.scalars(select(Result)).all()
        removed = set(session.scalars(select(Removal.study_uid)))
        here = {study.study_uid for study in studies if study.state == "done"}
        assert listed == here
        assert {study.study_uid for study in studies if study.state == "removed"} == removed
        for of_study in rows:
            assert sorted(row.study_uid for row in of_study) == sorted([*here] * len(_SIZES))
        assert {finding.model_run.job.study_uid for finding in findings} == here
        for result in results:
            if result.job.study_uid in here:
                assert files.absolute(result.path).is_file()
    for study_uid in here:
        given = hold(store, files, Selection("STUDY", (study_uid,)))
        for holding in given:
            with given.file_of(holding) as path:
                assert path.stat().st_size > 0
    with store.reading() as session:
        named = {path for path in session.scalars(select(Instance.path)) if path}
    assert named <= files_of(settings.state_dir), "a row without a file"
    store.close()
    return here


def kill_at_every_step(values: Mapping[str, Any], folder: Path, every: int = 1) -> list[str]:
    """Kill before step 1, 2, ... of what is left, and fill up again; returns the last steps.

    After each death another process finishes, and nothing is left on the disk.
    """
    at = 0
    while True:
        at += every
        filled(values)
        steps = expire(values, folder, at)
        assert_whole_or_gone(values)
        rest = expire(values, folder)
        assert rest is not None
        assert assert_whole_or_gone(values) == set()
        assert_sound(values, [])
        state = load_settings(**values).state_dir
        left = [
            path
            for kind in ("instances", "results", "pictures")
            for path in state.glob(f"{kind}/*")
        ]
        assert left == []
        if steps is not None:
            return steps


def test_kill_at_every_step_of_removal(tmp_path: Path) -> None:
    """On SQLite: commits, unlinks, folders and their syncs."""
    steps = kill_at_every_step(prepared(tmp_path), tmp_path, every=1 if _SLOW else 3)
    assert {"commit", "unlink", "rmdir", "fsync"} <= set(steps)


def test_kill_at_steps_of_removal_on_postgresql(tmp_path: Path, postgresql: Postgresql) -> None:
    """On PostgreSQL, some of them."""
    values = prepared(tmp_path, database_url=postgresql.new_database())
    kill_at_every_step(values, tmp_path, every=2 if _SLOW else 9)
