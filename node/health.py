"""Health, proven by traffic where traffic is possible: heartbeats, and the checks behind readiness.

In: the database, the broker, the receiver's port, the disk. Out: one `Check` for each, with a text
that names what is wrong and no address, account or patient. A check never raises: what it cannot
reach is its result.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address

from pynetdicom import AE, VerificationPresentationContexts, evt
from pynetdicom.association import Association
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from node.doorbell import Doorbell
from node.job import ANALYSIS_QUEUE
from node.settings import Settings
from node.store.files import Files
from node.store.session import Store
from node.store.tables import Process
from node.store.version import found_migration, other_migration, wanted_migration
from node.upper_layer.requestor import hear_answers

RECEIVE, SWEEP, WORKER = "receive", "sweep", "worker"

# Loops beat every few seconds; half a minute of silence is a process that no longer turns.
FRESH_SECONDS = 30.0
# A probe must answer before its own caller gives up, which is 10 s for most orchestrators.
_REACH_SECONDS = 2.0
# PS3.8 table 9-21: a Result that is no refusal for good.
_TRANSIENT = 0x02


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be well. `text` says what was found."""

    name: str
    ok: bool
    text: str


def readiness(store: Store, files: Files, settings: Settings) -> list[Check]:
    """Everything that must be well for a study to come in and its results to go out."""
    return [
        check_migrations(store),
        check_broker(settings),
        check_receiver(store, settings),
        check_beat(store, SWEEP),
        check_beat(store, WORKER),
        check_disk(files, settings.min_free_bytes),
    ]


def check_migrations(store: Store) -> Check:
    """The database answers, and its tables are those that this version was written for."""
    try:
        found = found_migration(store)
    except SQLAlchemyError as error:
        return Check("database", False, f"does not answer ({type(error).__name__})")
    if found != wanted_migration():
        return Check("database", False, other_migration(found))
    return Check("database", True, f"at migration {found}")


def check_broker(settings: Settings) -> Check:
    """The broker answers."""
    doorbell = Doorbell(settings)
    waiting = doorbell.waiting(ANALYSIS_QUEUE)
    doorbell.close()
    if waiting is None:
        return Check("broker", False, "does not answer; nothing is lost, but nothing is started")
    return Check("broker", True, f"answers; {waiting} analyses wait")


def check_receiver(store: Store, settings: Settings) -> Check:
    """The receiver's loop turns and, where it can only be on this machine, it answers a C-ECHO.

    With TLS alone there is no port that could be asked without a client's certificate.
    """
    check = check_beat(store, RECEIVE)
    if check.ok and settings.dicom_plain and _is_loopback(settings.dicom_host):
        return check_echo(settings)
    return check


def check_echo(settings: Settings) -> Check:
    """The listener on this machine answers an association request.

    A rejection is an answer too: the allow-list need not name the node's own AE title.
    """
    host = settings.dicom_host if _is_loopback(settings.dicom_host) else "127.0.0.1"
    entity = AE(ae_title=settings.ae_title)
    entity.connection_timeout = entity.acse_timeout = _REACH_SECONDS
    entity.dimse_timeout = entity.network_timeout = _REACH_SECONDS
    entity.requested_contexts = VerificationPresentationContexts
    association = entity.associate(
        host,
        settings.dicom_port,
        ae_title=settings.ae_title,
        evt_handlers=[(evt.EVT_CONN_OPEN, hear_answers)],
    )
    if association.is_rejected:
        return Check(RECEIVE, True, _rejection(association))
    if not association.is_established:
        return Check(RECEIVE, False, f"no DICOM listener on port {settings.dicom_port}")
    try:
        status = association.send_c_echo().get("Status")
    except RuntimeError:  # it has ended since
        return Check(RECEIVE, False, "ends an association before its C-ECHO")
    association.release()
    return Check(RECEIVE, status == 0x0000, f"answers C-ECHO with status {status}")


def _rejection(association: Association) -> str:
    answer = association.acceptor.primitive
    if answer is not None and answer.result == _TRANSIENT:
        return "answers, and has as many associations as it may"
    return "answers, and refuses the node's own AE title"


def check_beat(store: Store, role: str) -> Check:
    """At least one process of this role has turned its loop lately."""
    try:
        with store.reading() as session:
            last = session.scalar(select(func.max(Process.beat_at)).where(Process.role == role))
    except SQLAlchemyError:
        return Check(role, False, "unknown; see what is said of the database")
    if last is None:
        return Check(role, False, f"no such process yet; start `sentinode run {role}`")
    age_seconds = (datetime.now(UTC) - last).total_seconds()
    return Check(role, age_seconds < FRESH_SECONDS, f"last beat {age_seconds:.0f} s ago")


def check_disk(files: Files, min_free_bytes: int) -> Check:
    """There is room for another study."""
    try:
        free_bytes = files.free_bytes()
    except OSError as error:
        return Check("disk", False, f"the state directory cannot be read ({error.strerror})")
    text = f"{free_bytes / 1e9:.1f} GB free, {min_free_bytes / 1e9:.1f} GB needed"
    return Check("disk", free_bytes >= min_free_bytes, text)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
