"""Results to an archive by DIMSE: C-STORE, C-FIND and C-ECHO as an SCU.

In: an encoded object on disk and a destination. Bytes go out as they lie in the file. Errors tell
what to do next: no association or no answer may heal, a refusal of the object does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom.dataset import Dataset
from pynetdicom import AE, _config
from pynetdicom.association import Association

from node.destinations import Destination
from node.errors import DestinationRefusedError, DestinationUnavailableError
from workers.dicom.identity import Identity

# Without this pynetdicom decodes and re-encodes the whole object before it sends it.
_config.STORE_SEND_CHUNKED_DATASET = True

_VERIFICATION = "1.2.840.10008.1.1"
_STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"

_CONNECT_SECONDS = 10.0
# PS3.7 C.5.7, PS3.4 B.2.3: coercion, discarded elements and the like; the object is stored.
_WARNINGS = {0x0001, 0x0107, 0x0116, *range(0xB000, 0xC000)}
_DUPLICATE_SOP_INSTANCE = 0x0111  # it is there already, which is all that was wanted
_OUT_OF_RESOURCES = range(0xA700, 0xA800)
_PENDING = (0xFF00, 0xFF01)


def store(path: Path, identity: Identity, destination: Destination, ae_title: str) -> None:
    """Send one object.

    Raises DestinationUnavailableError, DestinationRefusedError.
    """
    context = (identity.sop_class_uid, identity.transfer_syntax_uid)
    with _association(destination, ae_title, *context) as association:
        status = association.send_c_store(path).get("Status")
    if status is None:
        raise DestinationUnavailableError(f"{destination.name}: no answer to C-STORE")
    if status == 0 or status in _WARNINGS or status == _DUPLICATE_SOP_INSTANCE:
        return
    if status in _OUT_OF_RESOURCES:
        raise DestinationUnavailableError(
            f"{destination.name}: out of resources (0x{status:04X}); free space in the archive"
        )
    raise DestinationRefusedError(f"{destination.name}: C-STORE answered 0x{status:04X}")


def find(identity: Identity, destination: Destination, ae_title: str) -> bool:
    """Whether the archive lists the object at IMAGE level of the study root (PS3.4 C.6.2)."""
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID = identity.study_uid
    query.SeriesInstanceUID = identity.series_uid
    query.SOPInstanceUID = identity.sop_instance_uid
    found = False
    with _association(destination, ae_title, _STUDY_ROOT_FIND) as association:
        for answer, match in association.send_c_find(query, _STUDY_ROOT_FIND):
            status = answer.get("Status")
            if status in _PENDING and match is not None:
                found |= match.get("SOPInstanceUID") == identity.sop_instance_uid
            elif status != 0:
                text = "no answer" if status is None else f"0x{status:04X}"
                raise DestinationUnavailableError(f"{destination.name}: {text} to C-FIND")
    return found


def echo(destination: Destination, ae_title: str) -> None:
    """C-ECHO. Raises DestinationUnavailableError, DestinationRefusedError."""
    with _association(destination, ae_title, _VERIFICATION) as association:
        if association.send_c_echo().get("Status") != 0:
            raise DestinationUnavailableError(f"{destination.name}: no answer to C-ECHO")


@contextmanager
def _association(
    destination: Destination,
    ae_title: str,
    abstract_syntax: str,
    transfer_syntax: str | None = None,
) -> Iterator[Association]:
    entity = AE(ae_title)
    entity.connection_timeout = min(_CONNECT_SECONDS, destination.timeout_seconds)
    entity.acse_timeout = entity.dimse_timeout = destination.timeout_seconds
    entity.network_timeout = destination.timeout_seconds
    if transfer_syntax is None:
        entity.add_requested_context(abstract_syntax)
    else:
        entity.add_requested_context(abstract_syntax, transfer_syntax)
    association = entity.associate(
        destination.host or "", destination.port or 0, ae_title=destination.ae_title or ""
    )
    try:
        _check_established(association, destination, abstract_syntax)
        yield association
    finally:
        if association.is_established:
            association.release()


def _check_established(association: Association, destination: Destination, syntax: str) -> None:
    where = f"{destination.name} ({destination.host}:{destination.port})"
    # With no context left pynetdicom aborts on its own, so look at the contexts first.
    if association.rejected_contexts:
        raise DestinationRefusedError(f"{where} does not accept {syntax} as we encode it")
    if association.is_rejected:
        answer = association.acceptor.primitive
        reason = getattr(answer, "reason_str", "no reason given")
        raise DestinationUnavailableError(
            f"{where} rejects the association: {reason}; check both AE titles there and here"
        )
    if not association.is_established:
        raise DestinationUnavailableError(f"{where} does not answer")
