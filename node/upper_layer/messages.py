"""What the upper layer asks of whoever stores data sets, and how a peer can break the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from node.upper_layer.command_set import StoreRequest


class ProtocolError(Exception):
    """The peer sent what PS3.8 forbids; the association is aborted (Evt19)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a C-STORE-RSP says: a status of PS3.4 B.2.3, and an Error Comment for failures."""

    status: int
    comment: str = ""


class DataSetSink(Protocol):
    """Takes one encoded data set."""

    def write(self, fragment: memoryview) -> None:
        """Take the next bytes; the view is invalid afterwards. Never raises: failures are kept."""

    def discard(self) -> None:
        """Forget it: the association ended in the middle."""


class StorageService(Protocol):
    """Stores data sets. One for all associations; called from many threads."""

    def open(
        self, request: StoreRequest, context: PresentationContext, association: Association
    ) -> DataSetSink:
        """Begin one data set. Never raises: a refusal becomes the answer of its `settle`."""

    def settle(self, sinks: Sequence[DataSetSink]) -> Sequence[Answer]:
        """Make complete data sets durable, in order, and say what to answer. Never raises."""
