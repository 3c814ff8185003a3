"""One part of a request: a Part 10 file whose head says what it is (PS3.10 7.1).

In: the bytes of the part. Out: its data set, to the inbox, untouched. The head is gathered, within
a bound, until the File Meta Information tells what the sender claims.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from pydicom.uid import AllTransferSyntaxes

from node.errors import (
    CannotUnderstandError,
    RefusedError,
    SopClassNotSupportedError,
    TransferSyntaxNotSupportedError,
)
from node.header import read_file_meta
from node.settings import Settings
from node.sop_classes import storage_classes
from node.store.incoming import Claim, Incoming

# Stands for the calling AE title, which HTTP has not.
SENDER_NAME = "STOW-RS"
# Preamble and File Meta Information are some hundred bytes.
_HEAD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends, and into which study; "" for any."""

    host: str
    study_uid: str = ""


class Contexts:
    """What an association would negotiate: SOP classes and transfer syntaxes that are taken."""

    def __init__(self, settings: Settings) -> None:
        self._sop_classes = frozenset(storage_classes(settings.dicom_storage_classes))
        self._transfer_syntaxes = frozenset(AllTransferSyntaxes)

    def check(self, claim: Claim) -> None:
        """Raises SopClassNotSupportedError, TransferSyntaxNotSupportedError."""
        if claim.AffectedSOPClassUID not in self._sop_classes:
            raise SopClassNotSupportedError("this SOP class is not stored here")
        if claim.transfer_syntax_uid not in self._transfer_syntaxes:
            raise TransferSyntaxNotSupportedError("this transfer syntax is not known here")


class Part:
    """One part on its way to the inbox."""

    def __init__(self, sender: Sender, open_instance: Callable[[Claim], Incoming]) -> None:
        self._sender = sender
        self._open_instance = open_instance
        self._head = bytearray()
        self._incoming: Incoming | None = None
        self._refusal: RefusedError | None = None

    def refuse(self, error: RefusedError) -> None:
        """Throw away what comes; `end` raises this."""
        self._refusal = error

    def write(self, fragment: memoryview) -> None:
        """Take the next bytes."""
        if self._incoming is not None:
            self._incoming.write(fragment)
        elif self._refusal is None:
            self._head += fragment
            if len(self._head) >= _HEAD_BYTES:
                self._open()

    def end(self) -> Incoming:
        """The complete data set. Raises RefusedError when the part is not a Part 10 file."""
        if self._incoming is None and self._refusal is None:
            self._open()
        if self._incoming is None:
            assert self._refusal is not None
            raise self._refusal
        return self._incoming

    def discard(self) -> None:
        """Forget the part."""
        if self._incoming is not None:
            self._incoming.discard()

    def _open(self) -> None:
        head, self._head = bytes(self._head), bytearray()
        try:
            claim, dataset_offset = read_claim(head, self._sender)
        except RefusedError as error:
            self._refusal = error
            return
        self._incoming = self._open_instance(claim)
        self._incoming.write(memoryview(head)[dataset_offset:])


def read_claim(head: bytes, sender: Sender) -> tuple[Claim, int]:
    """What a file claims to be, and where its data set begins. Raises CannotUnderstandError."""
    meta = read_file_meta(BytesIO(head))
    if meta.dataset_offset >= _HEAD_BYTES:
        raise CannotUnderstandError("the File Meta Information is too long")
    claim = Claim(
        AffectedSOPClassUID=meta.MediaStorageSOPClassUID,
        AffectedSOPInstanceUID=meta.MediaStorageSOPInstanceUID,
        transfer_syntax_uid=meta.TransferSyntaxUID,
        calling_ae_title=SENDER_NAME,
        peer_host=sender.host,
        study_instance_uid=sender.study_uid,
    )
    return claim, meta.dataset_offset
