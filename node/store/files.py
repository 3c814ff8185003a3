"""Files of the state directory: written whole or not at all, named by UIDs that were checked.

incoming/   <process>/   files of instances that are not committed yet, see `incoming.py`
scratch/    half-written files of everything else
instances/  <study>/<sop instance>.<random>.dcm   as received, never changed
packs/      <process>.<number>.pack   objects of medium size one after another, see `packs.py`
results/    <study>/<revision>/<sop instance>.dcm
pictures/   <study>/<revision>/<sop instance>.png
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from node.identifiers import is_uid

INSTANCES = "instances"
# Of what holds patients' data, less what the umask takes: nothing for other accounts.
FOLDER_MODE, FILE_MODE = 0o750, 0o640


class Files:
    """The state directory."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.incoming = self.root / "incoming"
        self.scratch = self.root / "scratch"

    def prepare(self) -> None:
        """Make the folders."""
        for name in ("incoming", "scratch", "instances", "packs", "results", "pictures"):
            make_durable_folder(self.root / name)

    def absolute(self, relative: str) -> Path:
        """The file behind a path of the database."""
        return self.root / relative

    def instance_path(self, study_uid: str, sop_instance_uid: str) -> str:
        """A new relative path for an instance, never given before.

        Other bytes may come under the same UID, and two processes may receive the same object at
        once: neither may touch the other's file.
        """
        name = f"{_safe(sop_instance_uid)}.{os.urandom(8).hex()}.dcm"
        return f"{self.instance_folder(study_uid)}/{name}"

    def instance_folder(self, study_uid: str) -> str:
        """Relative path of the folder of a study's instances."""
        return f"{INSTANCES}/{_safe(study_uid)}"

    def result_path(self, study_uid: str, revision: int, sop_instance_uid: str) -> str:
        """Relative path of a result object."""
        return f"results/{_safe(study_uid)}/{revision}/{_safe(sop_instance_uid)}.dcm"

    def picture_path(self, study_uid: str, revision: int, sop_instance_uid: str) -> str:
        """Relative path of the overlay picture of one source image."""
        return f"pictures/{_safe(study_uid)}/{revision}/{_safe(sop_instance_uid)}.png"

    def revision_folders(self, study_uid: str, revision: int) -> tuple[str, str]:
        """Relative paths of the folders of a revision's results and of its pictures."""
        below = f"{_safe(study_uid)}/{revision}"
        return f"results/{below}", f"pictures/{below}"

    def publish(self, temporary: Path, relative: str) -> None:
        """Make a complete file durable under its final name: fsync, rename, fsync of the folder."""
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        target = self.absolute(relative)
        name_in_folder(lambda: temporary.replace(target), target.parent)
        sync_folder(target.parent)

    def write(self, relative: str, content: bytes) -> None:
        """Write a file durably; an older one of that name is replaced in one step."""
        handle, name = tempfile.mkstemp(dir=self.scratch)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            self.publish(Path(name), relative)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def free_bytes(self) -> int:
        """Free disk for an ordinary user."""
        facts = os.statvfs(self.root)
        return facts.f_bavail * facts.f_frsize


def _safe(uid: str) -> str:
    if not is_uid(uid):
        raise ValueError("not a UID, so not a file name")
    return uid


def make_durable_folder(folder: Path) -> None:
    """Make a folder, and those above it, that will be there after a power loss."""
    if folder.is_dir():
        return
    make_durable_folder(folder.parent)
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    sync_folder(folder.parent)


def name_in_folder(give_name: Callable[[], object], folder: Path) -> None:
    """Make a folder and give a file a name in it.

    Retention removes the folder of a study that has become empty, perhaps at this moment; with the
    name in it, it stays. Raises OSError.
    """
    try:
        make_durable_folder(folder)
        give_name()
    except FileNotFoundError:
        make_durable_folder(folder)
        give_name()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
