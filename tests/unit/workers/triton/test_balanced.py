"""How the addresses of the setting become replicas."""

from __future__ import annotations

import numpy as np
import pytest

from models.mtu_net.spec import SPEC
from node.errors import ConfigurationError, ModelUnavailableError
from workers.triton import balanced
from workers.triton.balanced import BalancedClient, resolve


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


def test_a_resolver_that_is_away_takes_no_replica_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known addresses stay while their name cannot be resolved, and go once it can."""
    monkeypatch.setattr(balanced, "_RESOLVE_SECONDS", 0.0)
    told = [("127.0.0.1:1", "127.0.0.1:2"), ("triton:8001",), ("127.0.0.1:2", "127.0.0.1:3")]
    client = BalancedClient("triton:8001", 1, lambda _urls: told[0])
    seen = []
    while told:
        seen.append(set(client._order()))
        told.pop(0)
    client.close()
    both = {"127.0.0.1:1", "127.0.0.1:2"}
    assert seen == [both, both, {"127.0.0.1:2", "127.0.0.1:3"}]


def test_a_name_is_asked_for_while_nothing_else_is_known() -> None:
    """The first resolver that is away leaves the name to the channel, until it is resolved."""
    client = BalancedClient("triton.invalid:8001", 1)
    assert client._order() == ["triton.invalid:8001"]
    client.close()


def test_where_nobody_answers_the_name_is_resolved_again() -> None:
    """The next try of the job finds servers that started under new addresses."""
    asked = []

    def resolver(urls: str) -> tuple[str, ...]:
        asked.append(urls)
        return ("127.0.0.1:1",)

    client = BalancedClient("triton:8001", 1, resolver)
    for _ in range(2):
        with pytest.raises(ModelUnavailableError):
            client.infer(SPEC, {"tiles": np.zeros((1, *SPEC.inputs[0].shape), np.uint8)})
    client.close()
    assert len(asked) == 2
