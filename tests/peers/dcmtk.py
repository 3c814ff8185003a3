"""DCMTK's receivers of Debian: storescp and dcmrecv, each an archive that keeps files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import pydicom
from pydicom.dataset import FileDataset

from stack.process import running
from tests.peers.certificates import Certificate
from tests.peers.ports import free_port, listens

INSTALL = "apt-get install dcmtk"


@dataclass(frozen=True)
class Receiver:
    """A running one."""

    process: Popen[bytes]
    port: int
    folder: Path

    def kept(self) -> list[FileDataset]:
        """What it has stored."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return [pydicom.dcmread(path) for path in sorted(files)]


def missing(program: str) -> str | None:
    """What to install, or None."""
    return None if shutil.which(program) else f"{program} is not installed: {INSTALL}"


@contextmanager
def running_dcmtk(
    program: str, folder: Path, *options: str, certificate: Certificate | None = None
) -> Iterator[Receiver]:
    """Run one that stores under `folder`, over TLS when it has a certificate."""
    kept = folder / "kept"
    kept.mkdir(exist_ok=True)
    port = free_port()
    tls: list[str] = []
    if certificate is not None:
        tls = ["+tls", str(certificate.key), str(certificate.chain), "+cf", str(certificate.ca)]
    argv = [program, *tls, *options, "-od", str(kept), str(port)]
    with running(argv, folder / f"{program}.log", lambda: listens(port)) as process:
        yield Receiver(process, port, kept)
