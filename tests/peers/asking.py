"""An archive that asks: DCMTK's findscu, movescu and getscu, and a storage SCP that keeps bytes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from tests.peers.ports import free_port


def _run(tool: str, port: int, options: Sequence[str], keys: Sequence[str]) -> tuple[int, str]:
    argv = [tool, "-v", "-S", "-aec", "SENTINODE", *options]
    argv += [part for key in keys for part in ("-k", key)]
    done = subprocess.run(
        [*argv, "127.0.0.1", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
    )
    return done.returncode, done.stdout.decode(errors="replace")


def findscu(port: int, folder: Path, *keys: str) -> list[Dataset]:
    """Ask with DCMTK; `folder` takes the answers."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("rsp*.dcm"):
        old.unlink()
    code, said = _run("findscu", port, ("-X", "-od", str(folder)), keys)
    assert code == 0, said
    return [dcmread(path) for path in sorted(folder.glob("rsp*.dcm"))]


def movescu(port: int, destination: str, *keys: str) -> tuple[int, str]:
    """Move with DCMTK; returns its exit code and what it said."""
    return _run("movescu", port, ("-aem", destination), keys)


def getscu(port: int, folder: Path, *keys: str, options: Sequence[str] = ()) -> tuple[int, str]:
    """Get with DCMTK into `folder`, bit-preserving; returns its exit code and what it said."""
    folder.mkdir(parents=True, exist_ok=True)
    return _run("getscu", port, ("+B", "-od", str(folder), *options), keys)


def identifier(level: str, **keys: Any) -> Dataset:
    """An identifier with these keys."""
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


@contextmanager
def asking(
    port: int, storage: Sequence[tuple[str, str]] = (), **options: Any
) -> Iterator[Association]:
    """An association of the AE `PACS` for all three services.

    storage: (SOP class, transfer syntax) of contexts that it offers to be the SCP of, for C-GET.
    """
    entity = AE("PACS")
    for model in (
        StudyRootQueryRetrieveInformationModelFind,
        StudyRootQueryRetrieveInformationModelMove,
        StudyRootQueryRetrieveInformationModelGet,
    ):
        entity.add_requested_context(model, ExplicitVRLittleEndian)
    for sop_class, syntax in storage:
        entity.add_requested_context(sop_class, syntax)
    roles = [build_role(sop_class, scp_role=True) for sop_class in {each for each, _ in storage}]
    association = entity.associate("127.0.0.1", port, ext_neg=roles, **options)
    assert association.is_established
    yield association
    association.release()
    assert association.is_released, "the node ended the association"


def find(association: Association, asked: Dataset) -> list[tuple[int, Dataset | None]]:
    """C-FIND: every response."""
    model = StudyRootQueryRetrieveInformationModelFind
    return [(int(status.Status), said) for status, said in association.send_c_find(asked, model)]


def move(
    association: Association, destination: str, asked: Dataset
) -> list[tuple[Dataset, Dataset | None]]:
    """C-MOVE: every response."""
    return list(
        association.send_c_move(asked, destination, StudyRootQueryRetrieveInformationModelMove)
    )


def get(association: Association, asked: Dataset) -> list[tuple[Dataset, Dataset | None]]:
    """C-GET: every response."""
    return list(association.send_c_get(asked, StudyRootQueryRetrieveInformationModelGet))


@dataclass(frozen=True)
class Stored:
    """One object as it came over the wire."""

    encoded: bytes
    transfer_syntax_uid: str
    originator: str | None
    originator_message_id: int | None


@dataclass
class Keeper:
    """A storage SCP; `answer` says the status of each C-STORE, and may wait."""

    ae_title: str
    port: int = field(default_factory=free_port)
    stored: dict[str, Stored] = field(default_factory=dict)
    answer: Any = lambda _event: 0x0000

    def keep(self, event: evt.Event) -> int:
        """Take one object."""
        request: Any = event.request
        self.stored[str(request.AffectedSOPInstanceUID)] = Stored(
            request.DataSet.getvalue(),
            str(event.context.transfer_syntax),
            request.MoveOriginatorApplicationEntityTitle,
            request.MoveOriginatorMessageID,
        )
        return int(self.answer(event))

    @contextmanager
    def listening(
        self, contexts: Sequence[tuple[str, Sequence[str]]], max_pdu: int = 16382
    ) -> Iterator[None]:
        """Accept these contexts inside the block."""
        entity = AE(self.ae_title)
        entity.maximum_pdu_size = max_pdu
        for sop_class, syntaxes in contexts:
            entity.add_supported_context(sop_class, list(syntaxes))
        server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self.keep)]
        )
        assert server is not None
        try:
            yield
        finally:
            server.shutdown()
