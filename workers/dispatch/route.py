"""The connections of one visit to one destination, each opened when it is first needed.

All objects of a visit go over one association or one HTTP client: archives that take one
association at a time are common, and a study has a dozen results.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from pynetdicom import evt

from node.calling import UNCOMPRESSED, Context
from node.commitment import asking
from node.commitment.event_report import STORAGE_COMMITMENT
from node.commitment.receipt import ReportReceiver
from node.destinations import Destination
from node.errors import DestinationRefusedError, DestinationUnavailableError, SentinodeError
from node.settings import Settings
from node.store.commitments import Reference
from node.store.session import Store
from workers.dicom import dimse, stow
from workers.dicom.identity import Identity


class Route:
    """A way to a destination for these objects; to be used in a `with`."""

    def __init__(
        self,
        destination: Destination,
        identities: Collection[Identity],
        settings: Settings,
        store: Store,
    ) -> None:
        self._destination = destination
        self._identities = identities
        self._settings = settings
        self._reports = ReportReceiver(store, settings)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def store(self, path: Path, identity: Identity) -> str:
        """Send one object; returns the UID of the transfer syntax that it went in.

        Raises DestinationUnavailableError, DestinationRefusedError, ObjectPostponedError,
        ConfigurationError.
        """
        if self._destination.protocol == "stow":
            return self._web.store(path, identity)
        return self._line.store(path, identity)

    @property
    def reached(self) -> bool:
        """Whether the archive has answered at all on this visit."""
        line, web = self.__dict__.get("_opened"), self.__dict__.get("_web")
        # To accept none of the contexts is an answer too.
        if isinstance(line, dimse.Line | DestinationRefusedError):
            return True
        return isinstance(web, stow.Web) and web.answered

    @property
    def commits(self) -> bool:
        """Whether Storage Commitment is wanted and the archive offers it. Raises like `store`."""
        return self._destination.confirm == "commitment" and asking.is_offered(
            self._line.association
        )

    def is_listed(self, identity: Identity) -> bool:
        """Whether the archive answers a query with the object. Raises like `store`."""
        if self._destination.confirm == "qido":
            return self._web.find(identity)
        return self._line.find(identity)

    def ask(self, transaction_uid: str, items: Sequence[Reference]) -> None:
        """Ask for Storage Commitment. Raises like `store`."""
        association = self._line.association
        try:
            asking.ask(association, transaction_uid, items)
        except RuntimeError as error:
            # pynetdicom's word for an association that ended after the last object was sent.
            if association.is_established:
                raise
            raise DestinationUnavailableError("has ended the association") from error

    @property
    def _line(self) -> dimse.Line:
        if isinstance(self._opened, SentinodeError):
            # Refused or away once in this visit is refused or away for all of it.
            raise self._opened
        return self._opened

    @cached_property
    def _opened(self) -> dimse.Line | SentinodeError:
        handlers = [(evt.EVT_N_EVENT_REPORT, self._reports.handle)]
        opening = dimse.open_line(self._destination, self._contexts(), self._settings, handlers)
        try:
            return self._open.enter_context(opening)
        except SentinodeError as error:
            return error

    @cached_property
    def _web(self) -> stow.Web:
        return self._open.enter_context(stow.open_web(self._destination))

    def _contexts(self) -> list[Context]:
        contexts: list[Context] = []
        if self._destination.protocol == "c-store":
            contexts += dimse.storage_contexts(self._destination, self._identities)
        if self._destination.confirm in ("c-find", "commitment"):
            contexts.append(dimse.query_context())
        if self._destination.confirm == "commitment":
            contexts.append((STORAGE_COMMITMENT, UNCOMPRESSED))
        return contexts
