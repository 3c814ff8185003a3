"""What a store holds, looked at from outside, and whether rows and files agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import undefer

from node.settings import load_settings
from node.store.digest import digest_text, new_digest
from node.store.files import Files
from node.store.originals import Place, open_original, place_of
from node.store.session import Store, open_store
from node.store.tables import Instance
from tests.datasets import mammogram
from tests.peers.pipelining import MAMMOGRAPHY, PLAIN, Sender
from tests.peers.wire import encoded


@dataclass(frozen=True)
class Sent:
    """One object."""

    sop_instance_uid: str
    content: bytes


class Objects:
    """New objects of one size, each of a study of its own: one data set under other UIDs."""

    def __init__(self, size_px: tuple[int, int]) -> None:
        image = mammogram(size_px=size_px)
        self._uids = [str(image.SOPInstanceUID), str(image.StudyInstanceUID)]
        self._content = encoded(image)
        self._number = 0

    def new(self) -> Sent:
        """One more."""
        self._number += 1
        content, uids = self._content, []
        for uid in self._uids:
            uids.append(f"{uid[:-8]}{10_000_000 + self._number}")
            content = content.replace(uid.encode(), uids[-1].encode())
        return Sent(uids[0], content)


def store_all(port: int, objects: list[Sent], window: int | None = None) -> dict[str, int]:
    """Send them over one association; the status by UID of those that were answered."""
    answered: dict[str, int] = {}
    try:
        with Sender(port, PLAIN, window) as sender:
            if window is None:
                for number, each in enumerate(objects):
                    sender.store(number, MAMMOGRAPHY, each.sop_instance_uid, [each.content])
                    _, answered[each.sop_instance_uid] = sender.response()
            else:
                for number, each in enumerate(objects):
                    sender.store(number, MAMMOGRAPHY, each.sop_instance_uid, [each.content])
                for _ in objects:
                    number, status = sender.response()
                    answered[objects[number].sop_instance_uid] = status
            sender.release()
    except OSError:
        # The receiver has died; what it answered before counts.
        pass
    return answered


def assert_sound(values: Mapping[str, Any], acknowledged: list[Sent]) -> None:
    """Rows and files agree, nothing is in between, and what was acknowledged is there, whole."""
    settings = load_settings(**values)
    store = open_store(settings)
    try:
        with store.reading() as session:
            rows = list(session.scalars(select(Instance).options(undefer(Instance.content))))
    finally:
        store.close()
    contents = {row.sop_instance_uid: _data_set(settings.state_dir, row) for row in rows}
    assert len(contents) == len(rows), "an instance has two rows"
    for each in acknowledged:
        assert contents.get(each.sop_instance_uid) == each.content, "an acknowledged object is lost"
    named = {row.path for row in rows if row.path}
    assert files_of(settings.state_dir) == named, "a file without a row, or a row without a file"
    assert temporary_files(settings.state_dir) == []


def files_of(state_dir: Path) -> set[str]:
    """Files under instances/ and packs/."""
    found = [path for name in ("instances", "packs") for path in (state_dir / name).rglob("*")]
    return {str(path.relative_to(state_dir)) for path in found if path.is_file()}


def original(store: Store, state_dir: Path, instance_id: int) -> bytes:
    """The Part 10 file of an instance, wherever it stands."""
    with open_original(Files(state_dir), place_of(store, instance_id)) as stream:
        return stream.read()


def temporary_files(state_dir: Path) -> list[str]:
    """Files in the spool folders of all processes; open packs and locks are none."""
    found = (path for path in (state_dir / "incoming").rglob("*") if path.is_file())
    return [str(path) for path in found if path.suffix != ".pack" and path.name != ".lock"]


def _data_set(root: Path, row: Instance) -> bytes:
    place = Place(row.path, row.pack_offset, row.size_bytes, row.content)
    with open_original(Files(root), place) as stream:
        whole = stream.read()
    assert len(whole) == row.size_bytes, "a half object is visible"
    content = whole[row.dataset_offset :]
    digest = new_digest()
    digest.update(content)
    assert digest_text(digest) == row.digest
    return content
