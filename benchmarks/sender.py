"""The sender: a process that must be far faster than any receiver, and is the same for all.

    python -m benchmarks.sender PLAN       PLAN: fields of `Plan` as JSON; prints `Sent` as JSON

Every association sends one object, waits for its response as a modality does, and sends the next;
one loop over non-blocking sockets serves them all. The clock runs from the first byte of the first
request to the last response; association and release stand outside. A status other than 0x0000, a
wrong message ID or a silent receiver ends the run with an error.
"""

from __future__ import annotations

import json
import resource
import selectors
import socket
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from benchmarks.answers import Answers, ProtocolError, RejectedError, Released, read_association
from benchmarks.objects import SIZES, Template, template, uids
from benchmarks.wire import RELEASE_REQUEST, Encoder, associate_request

SILENCE_SECONDS = 60.0
_MESSAGE_IDS = 65536  # US, 0 is not used


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send: for `seconds`, and at the least `minimum` objects on each association."""

    port: int
    called_ae_title: str
    size: str
    associations: int
    seconds: float
    minimum: int
    run: int  # makes the UIDs of this run its own
    delayed_acks: bool = False  # whether half a response is acknowledged when the kernel likes


@dataclass(frozen=True, slots=True)
class Sent:
    """What was stored: times in seconds, bytes of data sets. `rejected` says why nothing was."""

    objects: int = 0
    bytes: int = 0
    seconds: float = 0.0
    p50_seconds: float = 0.0
    p95_seconds: float = 0.0
    sender_cpu_seconds: float = 0.0
    rejected: str = ""


class Sending:
    """One association."""

    def __init__(self, plan: Plan, number: int, encoder: Encoder) -> None:
        self._plan, self._number = plan, number
        self._images_per_study = SIZES[plan.size].images_per_study
        self._answers = Answers()
        self.socket = socket.create_connection(("127.0.0.1", plan.port), timeout=SILENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._request = encoder.request(self._associate())
        except BaseException:
            self.socket.close()
            raise
        self.socket.setblocking(False)
        self._unsent: list[memoryview] = []
        self._began = 0.0
        self.started = 0
        self.latencies_seconds: list[float] = []

    def _associate(self) -> int:
        sop_class_uid = SIZES[self._plan.size].sop_class_uid
        called_ae_title = self._plan.called_ae_title
        self.socket.sendall(associate_request(sop_class_uid, "BENCHMARK", called_ae_title))
        return read_association(self.socket)

    def begin(self) -> None:
        """Start to send the next object."""
        names = uids(self._plan.run, self._number, self.started, self._images_per_study)
        self.started += 1
        self._request.address(self.started % _MESSAGE_IDS, names)
        self._unsent = [memoryview(self._request.head), self._request.body]
        self._began = time.perf_counter()
        self.push()

    def release(self) -> None:
        """End the association; its answer is read as any other."""
        self._unsent = [memoryview(RELEASE_REQUEST)]
        self.push()

    def push(self) -> None:
        """Give the kernel as much as it takes now."""
        try:
            while self._unsent:
                self._drop(self.socket.sendmsg(self._unsent))
        except BlockingIOError:
            pass

    def _drop(self, taken: int) -> None:
        while self._unsent and taken >= len(self._unsent[0]):
            taken -= len(self._unsent.pop(0))
        if taken:
            self._unsent[0] = self._unsent[0][taken:]

    @property
    def waits_to_send(self) -> bool:
        """Whether the kernel's buffer was full."""
        return bool(self._unsent)

    def pull(self) -> bool:
        """Read what came; True when the object is stored, or the association released."""
        received = self.socket.recv(65536)
        if not received:
            raise ProtocolError("connection closed before the response")
        answers = self._answers.feed(received)
        if not answers and not self._plan.delayed_acks:
            # Debian's DCMTK writes a response in two pieces and leaves Nagle's algorithm on: the
            # second piece waits for the acknowledgement of the first, which Linux delays by 40 ms.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        for answer in answers:
            if isinstance(answer, Released):
                return True
            if answer.status != 0x0000 or answer.message_id != self.started % _MESSAGE_IDS:
                raise ProtocolError(f"object {self.started} answered {answer}")
            self.latencies_seconds.append(time.perf_counter() - self._began)
            return True
        return False


def send(plan: Plan) -> Sent:
    """Carry out a plan. Raises ProtocolError."""
    encoder = Encoder(content := template(SIZES[plan.size]))
    associations: list[Sending] = []
    try:
        for number in range(plan.associations):
            associations.append(Sending(plan, number, encoder))
        seconds = _run(plan, associations)
    except RejectedError as error:
        return Sent(rejected=f"{len(associations)} of {plan.associations} associations: {error}")
    finally:
        for each in associations:
            each.socket.close()
    return _sent(associations, content, seconds)


def _run(plan: Plan, associations: list[Sending]) -> float:
    with selectors.DefaultSelector() as selector:
        for each in associations:
            selector.register(each.socket, selectors.EVENT_READ, each)
        began = time.perf_counter()

        def more(sending: Sending) -> bool:
            return sending.started < plan.minimum or time.perf_counter() - began < plan.seconds

        for each in associations:
            each.begin()
            _watch(selector, each)
        ended = _serve(selector, more, len(associations))
    return ended - began


def _serve(
    selector: selectors.BaseSelector, more: Callable[[Sending], bool], associations: int
) -> float:
    """Send until `more` says no, then release; returns when the last response came."""
    ended, releasing = 0.0, set[Sending]()
    while len(selector.get_map()):
        ready = selector.select(SILENCE_SECONDS)
        if not ready:
            raise ProtocolError(f"no answer for {SILENCE_SECONDS} s")
        for key, events in ready:
            sending: Sending = key.data
            if events & selectors.EVENT_WRITE:
                sending.push()
            if events & selectors.EVENT_READ and sending.pull():
                if sending in releasing:
                    # The requestor closes (PS3.8 9.2, AR-3); Orthanc's threads wait for that.
                    selector.unregister(sending.socket)
                    sending.socket.close()
                    continue
                if more(sending):
                    sending.begin()
                else:
                    ended = time.perf_counter()
                    releasing.add(sending)
                    sending.release()
            _watch(selector, sending)
    assert len(releasing) == associations
    return ended


def _watch(selector: selectors.BaseSelector, sending: Sending) -> None:
    wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if sending.waits_to_send else 0)
    if selector.get_key(sending.socket).events != wanted:
        selector.modify(sending.socket, wanted, sending)


def _sent(associations: list[Sending], content: Template, seconds: float) -> Sent:
    latencies = sorted(each for sending in associations for each in sending.latencies_seconds)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return Sent(
        objects=len(latencies),
        bytes=len(latencies) * len(content.content),
        seconds=seconds,
        p50_seconds=statistics.median(latencies),
        p95_seconds=latencies[int(0.95 * (len(latencies) - 1) + 0.5)],
        sender_cpu_seconds=usage.ru_utime + usage.ru_stime,
    )


def main() -> None:
    """Read the plan, send, print what was sent."""
    print(json.dumps(asdict(send(Plan(**json.loads(sys.argv[1]))))))


if __name__ == "__main__":
    main()
