"""Which hosts may talk to the node, by network."""

from __future__ import annotations

import ipaddress


def host_allowed(host: str, networks: tuple[str, ...]) -> bool:
    """Whether a peer's address lies in one of the networks; no networks allow every host."""
    if not networks:
        return True
    address = ipaddress.ip_address(plain_host(host))
    return any(address in ipaddress.ip_network(network, strict=False) for network in networks)


def plain_host(host: str) -> str:
    """The address of a peer as it is written and counted: a dual-stack socket shows ::ffff:a.b.c.d.

    The zone of a link-local address names an interface of this machine, not the peer.
    """
    bare, _, _zone = host.partition("%")
    address = ipaddress.ip_address(bare)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)
