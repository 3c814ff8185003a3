"""Stage 2: one C-STORE request becomes one durable instance, and only then a success.

In: a received file in `incoming/` with what the sender claimed about it. Out: a file under
`instances/`, its row, its study's deadline, all committed; then status 0x0000.

The order is: validate, fsync, rename, row, commit, answer. A crash before the commit leaves at most
an unacknowledged file that the sender will send again. Nothing is ever overwritten: the same bytes
again are a success, other bytes under a known SOP Instance UID are kept apart and reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pynetdicom.events import Event
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from node.errors import (
    DataSetMismatchError,
    OutOfResourcesError,
    RefusedError,
)
from node.header import Header, read_header
from node.job import record, utc_now
from node.logs import log
from node.routes import Routes
from node.settings import Settings
from node.store.files import Files, sha256_of
from node.store.session import Store
from node.store.tables import Instance
from node.study import open_study, register

SUCCESS = 0x0000
# PS3.4 Table B.2-1: the range for "cannot understand"; this one says that we failed, not the data.
PROCESSING_FAILURE = 0xC211


@dataclass(frozen=True, slots=True)
class Received:
    """One complete file and what its sender claimed (PS3.7 9.3.1.1)."""

    path: Path
    AffectedSOPClassUID: str
    AffectedSOPInstanceUID: str
    calling_ae_title: str
    peer_host: str


@dataclass(frozen=True, slots=True)
class Reception:
    """What storing needs; made once per process."""

    settings: Settings
    store: Store
    files: Files
    routes: Routes


def handle_store(event: Event, reception: Reception) -> int:
    """The DIMSE shell: every outcome becomes a status (PS3.4 B.2.3) and a log line."""
    received = _received(event)
    facts = {
        "sop_instance": received.AffectedSOPInstanceUID,
        "calling_ae_title": received.calling_ae_title,
    }
    try:
        outcome = store_instance(received, reception)
    except RefusedError as error:
        facts |= {"status": f"{error.status:04X}", "reason": str(error)}
        log.warning("instance refused", extra=facts)
        return error.status
    except Exception:  # noqa: BLE001  # the outer shell: never acknowledge, never lose the listener
        log.exception("instance not stored", extra=facts)
        return PROCESSING_FAILURE
    log.info("instance stored", extra=facts | {"outcome": outcome})
    return SUCCESS


def store_instance(received: Received, reception: Reception) -> str:
    """Make one instance durable; returns "new", "same" or "conflict". Raises RefusedError."""
    _check_space(reception)
    header = read_header(received.path)
    _check_claims(received, header)
    digest = sha256_of(received.path)
    try:
        return _keep(received, header, digest, reception)
    except (OSError, SQLAlchemyError) as error:
        raise OutOfResourcesError(
            f"disk or database cannot take it ({type(error).__name__}); send it again later"
        ) from error


def _keep(received: Received, header: Header, digest: str, reception: Reception) -> str:
    with reception.store.reading() as session:
        known = _digests(session, header.sop_instance_uid)
    if digest in known:
        return "same"
    relative = reception.files.instance_path(header.study_uid, header.sop_instance_uid, digest)
    size_bytes = received.path.stat().st_size
    reception.files.publish(received.path, relative)
    instance = _instance(received, header, reception.routes)
    instance.path, instance.size_bytes, instance.sha256 = relative, size_bytes, digest
    with reception.store.writing() as session:
        return _insert(session, instance, reception.settings)


def _insert(session: Session, instance: Instance, settings: Settings) -> str:
    study = open_study(session, instance.study_uid, instance.received_at)
    # Looked at again inside the transaction: another association may have been faster.
    known = _digests(session, instance.sop_instance_uid)
    if instance.sha256 in known:
        return "same"
    instance.conflict = bool(known)
    session.add(instance)
    session.flush()
    register(session, study, instance, settings)
    if instance.conflict:
        record(
            session,
            instance.study_uid,
            instance.revision or 0,
            "conflict",
            f"{instance.sop_instance_uid} came again with other content; kept apart",
        )
        return "conflict"
    return "new"


def _instance(received: Received, header: Header, routes: Routes) -> Instance:
    attributes = header.attributes | {"CallingAETitle": received.calling_ae_title}
    decision = routes.decide(attributes)
    return Instance(
        study_uid=header.study_uid,
        series_uid=header.series_uid,
        sop_instance_uid=header.sop_instance_uid,
        sop_class_uid=header.sop_class_uid,
        transfer_syntax_uid=header.transfer_syntax_uid,
        calling_ae_title=received.calling_ae_title,
        peer_host=received.peer_host,
        received_at=utc_now(),
        conflict=False,
        route=decision.route,
        models=list(decision.models),
        skip_reason=decision.skip_reason,
        attributes=attributes,
    )


def _digests(session: Session, sop_instance_uid: str) -> set[str]:
    return set(
        session.scalars(
            select(Instance.sha256).where(Instance.sop_instance_uid == sop_instance_uid)
        )
    )


def _check_space(reception: Reception) -> None:
    free = reception.files.free_bytes()
    if free < reception.settings.min_free_bytes:
        raise OutOfResourcesError(
            f"only {free} bytes of disk are free, below SENTINODE_MIN_FREE_BYTES; free some"
        )


def _check_claims(received: Received, header: Header) -> None:
    if header.sop_class_uid != received.AffectedSOPClassUID:
        raise DataSetMismatchError(
            f"the data set is of SOP class {header.sop_class_uid}, "
            f"the request said {received.AffectedSOPClassUID}"
        )
    if header.sop_instance_uid != received.AffectedSOPInstanceUID:
        raise DataSetMismatchError("SOPInstanceUID differs from Affected SOP Instance UID")


def _received(event: Event) -> Received:
    request: Any = event.request
    requestor = event.assoc.requestor
    return Received(
        path=event.dataset_path,
        AffectedSOPClassUID=str(request.AffectedSOPClassUID or ""),
        AffectedSOPInstanceUID=str(request.AffectedSOPInstanceUID or ""),
        calling_ae_title=str(requestor.ae_title).strip(),
        peer_host=str(requestor.address),
    )
