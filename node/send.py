"""Sending files by C-STORE, as a modality would.

In: paths. Out: one outcome per instance. Every file's own transfer syntax is proposed, so nothing
is re-encoded.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pynetdicom import AE, evt
from pynetdicom.association import Association

from node.errors import ConfigurationError, DestinationUnavailableError
from node.identifiers import AETitle, read_ae_title
from node.upper_layer.requestor import hear_answers

# PS3.8 9.3.2.2: presentation context ids are odd and below 256, so 128 per association.
_CONTEXTS_PER_ASSOCIATION = 128
_TIMEOUT_SECONDS = 30.0
_LAST_PORT = 65535
_PEER = re.compile(r"([^@]+)@([^@:\s]+|\[[0-9a-fA-F:]+\]):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Peer:
    """A DICOM application entity and where it listens."""

    ae_title: AETitle
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Sendable:
    """One file and what must be negotiated for it."""

    path: Path
    sop_class_uid: str
    transfer_syntax_uid: str
    study_uid: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the peer said of one instance."""

    path: Path
    accepted: bool
    text: str
    # Stored, but not as the sender might think: the text says how.
    warned: bool = False


def parse_peer(text: str) -> Peer:
    """Read AE@HOST:PORT. Raises ConfigurationError."""
    match = _PEER.fullmatch(text)
    title = _title(match[1]) if match else None
    if match is None or title is None or not 1 <= int(match[3]) <= _LAST_PORT:
        raise ConfigurationError(
            f"'{text}' is not AE@HOST:PORT, for example SENTINODE@10.0.0.5:11112; an AE title has "
            f"1 to 16 ASCII characters, a port is 1 to {_LAST_PORT}"
        )
    return Peer(title, match[2].strip("[]"), int(match[3]))


def parse_ae_title(text: str) -> AETitle:
    """Read the AE title of a caller. Raises ConfigurationError."""
    title = _title(text)
    if title is None:
        raise ConfigurationError(f"'{text}' is no AE title: 1 to 16 ASCII characters, no backslash")
    return title


def _title(text: str) -> AETitle | None:
    """None where it is none; "@" ends one here, though the standard allows it."""
    try:
        return None if "@" in text else read_ae_title(text)
    except ValueError:
        return None


def find_instances(paths: Iterable[Path]) -> list[Sendable]:
    """All DICOM files among the paths; folders are searched, other files in them passed over.

    Raises ConfigurationError for a file named outright that is not DICOM, for one that may not be
    read, or when nothing is found.
    """
    found: list[Sendable] = []
    for path in paths:
        if path.is_dir():
            _require_readable(path)
            inside = (_sendable(file) for file in sorted(path.rglob("*")) if file.is_file())
            found += [item for item in inside if item is not None]
            continue
        named = _sendable(path)
        if named is None:
            raise ConfigurationError(f"{path} is not a DICOM file with a SOP class (PS3.10)")
        found.append(named)
    if not found:
        raise ConfigurationError("no DICOM file found in what was named")
    return found


def send_instances(
    instances: Sequence[Sendable],
    peer: Peer,
    ae_title: str,
    advance: Callable[[], Any] = lambda: None,
) -> list[Outcome]:
    """Send all; `advance` is called after each. Raises DestinationUnavailableError."""
    outcomes: list[Outcome] = []
    for batch in _batches(instances):
        association = _associate(batch, peer, ae_title)
        try:
            for instance in batch:
                outcomes.append(_store(association, instance))
                advance()
        finally:
            association.release()
    return outcomes


def _require_readable(folder: Path) -> None:
    """`rglob` passes over folders that it may not enter: their images would be missing silently."""

    def refuse(error: OSError) -> NoReturn:
        raise _unreadable(error) from error

    for _ in os.walk(folder, onerror=refuse):
        pass


def _unreadable(error: OSError) -> ConfigurationError:
    return ConfigurationError(f"{error.filename} cannot be read: {error.strerror}")


def _sendable(path: Path) -> Sendable | None:
    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=["StudyInstanceUID"])
    except InvalidDicomError:
        return None
    except OSError as error:
        if isinstance(error, PermissionError):
            raise _unreadable(error) from error
        return None
    meta = header.file_meta
    if "MediaStorageSOPClassUID" not in meta or "TransferSyntaxUID" not in meta:
        return None
    return Sendable(
        path,
        str(meta.MediaStorageSOPClassUID),
        str(meta.TransferSyntaxUID),
        str(header.get("StudyInstanceUID") or ""),
    )


def _contexts(instances: Iterable[Sendable]) -> set[tuple[str, str]]:
    return {(item.sop_class_uid, item.transfer_syntax_uid) for item in instances}


def _batches(instances: Sequence[Sendable]) -> Iterable[list[Sendable]]:
    batch: list[Sendable] = []
    contexts: set[tuple[str, str]] = set()
    for instance in instances:
        contexts |= _contexts([instance])
        if len(contexts) > _CONTEXTS_PER_ASSOCIATION:
            yield batch
            batch, contexts = [], _contexts([instance])
        batch.append(instance)
    yield batch


def _associate(batch: Sequence[Sendable], peer: Peer, ae_title: str) -> Association:
    entity = AE(ae_title=ae_title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = _TIMEOUT_SECONDS
    for sop_class_uid, transfer_syntax_uid in sorted(_contexts(batch)):
        entity.add_requested_context(sop_class_uid, transfer_syntax_uid)
    try:
        association = entity.associate(
            peer.host,
            peer.port,
            ae_title=peer.ae_title,
            evt_handlers=[(evt.EVT_CONN_OPEN, hear_answers)],
        )
    except OSError as error:  # the host name does not resolve
        raise DestinationUnavailableError(
            f"no association with {peer.ae_title} at {peer.host}:{peer.port}: {error.strerror}"
        ) from error
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        raise DestinationUnavailableError(
            f"{peer.ae_title} at {peer.host}:{peer.port} rejects {ae_title}: "
            f"{answer.reason_str}; have this calling AE title allowed "
            "there, or call by another (--from)"
        )
    if not association.is_established:
        raise DestinationUnavailableError(
            f"no association with {peer.ae_title} at {peer.host}:{peer.port}; is it running, and "
            "is that its port without TLS?"
        )
    return association


def _store(association: Association, instance: Sendable) -> Outcome:
    try:
        answer = association.send_c_store(instance.path)
    except (ValueError, RuntimeError, AttributeError) as error:
        return Outcome(instance.path, False, str(error))
    status = answer.get("Status")
    if status is None:
        return Outcome(instance.path, False, "no answer: the association was lost")
    # PS3.4 B.2.3: 0x0000 is success, 0xBxxx are warnings, stored all the same.
    warned = status >> 12 == 0xB
    parts = (f"status {status:04X}", str(answer.get("ErrorComment") or ""))
    text = ": ".join(part for part in parts if part)
    return Outcome(instance.path, status == 0x0000 or warned, text, warned)
