"""Storage Commitment Push Model as SCP (PS3.4 annex J): the request, and who answers it.

In: N-ACTION requests of modalities. Out: rows, then N-EVENT-REPORTs that say which instances the
node holds. The request's row is committed before the N-ACTION is answered with success, so the
answer comes also after a kill -9 and a restart, and it is found out only when it is given:
    - by the receiver on the same association, if that is still open after a short moment;
    - else by the sweeper on a new association to the peer of that AE title in SENTINODE_PEERS,
      again and again until the peer confirms it or SENTINODE_RETRY_GIVE_UP_SECONDS have passed.
The address that the request came from is never called: only peers that someone has configured.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import N_ACTION_RSP
from sqlalchemy.exc import SQLAlchemyError

from node.access import plain_host
from node.commitment.custody import DUPLICATE_TRANSACTION_UID, RESOURCE_LIMITATION, failure_reason
from node.commitment.event_report import event_information, send_report, wait_while_established
from node.commitment.request import Refusal, read_request
from node.errors import LeaseLostError
from node.lease import renewed
from node.logs import log
from node.peers import Peer
from node.settings import Settings
from node.store import commitments
from node.store.commitments import Claim, Reference
from node.store.files import Files
from node.store.session import Store

SUCCESS, PROCESSING_FAILURE = 0x0000, 0x0110
# PS3.7 C.5: these two mean that the peer has the report.
_WARNINGS = range(0xB000, 0xC000)

# Many devices release as soon as they have the N-ACTION response; some want to, and need a moment
# to listen. Who is still there after this long gets the report here.
_MOMENT_SECONDS = 0.5
# A device that does not answer here is called back instead.
_ANSWER_SECONDS = 10.0
# Requests that one receiver answers itself at the same time; the rest are the sweeper's.
_MOST_AT_ONCE = 16


@dataclass(frozen=True)
class Archive:
    """What answering needs; made once per process."""

    settings: Settings
    store: Store
    files: Files
    peers: Mapping[str, Peer]
    # One file is read at a time: checking must not take the disk from receiving.
    reading: threading.Lock = field(default_factory=threading.Lock)

    def information(
        self, claim: Claim, at_each: Callable[[], None] = lambda: None
    ) -> tuple[int, Dataset]:
        """Event type and information of a report, true at this moment.

        `at_each` is called before each object is read.
        """
        return event_information(claim.asked, self._failures(claim, at_each))

    def _failures(self, claim: Claim, at_each: Callable[[], None]) -> dict[Reference, int]:
        if claim.transaction_in_use:
            return dict.fromkeys(claim.asked.items, DUPLICATE_TRANSACTION_UID)
        failures = {}
        for item in claim.asked.items:
            with self.reading:
                at_each()
                reason = failure_reason(self.store, self.files, item)
            if reason is not None:
                failures[item] = reason
        return failures


class CommitmentProvider:
    """The receiver's part: keeps requests, and answers on the association that they came on."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._free = threading.BoundedSemaphore(_MOST_AT_ONCE)

    def handle(self, event: evt.Event) -> tuple[Dataset, None]:
        """Answer one N-ACTION: the handler of EVT_N_ACTION."""
        calling = str(event.assoc.requestor.ae_title).strip()
        facts = {"calling_ae_title": calling}
        try:
            asked = read_request(event)
            if isinstance(asked, Refusal):
                log.warning("commitment refused", extra=facts | {"reason": asked.comment})
                return asked.answer(), None
            archive, host = self._archive, plain_host(event.assoc.requestor.address)
            claim = commitments.keep_request(archive.store, asked, calling, host, archive.settings)
        except SQLAlchemyError as error:
            log.error("commitment request not kept", extra=facts | {"reason": type(error).__name__})
            comment = "the database cannot take the request; ask again later"
            return Refusal(RESOURCE_LIMITATION, comment).answer(), None
        except Exception:  # noqa: BLE001  # the outer shell: never accept what is not kept
            log.exception("commitment request not kept", extra=facts)
            return Refusal(PROCESSING_FAILURE, "internal error; see the node's log").answer(), None
        log.info("commitment asked", extra=facts | {"transaction": asked.TransactionUID})
        if claim is not None:
            self._answer_soon(claim, event.assoc)
        return Refusal(SUCCESS, "").answer(), None

    def _answer_soon(self, claim: Claim, association: Association) -> None:
        # Whatever does not start here is the sweeper's when the lease ends: the request is kept.
        if not self._free.acquire(blocking=False):
            return
        responded = threading.Event()

        def note(event: evt.Event) -> None:
            if isinstance(event.message, N_ACTION_RSP):
                association.unbind(evt.EVT_DIMSE_SENT, note)
                responded.set()

        association.bind(evt.EVT_DIMSE_SENT, note)
        threading.Thread(
            target=self._answer,
            args=(claim, association, responded),
            name=f"commitment {claim.commitment_id}",
            daemon=True,
        ).start()

    def _answer(self, claim: Claim, association: Association, responded: threading.Event) -> None:
        archive = self._archive
        try:
            with kept(archive, claim):
                # The response goes first; then the device may leave, and nothing is read for it.
                wait_while_established(association, _ANSWER_SECONDS, responded)
                wait_while_established(association, _MOMENT_SECONDS, threading.Event())
                is_reported = association.is_established and self._report(claim, association)
            if is_reported:
                commitments.mark_reported(archive.store, claim)
            else:
                commitments.hand_back(archive.store, claim)
        except Exception:  # noqa: BLE001  # the outer shell: when the lease ends the sweeper answers
            log.exception("commitment not answered", extra=facts_of(claim))
        finally:
            self._free.release()

    def _report(self, claim: Claim, association: Association) -> bool:
        """Find the answer out and give it; whether the peer has it."""
        # The device that waits for us is not silent.
        still_here = association.dul._idle_timer.restart
        event_type, information = self._archive.information(claim, still_here)
        callable_back = claim.calling_ae_title in self._archive.peers
        status = send_report(
            association, event_type, information, _ANSWER_SECONDS, whole=callable_back
        )
        if not has_report(status):
            return False
        log.info("commitment reported", extra=facts_of(claim) | {"event": event_type})
        return True


def has_report(status: int | None) -> bool:
    """Whether this N-EVENT-REPORT status says that the peer has the report."""
    return status is not None and (status == SUCCESS or status in _WARNINGS)


def facts_of(claim: Claim) -> dict[str, object]:
    """What logs say of a request."""
    return {
        "calling_ae_title": claim.calling_ae_title,
        "transaction": claim.asked.TransactionUID,
        "attempt": claim.attempt,
    }


@contextmanager
def kept(archive: Archive, claim: Claim) -> Iterator[None]:
    """Renew a claim in the background; its loss is noticed when its end is written."""

    def renew() -> None:
        if not commitments.renew(archive.store, claim, archive.settings):
            raise LeaseLostError(f"commitment {claim.commitment_id} belongs to another process now")

    with renewed(renew, archive.settings, facts_of(claim)):
        yield
