"""The peers that the other tests lean on are real, reachable and separate."""

from __future__ import annotations

import httpx
import psycopg
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import
from redis import Redis

from tests.peers.orthanc import Orthanc
from tests.peers.ports import free_ports
from tests.peers.postgresql import Postgresql


def test_orthanc_answers_dicom_and_dicomweb(orthanc: Orthanc) -> None:
    """Orthanc answers C-ECHO and QIDO-RS."""
    entity = AE("TESTER")
    entity.add_requested_context(Verification)
    association = entity.associate(orthanc.host, orthanc.dicom_port, ae_title=orthanc.ae_title)
    assert association.is_established
    assert association.send_c_echo().Status == 0x0000
    association.release()
    answer = httpx.get(f"{orthanc.dicomweb_url}/studies", headers={"Accept": "application/json"})
    assert answer.status_code == 200


def test_redis_keeps_a_value(redis_url: str) -> None:
    """Redis returns what was put in."""
    with Redis.from_url(redis_url) as client:
        client.set("key", "value")
        assert client.get("key") == b"value"


def test_postgresql_gives_separate_databases(postgresql: Postgresql, postgresql_url: str) -> None:
    """A table of one data base is not in the next."""
    first = postgresql_url.replace("+psycopg", "")
    second = postgresql.new_database().replace("+psycopg", "")
    with psycopg.connect(first, autocommit=True) as connection:
        connection.execute("CREATE TABLE only_here (number int)")
    with psycopg.connect(second) as connection:
        assert connection.execute("SELECT to_regclass('only_here')").fetchone() == (None,)


def test_free_ports_differ() -> None:
    """Ports that are asked for together are never the same."""
    assert len(set(free_ports(20))) == 20
