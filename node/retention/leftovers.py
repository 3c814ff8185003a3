"""Files of removed studies: taken from the disk once no row names them.

In: `Removal` rows, committed with the removal itself, so that a process that dies leaves the rest
to the next. Out: folders and packs that are gone, durably, before the row says so.

A file goes only when nobody can be about to name it in a row: its other name, in the spool of the
process that made it, has been gone for an hour (`_SETTLED_SECONDS`). That holds for a folder into
which the same study is just being stored again, and for a pack that is being filled. A pack that
another study needs stays; who removes the last of them names it again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from node.identifiers import is_uid
from node.logs import log
from node.store.files import INSTANCES, Files, sync_folder
from node.store.packs import is_pack
from node.store.session import Store
from node.store.tables import Instance, Removal

# Between giving up the name in the spool and committing the row there are, at the worst, a few
# waits for SQLite's lock, of 30 s each.
_SETTLED_SECONDS = 3600.0
# Folders of what was made of a study, by revision.
_MADE = ("results", "pictures")
# When something could not go yet.
_AGAIN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Leftovers:
    """The files of the state directory, and the rows that may name them."""

    store: Store
    files: Files

    def clear_due(self, now: datetime, limit: int) -> int:
        """Take away what is due, of so many removals at most; returns how many there were."""
        if not self.files.absolute(INSTANCES).is_dir():
            # A volume that is not mounted: nothing in it is gone.
            log.error("no folder of instances; files of removed studies wait")
            return 0
        with self.store.reading() as session:
            rows = session.execute(
                select(Removal.id, Removal.study_uid, Removal.paths)
                .where(Removal.due_at <= now)
                .order_by(Removal.due_at)
                .limit(limit)
            ).all()
        for removal_id, study_uid, paths in rows:
            left = [path for path in paths if not self._clear(path, study_uid, now)]
            with self.store.writing() as session:
                removal = session.get_one(Removal, removal_id)
                removal.paths, removal.due_at = left, now + _AGAIN if left else None
        return len(rows)

    def _clear(self, relative: str, study_uid: str, now: datetime) -> bool:
        """Take away what may go of one path; whether nothing is left to do there."""
        if not _is_of(study_uid, relative):
            log.error("a removed study names what is not its own", extra={"path": relative})
            return False
        path = self.files.absolute(relative)
        try:
            if is_pack(relative):
                return self._clear_pack(path, relative, now)
            if relative.startswith(f"{INSTANCES}/"):
                return self._clear_instances(path, study_uid, now)
            _clear_folder(path)
        except OSError as error:
            facts = {"path": relative, "reason": error.strerror}
            log.error("files of a removed study cannot be taken away", extra=facts)
            return False
        return True

    def _clear_pack(self, path: Path, relative: str, now: datetime) -> bool:
        try:
            settled = _is_settled(path.stat(), now)
        except FileNotFoundError:
            return True
        if self._named(Instance.path == relative, Instance.pack_offset.is_not(None)):
            return True
        if settled:
            path.unlink(missing_ok=True)
            sync_folder(path.parent)
        return settled

    def _clear_instances(self, folder: Path, study_uid: str, now: datetime) -> bool:
        """Take away the files of a folder that no row names: the study may be there again."""
        with _folder(folder) as entries:
            # Before the rows are: what has lost its name in the spool by now is in them, or will
            # never be, whatever the clocks of this host and of the disk say.
            settled = {entry.name for entry in entries if _is_settled(entry.stat(), now)}
            named = self._names(study_uid)
            nameless = [entry for entry in entries if entry.name not in named]
            going = [entry for entry in nameless if entry.name in settled]
            for entry in going:
                Path(entry).unlink(missing_ok=True)
        return len(going) == len(nameless)

    def _names(self, study_uid: str) -> set[str]:
        with self.store.reading() as session:
            paths = session.scalars(select(Instance.path).where(Instance.study_uid == study_uid))
            return {Path(path).name for path in paths}

    def _named(self, *conditions: object) -> bool:
        with self.store.reading() as session:
            found = select(Instance.id).where(*conditions).limit(1)  # type: ignore[arg-type]
            return session.scalar(found) is not None


def _is_of(study_uid: str, relative: str) -> bool:
    """Whether a path has the form of what a study may have: its own folders, and packs."""
    kind, _, rest = relative.partition("/")
    if is_pack(relative):
        return "/" not in rest and rest not in ("", ".", "..")
    uid, _, revision = rest.partition("/")
    wanted = revision == "" if kind == INSTANCES else revision.isdecimal()
    return kind in (INSTANCES, *_MADE) and uid == study_uid and is_uid(uid) and wanted


def _clear_folder(folder: Path) -> None:
    with _folder(folder.parent), suppress(FileNotFoundError):
        shutil.rmtree(folder)


@contextmanager
def _folder(folder: Path) -> Iterator[list[os.DirEntry[str]]]:
    """The entries of a study's folder; afterwards what went is gone durably, and it if empty."""
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except FileNotFoundError:
        entries = []
    yield entries
    with suppress(FileNotFoundError):
        sync_folder(folder)
    with suppress(OSError):  # not empty
        folder.rmdir()
        sync_folder(folder.parent)


def _is_settled(facts: os.stat_result, now: datetime) -> bool:
    """Whether no process can be about to commit a row that names this file."""
    return facts.st_nlink == 1 and now.timestamp() - facts.st_ctime > _SETTLED_SECONDS
