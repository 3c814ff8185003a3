"""The DICOM peers that the node itself calls: `SENTINODE_PEERS`, read once and checked whole.

A peer is the target of C-MOVE and of Storage Commitment results, or a source of prior studies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from node.errors import ConfigurationError


class Peer(BaseModel):
    """One application entity and where it listens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ae_title: Annotated[str, Field(min_length=1, max_length=16)]
    host: str
    port: Annotated[int, Field(ge=1, le=65535)]
    # TLS with the node's own certificate, when it has one; `ca_file`: authorities of the peer's.
    tls: bool = False
    ca_file: Path | None = None
    # Shown to this peer instead of the node's own.
    certificate_file: Path | None = None
    key_file: Path | None = None
    timeout_seconds: Annotated[float, Field(gt=0)] = 30.0

    @field_validator("ae_title")
    @classmethod
    def _ae_title_fits(cls, value: str) -> str:
        # PS3.5 table 6.2-1, AE.
        if not value.strip() or "\\" in value or not value.isascii():
            raise ValueError("an AE title has 1 to 16 ASCII characters and no backslash")
        return value.strip()


def load_peers(path: Path | None) -> dict[str, Peer]:
    """Peers by AE title. Raises ConfigurationError naming the file and the entry."""
    if path is None:
        return {}
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        peers = [Peer.model_validate(entry) for entry in document["peers"]]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"peers file {path}: {type(error).__name__}; expected a list under the key `peers`"
        ) from error
    except ValidationError as error:
        raise ConfigurationError(f"peers file {path}: {error}") from error
    titles = [peer.ae_title for peer in peers]
    twice = sorted({title for title in titles if titles.count(title) > 1})
    if twice:
        raise ConfigurationError(f"peers file {path}: AE title {', '.join(twice)} is used twice")
    return {peer.ae_title: peer for peer in peers}
