"""Several Tritons behind one setting: requests go round, and past what does not answer.

In: `host:port`, several of them with commas between; a host with several addresses (a headless
service) counts as several. Out: what one server's client gives. What must hold: one replica that is
away, full or busy with another version costs a request nothing but the time to ask the next; each
replica's models are checked against their specs before their first image; a resolver that is away
takes no replica away that is known.

Balancing is the client's, by request: a connection balanced once would stay where it is for as long
as the worker lives. The queue of each model is Triton's own (`max_queue_size` in its
configuration): a replica whose queue is full says so and the next one is asked.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

from numpy.typing import NDArray

from models.contract import ModelSpec
from node.errors import ConfigurationError, ModelMismatchError, ModelUnavailableError
from workers.triton.client import TritonClient
from workers.triton.verified import VerifiedClient

# A replica that did not answer is asked last for so long; one that started again is found soon.
_REST_SECONDS = 10.0
# Replicas come and go behind a name; asking the resolver costs a millisecond.
_RESOLVE_SECONDS = 15.0


def resolve(urls: str) -> tuple[str, ...]:
    """Every address, as host:port, sorted; a name that cannot be resolved stays a name.

    Raises ConfigurationError where a port is missing.
    """
    return tuple(sorted({found for url in urls.split(",") for found in _addresses(url.strip())}))


def _addresses(url: str) -> set[str]:
    host, _, port = url.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigurationError(f"SENTINODE_TRITON_URL: {url!r} is not host:port")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError:
        return {url}
    return {
        f"[{address[0]}]:{port}" if family == socket.AF_INET6 else f"{address[0]}:{port}"
        for family, _, _, _, address in _one_family(found)
    }


def _one_family(found: Sequence[Any]) -> Sequence[Any]:
    """IPv4 where there is any: "localhost" and dual-stack names would else count twice."""
    old = [each for each in found if each[0] == socket.AF_INET]
    return old or found


def _is_name(address: str) -> bool:
    """Whether this host:port is one that the resolver could not tell."""
    try:
        ip_address(address.rpartition(":")[0].strip("[]"))
    except ValueError:
        return True
    return False


@contextmanager
def for_people(urls: str) -> Iterator[None]:
    """A person at a command is told how to come by a Triton where none answers."""
    try:
        yield
    except ModelUnavailableError as error:
        raise ModelUnavailableError(
            f"{error}; start a Triton (`sentinode up` does), or name yours in SENTINODE_TRITON_URL "
            f"(now {urls})"
        ) from error


class BalancedClient:
    """One client for all replicas; not to be shared between threads or across forks."""

    def __init__(
        self,
        urls: str,
        timeout_seconds: float,
        resolver: Callable[[str], tuple[str, ...]] = resolve,
    ) -> None:
        """`timeout_seconds`: of one replica's answer."""
        self._urls, self._timeout_seconds, self._resolver = urls, timeout_seconds, resolver
        self._clients: dict[str, tuple[TritonClient, VerifiedClient]] = {}
        self._resting: dict[str, float] = {}
        self._resolved_at = -_RESOLVE_SECONDS
        self._turn = random.randrange(1 << 16)  # noqa: S311  # workers begin at different replicas

    def infer(
        self, spec: ModelSpec, tensors: Mapping[str, NDArray[Any]]
    ) -> tuple[Mapping[str, NDArray[Any]], str]:
        """As `VerifiedClient.infer`; raises what the last replica said when none can answer."""
        failure: ModelUnavailableError | ModelMismatchError | None = None
        for address in self._order():
            try:
                return self._clients[address][1].infer(spec, tensors)
            except (ModelUnavailableError, ModelMismatchError) as error:
                failure = error
                self._resting[address] = time.monotonic() + _REST_SECONDS
        assert failure is not None, "there is at least one address"
        # All of them may be new ones behind the name by the time the job tries again.
        self._resolved_at = -_RESOLVE_SECONDS
        raise failure

    def close(self) -> None:
        """Close every channel."""
        for client, _ in self._clients.values():
            client.close()
        self._clients.clear()

    def _order(self) -> list[str]:
        """Every replica, the next in turn first, resting ones last."""
        self._refresh()
        addresses = sorted(self._clients)
        self._turn += 1
        start = self._turn % len(addresses)
        now = time.monotonic()
        return sorted(
            addresses[start:] + addresses[:start],
            key=lambda address: self._resting.get(address, 0.0) > now,
        )

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._resolved_at < _RESOLVE_SECONDS:
            return
        self._resolved_at = now
        addresses = set(self._resolver(self._urls))
        unresolved = {address for address in addresses if _is_name(address)}
        if unresolved and self._clients:
            addresses = addresses - unresolved | self._clients.keys()
        for gone in self._clients.keys() - addresses:
            self._clients.pop(gone)[0].close()
        for address in addresses:
            if address not in self._clients:
                client = TritonClient(address, self._timeout_seconds)
                self._clients[address] = client, VerifiedClient(client)
