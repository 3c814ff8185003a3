"""Which hosts may talk to the node, by network."""

from __future__ import annotations

import ipaddress


def host_allowed(host: str, networks: tuple[str, ...]) -> bool:
    """Whether a peer's address lies in one of the networks; no networks allow every host."""
    if not networks:
        return True
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        # A dual-stack socket shows an IPv4 peer as ::ffff:a.b.c.d.
        address = address.ipv4_mapped
    return any(address in ipaddress.ip_network(network, strict=False) for network in networks)
