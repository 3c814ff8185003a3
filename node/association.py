"""Stage 1: who may connect, with which contexts, and the listeners themselves.

In: TCP connections. Out: C-ECHO answered here, data sets of C-STORE handed to the inbox, other
services to their modules. Every transfer syntax that pydicom knows is accepted and kept as
received: an eligible image may travel with objects that nobody analyses, and refusing those would
make the sender retry the whole study.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

from pydicom.uid import AllTransferSyntaxes
from pynetdicom import VerificationPresentationContexts, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_GET, C_MOVE, N_ACTION, N_EVENT_REPORT
from pynetdicom.presentation import PresentationContext
from pynetdicom.service_class_n import StorageCommitmentServiceClass
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made when it is imported
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from node.access import host_allowed, plain_host
from node.calling import UNCOMPRESSED
from node.commitment.event_report import STORAGE_COMMITMENT
from node.commitment.provider import Archive, CommitmentProvider
from node.commitment.receipt import ReportReceiver
from node.errors import ConfigurationError, SopClassNotSupportedError
from node.instance import SUCCESS, Claim, Inbox, Reception
from node.logs import log
from node.query.find import handle_find
from node.retrieve.provider import serve_retrieval
from node.retrieve.roles import offer_roles
from node.settings import Settings
from node.sop_classes import storage_classes
from node.store.incoming import Incoming
from node.tls import ServerTls
from node.upper_layer.acceptor import ReceivingEntity
from node.upper_layer.command_set import StoreRequest
from node.upper_layer.connection import Deadlines
from node.upper_layer.fairness import Turns
from node.upper_layer.messages import Answer
from node.upper_layer.provider import StreamingProvider
from node.upper_layer.server import Acceptance, Listener
from node.upper_layer.sharing import Shared, Tally, share

_STUDY_ROOT = (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelGet,
)
# PS3.7 A.2.1.
_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
# PS3.8 table 9-21: result, source, reason.
_APPLICATION_CONTEXT_NOT_SUPPORTED = (0x01, 0x01, 0x02)
_CALLING_AE_NOT_RECOGNISED = (0x01, 0x01, 0x03)
_LOCAL_LIMIT_EXCEEDED = (0x02, 0x03, 0x02)


class StoreDoor:
    """The DIMSE door of the inbox."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._sop_classes = frozenset(
            storage_classes(inbox.reception.settings.dicom_storage_classes)
        )

    def open(
        self, request: StoreRequest, context: PresentationContext, association: Association
    ) -> Incoming:
        """Begin one data set."""
        requestor, provider = association.requestor, cast(StreamingProvider, association.dul)
        claim = Claim(
            AffectedSOPClassUID=request.AffectedSOPClassUID,
            AffectedSOPInstanceUID=request.AffectedSOPInstanceUID,
            transfer_syntax_uid=str(context.transfer_syntax[0]),
            calling_ae_title=requestor.ae_title.strip(),
            # As hosts are counted and refused: one that a dual-stack socket shows otherwise, too.
            peer_host=provider.connection.host,
            move_originator_ae_title=request.MoveOriginatorApplicationEntityTitle,
        )
        if request.AffectedSOPClassUID != context.abstract_syntax:
            text = "SOP class is not that of the presentation context"
            return Incoming.refused(SopClassNotSupportedError(text), claim)
        if request.AffectedSOPClassUID not in self._sop_classes:
            # Of C-ECHO, C-FIND and the like: accepted here, and not to be stored.
            return Incoming.refused(SopClassNotSupportedError("not a storage SOP class"), claim)
        return self._inbox.open(claim)

    def settle(self, sinks: Sequence[Any]) -> list[Answer]:
        """Make them durable and say what to answer."""
        return [Answer(each.status, each.comment) for each in self._inbox.settle(sinks)]


def share_ports(settings: Settings, processes: int) -> Shared:
    """Bind the ports for several processes. Raises ConfigurationError."""
    try:
        return share([(settings.dicom_host, port) for port, _ in _ports(settings)], processes)
    except OSError as error:
        raise _cannot_listen(settings, error) from error


def open_listeners(inbox: Inbox, shared: Shared | None = None) -> list[Listener]:
    """Serve on the ports in threads; call `shutdown()` on each to end.

    They are bound here, unless they are shared with other processes. Raises ConfigurationError
    when a port is taken or a certificate cannot be read.
    """
    settings = inbox.reception.settings
    entity, handlers = application_entity(settings), _handlers(inbox)
    entity.tally = Tally(shared)
    retrieval = partial(serve_retrieval, reception=inbox.reception)
    entity.services = {C_GET: retrieval, C_MOVE: retrieval}
    entity.services |= {N_ACTION: _serve_commitment, N_EVENT_REPORT: _serve_commitment}
    opened: list[Listener] = []
    turns = Turns() if shared is None else Turns.among_processes(shared.competing_until)
    for port, tls in _ports(settings):
        acceptance = _acceptance(inbox, settings, tls)
        acceptance = replace(
            acceptance, turns=turns, port=None if shared is None else shared.ports[port]
        )
        try:
            address = (settings.dicom_host, port)
            opened.append(Listener(entity, address, acceptance, handlers))
        except OSError as error:
            raise _cannot_listen(settings, error) from error
    for each in opened:
        each.start()
    return opened


def _cannot_listen(settings: Settings, error: OSError) -> ConfigurationError:
    ports = ", ".join(str(port) for port, _ in _ports(settings))
    return ConfigurationError(
        f"cannot listen on {settings.dicom_host}, port {ports} ({error.strerror}); "
        "free the port or set SENTINODE_DICOM_HOST / SENTINODE_DICOM_PORT"
    )


def application_entity(settings: Settings) -> ReceivingEntity:
    """The AE with every context that is accepted."""
    entity = ReceivingEntity(ae_title=settings.ae_title)
    entity.maximum_associations = settings.dicom_max_associations
    entity.maximum_pdu_size = settings.dicom_max_pdu_bytes
    entity.acse_timeout = settings.dicom_request_timeout_seconds
    entity.network_timeout = settings.dicom_network_timeout_seconds
    entity.dimse_timeout = settings.dicom_network_timeout_seconds
    entity.require_calling_aet = list(settings.dicom_allowed_ae_titles)
    entity.require_called_aet = settings.dicom_require_called_ae_title
    entity.supported_contexts = VerificationPresentationContexts
    for sop_class_uid in storage_classes(settings.dicom_storage_classes):
        entity.add_supported_context(sop_class_uid, AllTransferSyntaxes)
    for sop_class_uid in _STUDY_ROOT:
        # Not deflated: an identifier that inflates without end would cost memory.
        entity.add_supported_context(sop_class_uid, list(UNCOMPRESSED))
    entity.add_supported_context(STORAGE_COMMITMENT, list(UNCOMPRESSED))
    return entity


def _ports(settings: Settings) -> list[tuple[int, ServerTls | None]]:
    ports: list[tuple[int, ServerTls | None]] = []
    if settings.dicom_plain:
        ports.append((settings.dicom_port, None))
    if settings.dicom_tls_port is not None:
        ports.append((settings.dicom_tls_port, ServerTls(settings)))
    elif settings.dicom_tls_client_ca is not None:
        raise ConfigurationError(
            "SENTINODE_DICOM_TLS_CLIENT_CA is set and there is no SENTINODE_DICOM_TLS_PORT, so "
            "nobody would be asked for a certificate; set the port, or empty the CA"
        )
    if not ports:
        raise ConfigurationError("SENTINODE_DICOM_PLAIN is off and there is no DICOM_TLS_PORT")
    return ports


def _acceptance(inbox: Inbox, settings: Settings, tls: ServerTls | None) -> Acceptance:
    return Acceptance(
        service=StoreDoor(inbox),
        deadlines=Deadlines(
            pdu_seconds=settings.dicom_pdu_timeout_seconds,
            association_seconds=settings.dicom_association_timeout_seconds,
            request_seconds=settings.dicom_request_timeout_seconds,
            largest_streamed_pdu_bytes=settings.dicom_max_pdu_bytes,
        ),
        async_operations=settings.dicom_async_operations,
        handshake_seconds=settings.dicom_request_timeout_seconds,
        max_connections=settings.dicom_max_associations,
        max_connections_per_host=settings.dicom_max_associations_per_host,
        tls=None if tls is None else tls.context,
        notice=_log_refused,
    )


def _handlers(inbox: Inbox) -> list[Any]:
    reception = inbox.reception
    archive = Archive(reception.settings, reception.store, reception.files, reception.peers)
    return [
        (evt.EVT_REQUESTED, _check_request, [reception]),
        (evt.EVT_REJECTED, _log_rejected),
        (evt.EVT_C_ECHO, _answer_echo),
        (evt.EVT_RELEASED, _tell_end, ["released"]),
        (evt.EVT_ABORTED, _tell_end, ["aborted"]),
        (evt.EVT_C_FIND, handle_find, [reception]),
        (evt.EVT_N_ACTION, CommitmentProvider(archive).handle),
        (evt.EVT_N_EVENT_REPORT, ReportReceiver(reception.store, reception.settings).handle),
    ]


def _check_request(event: evt.Event, reception: Reception) -> None:
    host, settings = plain_host(event.assoc.requestor.address), reception.settings
    if not host_allowed(host, settings.dicom_allowed_networks):
        _reject(event.assoc, host, _CALLING_AE_NOT_RECOGNISED, "host not allowed")
        return
    association: Any = event.assoc
    if association.requestor.primitive.application_context_name != _APPLICATION_CONTEXT:
        text = "application context is not that of DICOM"
        _reject(association, host, _APPLICATION_CONTEXT_NOT_SUPPORTED, text)
        return
    of_host, of_all = association.enter(host)
    if of_host > settings.dicom_max_associations_per_host:
        association.leave()
        _reject(event.assoc, host, _LOCAL_LIMIT_EXCEEDED, "too many associations of this host")
    elif of_all > settings.dicom_max_associations:
        association.leave()
        _reject(event.assoc, host, _LOCAL_LIMIT_EXCEEDED, "too many associations")
    else:
        offer_roles(event.assoc, reception.store)


def _reject(association: Association, host: str, reason: tuple[int, int, int], text: str) -> None:
    log.warning(f"association rejected: {text}", extra={"peer_host": host})
    association.acse.send_reject(*reason)
    association.kill()


def _log_rejected(event: evt.Event) -> None:
    """Say which of PS3.8 table 9-21 it was: result, source, reason."""
    association, answer = event.assoc, event.assoc.acceptor.primitive
    assert answer is not None
    facts = {
        "peer_host": plain_host(association.requestor.address),
        "calling_ae_title": association.requestor.ae_title,
        "reason": f"{answer.result}-{answer.result_source}-{answer.diagnostic}",
    }
    log.warning("association rejected", extra=facts)


def _log_refused(host: str, reason: str) -> None:
    log.warning("connection dropped", extra={"peer_host": host, "reason": reason})


def _tell_end(event: evt.Event, how: str) -> None:
    """One line for an association that stored something: how many, by status."""
    provider: Any = event.assoc.dul
    answered = provider.stream.answered
    if answered:
        title = event.assoc.requestor.ae_title.strip()
        statuses = {f"{status:04X}": count for status, count in sorted(answered.items())}
        facts = {"calling_ae_title": title, "peer_host": provider.connection.host}
        log.info(f"association {how}", extra=facts | {"stored_by_status": statuses})


def _serve_commitment(
    association: Association, request: N_ACTION | N_EVENT_REPORT, context: PresentationContext
) -> None:
    """pynetdicom would choose by the class of the request, and answer one of storage as C-STORE."""
    StorageCommitmentServiceClass(association).SCP(request, context)


def _answer_echo(_event: evt.Event) -> int:
    return SUCCESS
