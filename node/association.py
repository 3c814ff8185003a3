"""Stage 1: who may connect, with which contexts, and the listener itself.

In: TCP connections. Out: C-ECHO answered here, C-STORE requests handed to `instance`.
Every storage SOP class is accepted in every transfer syntax that pydicom knows, kept as received:
an eligible image may travel with objects that nobody analyses, and refusing those would make the
sender retry the whole study.
"""

from __future__ import annotations

import ipaddress
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from pydicom.uid import AllTransferSyntaxes
from pynetdicom import (
    AE,
    AllStoragePresentationContexts,
    VerificationPresentationContexts,
    _config,
    evt,
)
from pynetdicom.transport import ThreadedAssociationServer

from node.errors import ConfigurationError
from node.instance import SUCCESS, Reception, handle_store
from node.logs import log
from node.settings import Settings

# PS3.8 9.3.4: rejected permanently, by the service user, calling AE title not recognised.
_REJECTED_PERMANENT, _SERVICE_USER, _CALLING_AE_NOT_RECOGNISED = 0x01, 0x01, 0x03


def open_listener(reception: Reception) -> ThreadedAssociationServer:
    """Bind the port and serve associations in threads; call `shutdown()` on what is returned.

    Raises ConfigurationError when the port is taken.
    """
    settings = reception.settings
    # Data sets are streamed to disk as they arrive, on the file system where they will stay, so
    # that publishing one is a rename.
    _config.STORE_RECV_CHUNKED_DATASET = True
    tempfile.tempdir = str(reception.files.incoming)
    entity = application_entity(settings)
    try:
        server = entity.start_server(
            (settings.dicom_host, settings.dicom_port),
            block=False,
            evt_handlers=[
                (evt.EVT_C_ECHO, _answer_echo),
                (evt.EVT_C_STORE, partial(_answer_store, reception=reception)),
                (evt.EVT_REQUESTED, _check_host, [settings]),
                (evt.EVT_CONN_CLOSE, _discard_partial),
            ],
        )
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {settings.dicom_host}:{settings.dicom_port} ({error.strerror}); "
            "free the port or set SENTINODE_DICOM_HOST / SENTINODE_DICOM_PORT"
        ) from error
    assert server is not None
    return server


def application_entity(settings: Settings) -> AE:
    """The AE with every storage context."""
    entity = AE(ae_title=settings.ae_title)
    entity.maximum_associations = settings.dicom_max_associations
    entity.maximum_pdu_size = settings.dicom_max_pdu_bytes
    entity.network_timeout = settings.dicom_network_timeout_seconds
    entity.require_calling_aet = list(settings.dicom_allowed_ae_titles)
    entity.require_called_aet = False
    entity.supported_contexts = VerificationPresentationContexts
    for context in AllStoragePresentationContexts:
        assert context.abstract_syntax is not None
        entity.add_supported_context(context.abstract_syntax, AllTransferSyntaxes)
    return entity


def host_allowed(host: str, networks: tuple[str, ...]) -> bool:
    """Whether a peer's address lies in one of the networks; no networks allow every host."""
    if not networks:
        return True
    address = ipaddress.ip_address(host)
    return any(address in ipaddress.ip_network(network, strict=False) for network in networks)


def _check_host(event: evt.Event, settings: Settings) -> None:
    host = str(event.assoc.requestor.address)
    if host_allowed(host, settings.dicom_allowed_networks):
        return
    log.warning("association rejected: host not allowed", extra={"peer_host": host})
    event.assoc.acse.send_reject(_REJECTED_PERMANENT, _SERVICE_USER, _CALLING_AE_NOT_RECOGNISED)
    event.assoc.kill()


def _answer_echo(_event: evt.Event) -> int:
    return SUCCESS


def _answer_store(event: evt.Event, reception: Reception) -> int:
    return handle_store(event, reception)


def _discard_partial(event: evt.Event) -> None:
    """Remove the temporary file of a data set whose association ended in the middle of it.

    pynetdicom removes it only after a handler has run; the half-received message hangs on the
    association's DIMSE provider.
    """
    message: Any = event.assoc.dimse.message
    path = getattr(message, "_data_set_path", None)
    if isinstance(path, Path):
        path.unlink(missing_ok=True)
