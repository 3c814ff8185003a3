"""Storage Commitment reports on new associations: the sweeper's part (PS3.4 J.3.3).

In: requests that are due in the database. Out: N-EVENT-REPORTs to the peers of SENTINODE_PEERS,
where the node, as SCP, is the requestor and so proposes its role (PS3.7 D.3.3.4). It keeps nothing
to itself: any number may run, each may die at any moment.
"""

from __future__ import annotations

import threading

from pynetdicom import build_role
from pynetdicom.association import Association
from sqlalchemy.exc import SQLAlchemyError

from node.calling import UNCOMPRESSED, answer_text, call
from node.commitment.event_report import STORAGE_COMMITMENT, send_report
from node.commitment.provider import Archive, facts_of, has_report, kept
from node.errors import ConfigurationError, DestinationUnavailableError, SentinodeError
from node.logs import log
from node.peers import Peer
from node.store import commitments
from node.store.commitments import Claim

# Peers that are called at the same time: one that does not answer must not hold up the others.
_MOST_PEERS_AT_ONCE = 8


def report_until(stop: threading.Event, archive: Archive) -> None:
    """Report what is due until `stop` is set."""
    running: dict[str, threading.Thread] = {}
    while not stop.wait(archive.settings.sweep_seconds):
        running = {title: thread for title, thread in running.items() if thread.is_alive()}
        try:
            _begin_reports(running, archive, stop)
        except SQLAlchemyError as error:
            log.error("database error; reporting again soon", extra={"reason": _kind(error)})
        except Exception:  # noqa: BLE001  # the outer shell: nobody would start this thread again
            log.exception("reporting again soon")


def _begin_reports(
    running: dict[str, threading.Thread], archive: Archive, stop: threading.Event
) -> None:
    titles = [each for each in commitments.due_titles(archive.store) if each not in running]
    for title in titles[: _MOST_PEERS_AT_ONCE - len(running)]:
        running[title] = threading.Thread(
            target=report_to, args=(title, archive, stop), name=f"report {title}", daemon=True
        )
        running[title].start()


def report_to(title: str, archive: Archive, stop: threading.Event) -> None:
    """Send all reports that are due to one AE, on one association, until one fails."""
    line = _Line(archive)
    try:
        while not stop.is_set():
            claim = commitments.claim_due(archive.store, title, archive.settings)
            if claim is None or not line.report(claim):
                break
    except Exception:  # noqa: BLE001  # the outer shell: when the lease ends it is tried again
        log.exception("commitments not reported", extra={"calling_ae_title": title})
    finally:
        line.close()


class _Line:
    """One association to a peer, opened when the first report is ready."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._association: Association | None = None

    def report(self, claim: Claim) -> bool:
        """Answer one request; whether the peer has confirmed it."""
        archive = self._archive
        try:
            with kept(archive, claim):
                event_type = self._send(claim)
        except SentinodeError as error:
            state = commitments.postpone(archive.store, claim, str(error), archive.settings)
            facts = {"reason": str(error), "state": state}
            log.warning("commitment not reported", extra=facts_of(claim) | facts)
            return False
        commitments.mark_reported(archive.store, claim)
        log.info("commitment reported", extra=facts_of(claim) | {"event": event_type})
        return True

    def close(self) -> None:
        """Release the association."""
        if self._association is not None and self._association.is_established:
            self._association.release()

    def _send(self, claim: Claim) -> int:
        peer = _peer(claim, self._archive)
        # Found out before the call: a peer should not wait while files are read.
        event_type, information = self._archive.information(claim)
        if self._association is None or not self._association.is_established:
            self._association = _call(peer, self._archive)
        status = send_report(self._association, event_type, information, peer.timeout_seconds)
        if not has_report(status):
            raise DestinationUnavailableError(f"{answer_text(status)} to N-EVENT-REPORT")
        return event_type


def _peer(claim: Claim, archive: Archive) -> Peer:
    peer = archive.peers.get(claim.calling_ae_title)
    if peer is None:
        raise ConfigurationError(
            f"SENTINODE_PEERS has no entry for {claim.calling_ae_title}; the device must stay on "
            "its association for the answer, or be entered there"
        )
    return peer


def _call(peer: Peer, archive: Archive) -> Association:
    role = build_role(STORAGE_COMMITMENT, scp_role=True)
    return call(peer, [(STORAGE_COMMITMENT, UNCOMPRESSED)], archive.settings, [role])


def _kind(error: Exception) -> str:
    return type(error).__name__
