"""The DICOM peers that the node itself calls: `SENTINODE_PEERS`, read once and checked whole.

A peer is the target of C-MOVE and of Storage Commitment results, or a source of prior studies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from node.entries import read_entries, refuse_repeats
from node.identifiers import read_ae_title, read_host
from node.settings import Seconds

_FILES = ("ca_file", "certificate_file", "key_file")


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
    timeout_seconds: Seconds = 30.0

    @field_validator("ae_title")
    @classmethod
    def _ae_title_fits(cls, value: str) -> str:
        return read_ae_title(value)

    @field_validator("host")
    @classmethod
    def _is_a_host(cls, value: str) -> str:
        return read_host(value)


def load_peers(path: Path | None) -> dict[str, Peer]:
    """Peers by AE title; paths of certificates may be relative to the file.

    Raises ConfigurationError naming the file, the entry and the field.
    """
    if path is None:
        return {}
    peers = [_beside(path, peer) for peer in read_entries(path, "peers", Peer)]
    refuse_repeats(path, "peers", "AE title", [peer.ae_title for peer in peers])
    return {peer.ae_title: peer for peer in peers}


def _beside(path: Path, peer: Peer) -> Peer:
    """The same with its files where the peers file names them, relative to itself."""
    named = {field: getattr(peer, field) for field in _FILES}
    return peer.model_copy(
        update={field: file and path.parent / file for field, file in named.items()}
    )
