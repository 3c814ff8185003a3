"""Results to an archive by DIMSE: C-STORE and C-FIND as an SCU, all on one association.

In: encoded objects on disk and a destination. Errors tell what to do next: no association or no
answer may heal, a refusal of the object does not. Each transfer syntax is proposed in a context of
its own, so that the archive's answer tells which of them it takes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import _config
from pynetdicom.association import Association

from node.calling import UNCOMPRESSED, Context, calling, patient
from node.destinations import Destination
from node.errors import (
    DestinationRefusedError,
    DestinationUnavailableError,
    ObjectPostponedError,
)
from node.settings import Settings
from workers.dicom.identity import Identity
from workers.dicom.transfer import in_syntax, syntaxes_for

# Without this pynetdicom decodes and re-encodes the whole object before it sends it.
_config.STORE_SEND_CHUNKED_DATASET = True

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"

# PS3.7 C.5.7, PS3.4 B.2.3: coercion, discarded elements and the like; the object is stored.
_WARNINGS = {0x0001, 0x0107, 0x0116, *range(0xB000, 0xC000)}
_DUPLICATE_SOP_INSTANCE = 0x0111  # it is there already, which is all that was wanted
_OUT_OF_RESOURCES = range(0xA700, 0xA800)
# PS3.7 annex C: processing failure, resource limitation. They speak of a moment, not of the object.
_PASSING = {0x0110, 0x0213}
_PENDING = (0xFF00, 0xFF01)


class Line:
    """One association to a destination, as long as its results are on the way."""

    def __init__(self, association: Association, destination: Destination) -> None:
        self.association = association
        self._destination = destination

    def accepted(self, sop_class_uid: str) -> list[str]:
        """Transfer syntaxes in which the archive takes a SOP class, as accepted."""
        contexts: Any = self.association.accepted_contexts
        return [
            str(each.transfer_syntax[0])
            for each in contexts
            if each.abstract_syntax == sop_class_uid
        ]

    def store(self, path: Path, identity: Identity) -> str:
        """Send one object in the best syntax that is taken; returns its UID.

        Raises DestinationUnavailableError, DestinationRefusedError, ObjectPostponedError.
        """
        accepted = self.accepted(identity.sop_class_uid)
        wanted = syntaxes_for(identity, self._destination)
        usable = [syntax for syntax in wanted if syntax in accepted]
        if not usable:
            names = ", ".join(UID(syntax).name for syntax in wanted)
            raise DestinationRefusedError(
                f"does not accept {UID(identity.sop_class_uid).name} in {names}"
            )
        for syntax in usable[:-1]:
            try:
                return self._store_in(syntax, path)
            except (DestinationRefusedError, ObjectPostponedError):
                # It accepted the syntax and cannot read it: the next one, then. Some archives say
                # "processing failure" (0110) of that.
                continue
        return self._store_in(usable[-1], path)

    def find(self, identity: Identity) -> bool:
        """Whether the archive lists the object at IMAGE level of the study root (PS3.4 C.6.2).

        Raises DestinationUnavailableError, DestinationRefusedError.
        """
        if not self.accepted(STUDY_ROOT_FIND):
            raise DestinationRefusedError("does not accept C-FIND; use another `confirm`")
        found = False
        for answer, match in self.association.send_c_find(_question(identity), STUDY_ROOT_FIND):
            status = answer.get("Status")
            if status in _PENDING and match is not None:
                found |= match.get("SOPInstanceUID") == identity.sop_instance_uid
            elif status is None:
                raise DestinationUnavailableError("no answer to C-FIND")
            elif status != 0:
                raise ObjectPostponedError(f"0x{status:04X} to C-FIND")
        return found

    def _store_in(self, syntax: str, path: Path) -> str:
        if not self.association.is_established:
            raise DestinationUnavailableError("has ended the association")
        peer = self._destination.peer
        with in_syntax(path, syntax) as sent, patient(self.association, peer):
            status = self.association.send_c_store(sent).get("Status")
        if status is None:
            raise DestinationUnavailableError("no answer to C-STORE")
        _check(status)
        return syntax


def storage_contexts(destination: Destination, identities: Collection[Identity]) -> list[Context]:
    """One presentation context for each SOP class in each syntax that may be sent."""
    pairs = {
        (identity.sop_class_uid, syntax): None
        for identity in identities
        for syntax in syntaxes_for(identity, destination)
    }
    return [(sop_class_uid, [syntax]) for sop_class_uid, syntax in pairs]


@contextmanager
def open_line(
    destination: Destination,
    contexts: Sequence[Context],
    settings: Settings,
    evt_handlers: Sequence[tuple[Any, ...]] = (),
) -> Iterator[Line]:
    """An association with these contexts, released at the end of the block.

    Raises DestinationUnavailableError, DestinationRefusedError, ConfigurationError.
    """
    with calling(destination.peer, contexts, settings, (), evt_handlers) as association:
        yield Line(association, destination)


def query_context() -> Context:
    """For `Line.find`."""
    return (STUDY_ROOT_FIND, UNCOMPRESSED)


def _question(identity: Identity) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID = identity.study_uid
    query.SeriesInstanceUID = identity.series_uid
    query.SOPInstanceUID = identity.sop_instance_uid
    return query


def _check(status: int) -> None:
    """PS3.4 table B.2-1."""
    if status == 0 or status in _WARNINGS or status == _DUPLICATE_SOP_INSTANCE:
        return
    if status in _OUT_OF_RESOURCES:
        raise DestinationUnavailableError(
            f"out of resources (0x{status:04X}); free space in the archive"
        )
    if status in _PASSING:
        raise ObjectPostponedError(f"C-STORE answered 0x{status:04X}")
    raise DestinationRefusedError(f"C-STORE answered 0x{status:04X}")
