"""Which hosts may talk to the node, by network."""

from __future__ import annotations

import ipaddress

# RFC 4291 2.5.5.2: what stands before the IPv4 address in ::ffff:a.b.c.d.
_MAPPED_BITS = 96


def host_allowed(host: str, networks: tuple[str, ...]) -> bool:
    """Whether a peer's address lies in one of the networks; no networks allow every host."""
    if not networks:
        return True
    address = ipaddress.ip_address(plain_host(host))
    return any(address in _network(text) for text in networks)


def plain_host(host: str) -> str:
    """The address of a peer as it is written and counted: a dual-stack socket shows ::ffff:a.b.c.d.

    The zone of a link-local address names an interface of this machine, not the peer.
    """
    bare, _, _zone = host.partition("%")
    address = ipaddress.ip_address(bare)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """One of the networks; those of IPv4 may be written as a dual-stack socket shows them."""
    network = ipaddress.ip_network(text, strict=False)
    first = network.network_address
    if isinstance(first, ipaddress.IPv6Address) and network.prefixlen >= _MAPPED_BITS:
        mapped = first.ipv4_mapped
        if mapped is not None:
            return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network
