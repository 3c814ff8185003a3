"""Which ports the stack needs, which of them are taken, and free ones in their place.

In: settings. Out: names of settings with their ports. What must hold: nobody has to read a log to
learn which port is occupied and which setting moves it.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable

from node.errors import ConfigurationError
from node.settings import Settings

# Field of Settings -> who listens there.
LISTENERS = {
    "dicom_port": "the DICOM receiver",
    "http_port": "the dashboard and viewer",
    "orthanc_http_port": "Orthanc (HTTP)",
    "orthanc_dicom_port": "Orthanc (DICOM)",
    "redis_port": "Redis",
    "triton_http_port": "Triton (HTTP)",
    "triton_grpc_port": "Triton (gRPC)",
    "triton_metrics_port": "Triton (metrics)",
}


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now: nobody does, on this address or on all."""
    for address in {host, "0.0.0.0"}:  # noqa: S104 - bound for an instant, never listening
        with contextlib.closing(socket.socket()) as probe:
            # Servers set it too: a connection in TIME_WAIT must not count as taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def free_ports(count: int, avoid: Iterable[int] = ()) -> list[int]:
    """Ports that nobody uses now, all different and outside `avoid`."""
    unwanted = set(avoid)
    found: list[int] = []
    with contextlib.ExitStack() as held_until_all_are_known:
        while len(found) < count:
            probe = held_until_all_are_known.enter_context(contextlib.closing(socket.socket()))
            probe.bind(("0.0.0.0", 0))  # noqa: S104 - held for an instant, never listening
            port = int(probe.getsockname()[1])
            if port not in unwanted:
                found.append(port)
    return found


def taken(settings: Settings) -> dict[str, int]:
    """Settings whose port is in use, or claimed by two settings at once."""
    ports = {name: getattr(settings, name) for name in LISTENERS}
    values = list(ports.values())
    return {
        name: port for name, port in ports.items() if values.count(port) > 1 or not is_free(port)
    }


def require_free(settings: Settings) -> None:
    """Raise ConfigurationError that names every occupied port and its setting."""
    occupied = [
        f"port {port} for {LISTENERS[name]} is in use: set SENTINODE_{name.upper()} to another"
        for name, port in taken(settings).items()
    ]
    if occupied:
        raise ConfigurationError("; ".join(occupied))


def replacements(settings: Settings) -> dict[str, int]:
    """A free port for every setting whose port is taken."""
    names = list(taken(settings))
    others = {getattr(settings, name) for name in LISTENERS}
    return dict(zip(names, free_ports(len(names), avoid=others), strict=True))
