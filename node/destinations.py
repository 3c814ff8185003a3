"""Where results go: the archives of `SENTINODE_DESTINATIONS`, read once and checked whole.

Passwords and tokens stand in files of their own (mounted secrets), never in this one; they are read
when they are used, so that a rotated secret needs no restart.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from node.entries import read_entries, refuse_repeats
from node.errors import ConfigurationError
from node.identifiers import read_ae_title, read_host
from node.peers import Peer
from node.settings import Seconds

# COMBINED is the report on a patient's mammogram and ultrasound together; REJECTED the note that
# tells a destination to hide an earlier revision, for which none can ask.
ResultKind = Literal["SEG", "SR", "CADSR", "GSPS", "SC", "KOS", "COMBINED", "REJECTED"]
# Different bytes of one content, for viewers that differ; "" for what has no variants. "c-": one
# segment per class of finding. "shutter": a presentation state for viewers that draw no graphics.
Variant = Literal["ohif", "plain", "c-ohif", "c-plain", "shutter", ""]
SegmentsPer = Literal["finding", "class"]
GspsOutlines = Literal["graphics", "shutter"]
Profile = Literal["ohif", "workstation", "legacy"]
# What a destination gets that does not name its `kinds`.
KINDS_OF_PROFILE: dict[Profile, tuple[ResultKind, ...]] = {
    "ohif": ("SEG", "SR", "COMBINED"),
    "workstation": ("SR", "CADSR", "GSPS", "KOS", "COMBINED"),
    "legacy": ("SC", "KOS"),
}
# PS3.4 table B.5-1.
SOP_CLASS_OF_KIND: dict[ResultKind, str] = {
    "SEG": "1.2.840.10008.5.1.4.1.1.66.4",
    "SR": "1.2.840.10008.5.1.4.1.1.88.33",
    "CADSR": "1.2.840.10008.5.1.4.1.1.88.50",
    "GSPS": "1.2.840.10008.5.1.4.1.1.11.1",
    "SC": "1.2.840.10008.5.1.4.1.1.7",
    "KOS": "1.2.840.10008.5.1.4.1.1.88.59",
    "COMBINED": "1.2.840.10008.5.1.4.1.1.88.33",
    "REJECTED": "1.2.840.10008.5.1.4.1.1.88.59",
}
SegSyntax = Literal["deflated", "explicit"]
_LONGEST_NAME = 64  # what the delivery table holds
# RFC 6750, section 2.1, and what else some issue: visible ASCII.
_TOKEN = re.compile(r"[!-~]+")
_FILES = ("password_file", "token_file", "ca_file", "certificate_file", "key_file")


class Destination(BaseModel):
    """One archive. `protocol` says which of the other fields are needed."""

    # Input stays out of error texts: someone may have written a password here after all.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME)]
    protocol: Literal["stow", "c-store"]
    # DICOMweb root; STOW-RS and QIDO-RS.
    url: str | None = None
    username: str | None = None
    password_file: Path | None = None
    token_file: Path | None = None
    # Certificate authority of a hospital's own, PEM; without it the system's.
    ca_file: Path | None = None
    # What we show to a server that asks for a certificate, PEM.
    certificate_file: Path | None = None
    key_file: Path | None = None
    # DIMSE peer; C-STORE, C-FIND and Storage Commitment.
    ae_title: str | None = None
    host: str | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    # Of the DIMSE peer; DICOMweb has it in the URL.
    tls: bool = False
    # What its viewers are; says what they need to be sent, and how it is written.
    profile: Profile = "ohif"
    # () : those of the profile.
    kinds: tuple[ResultKind, ...] = ()
    # What one segment of a segmentation is: one finding, or all of one class and model.
    segments_per: SegmentsPer = "finding"
    # How a presentation state shows its outlines: as graphics, or also as a bitmap display shutter.
    gsps_outlines: GspsOutlines = "graphics"
    # In which a segmentation is sent, the preferred one first; `explicit` is always tried last.
    seg_transfer_syntaxes: tuple[SegSyntax, ...] = ("deflated",)
    confirm: Literal["qido", "c-find", "commitment", "none"] = "none"
    # What becomes of the objects of earlier revisions once all new ones are confirmed there.
    replace: Literal["none", "rejection-note", "orthanc-delete"] = "none"
    # Root of Orthanc's REST API, for `orthanc-delete`; its account is that of the other fields.
    orthanc_url: str | None = None
    # A Storage Commitment that is not reported for this long is asked for again.
    commitment_seconds: Seconds = 900.0
    timeout_seconds: Seconds = 60.0

    @field_validator("profile", mode="before")
    @classmethod
    def _is_named_as_today(cls, value: Any) -> Any:
        if value == "plain":
            raise ValueError("`plain` is called `workstation` now; name `kinds` to keep SEG and SR")
        return value

    @field_validator("seg_transfer_syntaxes", mode="before")
    @classmethod
    def _holds_single_bits(cls, value: Any) -> Any:
        if isinstance(value, list | tuple) and "rle" in value:
            # PS3.5 table 8.2.2-1.
            raise ValueError("RLE Lossless does not hold one bit per pixel; write `deflated`")
        return value

    @field_validator("url", "orthanc_url")
    @classmethod
    def _is_web(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            if info.field_name == "orthanc_url":
                raise ValueError("give the root of Orthanc's REST API, e.g. https://pacs.example")
            raise ValueError("give the DICOMweb root, e.g. https://pacs.example/dicom-web")
        if parts.username or parts.password:
            raise ValueError("no credentials in the URL; use `username` and `password_file`")
        return value.rstrip("/")

    @field_validator("ae_title")
    @classmethod
    def _ae_title_fits(cls, value: str | None) -> str | None:
        return None if value is None else read_ae_title(value)

    @field_validator("host")
    @classmethod
    def _is_a_host(cls, value: str | None) -> str | None:
        return None if value is None else read_host(value)

    @model_validator(mode="after")
    def _is_reachable(self) -> Self:
        if "stow" in self._uses and self.url is None:
            raise ValueError("`url` is needed for stow and qido")
        if "c-store" in self._uses and None in (self.ae_title, self.host, self.port):
            raise ValueError(
                "`ae_title`, `host` and `port` are needed for c-store and c-find, and commitment"
            )
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("`certificate_file` and `key_file` need each other")
        if self.username is not None and self.password_file is None:
            raise ValueError("`username` needs `password_file`")
        if self.password_file is not None and self.username is None:
            raise ValueError("`password_file` needs `username`")
        if self.username is not None and self.token_file is not None:
            raise ValueError("use either `username` or `token_file`")
        return self

    @model_validator(mode="after")
    def _can_replace(self) -> Self:
        if "REJECTED" in self.kinds:
            raise ValueError("REJECTED cannot be asked for; set `replace: rejection-note`")
        if self.replace != "none" and self.confirm == "none":
            raise ValueError("`replace` needs `confirm`: nothing goes before the new is there")
        if self.replace == "orthanc-delete" and self.orthanc_url is None:
            raise ValueError("`orthanc_url` is needed for `replace: orthanc-delete`")
        return self

    @model_validator(mode="after")
    def _has_a_state_to_write(self) -> Self:
        if self.gsps_outlines == "shutter" and "GSPS" not in self.wanted_kinds:
            raise ValueError("`gsps_outlines: shutter` needs GSPS among `kinds`")
        return self

    @property
    def _uses(self) -> set[str]:
        by_confirmation = {"qido": "stow", "c-find": "c-store", "commitment": "c-store"}
        return {self.protocol, by_confirmation.get(self.confirm, self.protocol)}

    @property
    def uses_dimse(self) -> bool:
        """Whether anything of it goes by DIMSE."""
        return "c-store" in self._uses

    @property
    def uses_web(self) -> bool:
        """Whether anything of it goes by DICOMweb."""
        return "stow" in self._uses

    @property
    def peer(self) -> Peer:
        """The DIMSE peer of a destination that has one. Raises ConfigurationError."""
        if self.ae_title is None or self.host is None or self.port is None:
            raise ConfigurationError(
                f"destination {self.name} has no DIMSE peer; give `ae_title`, `host` and `port`"
            )
        return Peer(
            ae_title=self.ae_title,
            host=self.host,
            port=self.port,
            tls=self.tls,
            ca_file=self.ca_file,
            certificate_file=self.certificate_file,
            key_file=self.key_file,
            timeout_seconds=self.timeout_seconds,
        )

    def variant_of(self, kind: ResultKind) -> Variant:
        """The variant of a kind that its viewers read."""
        if kind == "GSPS":
            return "shutter" if self.gsps_outlines == "shutter" else ""
        if kind not in ("SEG", "SR"):
            return ""
        if self.segments_per == "class":
            return "c-ohif" if self.profile == "ohif" else "c-plain"
        return "ohif" if self.profile == "ohif" else "plain"

    @property
    def forms(self) -> frozenset[tuple[ResultKind, Variant]]:
        """Every kind it is sent, each in its variant."""
        return frozenset((kind, self.variant_of(kind)) for kind in self.wanted_kinds)

    @property
    def wanted_kinds(self) -> tuple[ResultKind, ...]:
        """Every kind it is sent."""
        return self.kinds or KINDS_OF_PROFILE[self.profile]

    def password(self) -> str | None:
        """Read the password. Raises ConfigurationError."""
        return self._secret("password_file", self.password_file)

    def token(self) -> str | None:
        """Read the bearer token. Raises ConfigurationError.

        What no header may hold is refused here: the HTTP library's error would quote the token.
        """
        token = self._secret("token_file", self.token_file)
        if token is not None and not _TOKEN.fullmatch(token):
            raise ConfigurationError(
                f"destination {self.name}: token_file {self.token_file} holds more than a token; "
                "write it alone, on one line without spaces"
            )
        return token

    def _secret(self, field: str, path: Path | None) -> str | None:
        if path is None:
            return None
        try:
            secret = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"destination {self.name}: {field} {path} cannot be read ({type(error).__name__})"
            ) from error
        if not secret:
            raise ConfigurationError(f"destination {self.name}: {field} {path} is empty")
        return secret


def load_destinations(path: Path | None) -> tuple[Destination, ...]:
    """Read the file; without one there are no destinations and results are only kept.

    Secrets' paths may be relative to the file. Raises ConfigurationError naming the file, the entry
    and the field.
    """
    if path is None:
        return ()
    destinations = tuple(
        _beside(path, destination)
        for destination in read_entries(path, "destinations", Destination)
    )
    refuse_repeats(path, "destinations", "name", [each.name for each in destinations])
    for destination in destinations:
        destination.password()
        destination.token()
        _check_tls(destination)
    return destinations


def _check_tls(destination: Destination) -> None:
    for field in ("ca_file", "certificate_file", "key_file"):
        path = getattr(destination, field)
        if path is not None and not path.is_file():
            raise ConfigurationError(
                f"destination {destination.name}: {field} {path} is not a file"
            )


def _beside(path: Path, destination: Destination) -> Destination:
    """The same with its files where the destinations file names them, relative to itself."""
    named = {field: getattr(destination, field) for field in _FILES}
    return destination.model_copy(
        update={field: file and path.parent / file for field, file in named.items()}
    )
