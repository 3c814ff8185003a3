"""Passwords of the services in docker-compose.yml, each where only its readers can see it.

In: the folder /etc/sentinode/secrets with files `database-password`, `redis-password`,
`orthanc-password` and `web-password` (of the web account `admin`), any of which may be missing.
Out: /run/sentinode/<reader>/, volumes that the readers mount read-only. What must hold: a password
that is not given is made once and then kept; running it again changes nothing; no password is
printed. Only the standard library is used.
"""

from __future__ import annotations

import argparse
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

GIVEN = Path("/etc/sentinode/secrets")
READERS = Path("/run/sentinode")
NAMES = ("database-password", "redis-password", "orthanc-password", "web-password")
# 256 bits in letters, digits, - and _: no URL and no configuration file needs to quote them.
_PASSWORD_BYTES = 32


def main() -> None:
    """Write every file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], required=True)
    parser.add_argument("--given", default="", help="What SENTINODE_SECRETS names.")
    arguments = parser.parse_args()
    database = arguments.database
    passwords = {name: password(name) for name in NAMES}
    refuse_emptiness(arguments.given)
    for path, text in files(passwords, database).items():
        write(path, text)
    if database == "sqlite":
        (READERS / "node" / "sentinode_database_url").unlink(missing_ok=True)


def password(name: str) -> str:
    """The password that was given, else the one that was made before, else a new one."""
    for folder in (GIVEN, READERS / "node"):
        found = _kept(folder / name)
        if found is not None:
            if not found or not found.isascii() or not set(found) <= _letters():
                raise SystemExit(f"secrets: {name} must be of letters, digits, - . _ ~ only")
            return found
    return secrets.token_urlsafe(_PASSWORD_BYTES)


def refuse_emptiness(given: str) -> None:
    """A folder of passwords without one is misspelt: Docker makes what is not there, empty."""
    if given and not any((GIVEN / name).exists() for name in NAMES):
        raise SystemExit(
            f"secrets: SENTINODE_SECRETS is {given}, which holds none of {', '.join(NAMES)}; "
            "correct it, or leave it out to have all made"
        )


def _kept(path: Path) -> str | None:
    """What is in a file; None where there is none."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", "not text")
        raise SystemExit(
            f"secrets: {path.name} cannot be read ({reason}); SENTINODE_SECRETS and its files "
            "must be readable by uid 10001"
        ) from error


def files(passwords: Mapping[str, str], database: str) -> dict[Path, str]:
    """Every file by its path."""
    redis, orthanc = passwords["redis-password"], passwords["orthanc-password"]
    written = {READERS / "node" / name: text for name, text in passwords.items()}
    written[READERS / "node" / "sentinode_broker_url"] = f"redis://:{redis}@redis:6379/0"
    if database == "postgresql":
        written[READERS / "node" / "sentinode_database_url"] = (
            f"postgresql+psycopg://sentinode:{passwords['database-password']}@postgresql/sentinode"
        )
    written[READERS / "postgresql" / "password"] = passwords["database-password"]
    written[READERS / "redis" / "password"] = redis
    written[READERS / "redis" / "redis.conf"] = redis_configuration(redis)
    written[READERS / "orthanc" / "sentinode.json"] = json.dumps(orthanc_configuration(orthanc))
    return written


def redis_configuration(secret: str) -> str:
    """A doorbell: on disk within a second, no snapshots, never evicts a message."""
    return "\n".join(
        [
            "bind 0.0.0.0",
            "dir /data",
            "appendonly yes",
            'save ""',
            "maxmemory-policy noeviction",
            f"requirepass {secret}",
            "",
        ]
    )


def orthanc_configuration(secret: str) -> dict[str, object]:
    """What differs from Orthanc's defaults; orthanc/README.md gives the reasons."""
    return {
        "Name": "Sentinode archive",
        "StorageDirectory": "/var/lib/orthanc/db",
        "IndexDirectory": "/var/lib/orthanc/db",
        # Where the image keeps what its own start script would enable.
        "Plugins": ["/usr/share/orthanc/plugins-disabled/libOrthancDicomWeb.so"],
        "RemoteAccessAllowed": True,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {"sentinode": secret},
        "DicomAlwaysAllowStore": False,
        # Addresses of containers change; only this network reaches the port.
        "DicomCheckModalityHost": False,
        "OverwriteInstances": False,
        "DicomModalities": {
            "sentinode": ["SENTINODE", "node", 11112],
            "demo": ["DEMO_MODALITY", "node", 11112],
        },
        "DicomWeb": {"Enable": True},
    }


def write(path: Path, text: str) -> None:
    """Replace a file in one step. Its volume has no other readers, whose user we do not know."""
    scratch = path.with_name(f".{path.name}")
    scratch.write_text(text, encoding="utf-8")
    scratch.chmod(0o444)
    scratch.replace(path)


def _letters() -> set[str]:
    """RFC 3986 unreserved: what a URL carries as it is."""
    return set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


if __name__ == "__main__":
    main()
