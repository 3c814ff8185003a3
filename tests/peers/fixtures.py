"""The real peers as fixtures. They start at first use and live as long as the test session.

    orthanc         Orthanc: an archive with DICOMweb, shared: clear it, or look only for your UIDs
    redis_server    RedisServer; redis_url its broker URL
    postgresql      Postgresql; postgresql_url one data base; `postgresql.new_database()` more

A test that stops or reconfigures a peer runs its own: `with running_orthanc(...) as orthanc:`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.peers import orthanc as orthanc_peer
from tests.peers import postgresql as postgresql_peer
from tests.peers import redis as redis_peer
from tests.peers.needs import need
from tests.peers.orthanc import Orthanc
from tests.peers.postgresql import Postgresql
from tests.peers.redis import RedisServer


@pytest.fixture(scope="session")
def orthanc() -> Iterator[Orthanc]:
    """Return a running Orthanc without authentication."""
    need(orthanc_peer.missing())
    with orthanc_peer.running_orthanc() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Return a running Redis."""
    need(redis_peer.missing())
    with redis_peer.running_redis() as server:
        yield server


@pytest.fixture(scope="session")
def redis_url(redis_server: RedisServer) -> str:
    """Return the broker URL of the shared Redis."""
    return redis_server.url


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """Return a running PostgreSQL."""
    need(postgresql_peer.missing())
    with postgresql_peer.running_postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_url(postgresql: Postgresql) -> str:
    """Return the SQLAlchemy URL of one empty data base, shared by the session."""
    return postgresql.new_database()
