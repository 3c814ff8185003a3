"""How the addresses of the setting become replicas."""

from __future__ import annotations

import pytest

from node.errors import ConfigurationError
from workers.triton.balanced import resolve


def test_several_addresses_stand_with_commas_between() -> None:
    """Blanks around them do not count, and one address named twice is one replica."""
    assert resolve("127.0.0.1:8001, 127.0.0.2:8001,127.0.0.1:8001") == (
        "127.0.0.1:8001",
        "127.0.0.2:8001",
    )


def test_a_name_becomes_its_addresses() -> None:
    """A host that has IPv4 and IPv6 is not taken for two."""
    assert resolve("localhost:8001") == ("127.0.0.1:8001",)


def test_a_name_nobody_knows_stays_a_name() -> None:
    """The resolver may be away for a moment; the client's error says the rest."""
    assert resolve("triton.invalid:8001") == ("triton.invalid:8001",)


@pytest.mark.parametrize("url", ["localhost", "localhost:", ":8001", "localhost:grpc", ""])
def test_an_address_without_host_or_port_is_refused(url: str) -> None:
    """The error names the setting."""
    with pytest.raises(ConfigurationError, match="SENTINODE_TRITON_URL"):
        resolve(url)
