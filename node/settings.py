"""The one reader of the environment: every setting, its unit and its default.

Values come from `SENTINODE_*` variables, else from the YAML file that `SENTINODE_CONFIG` names
(same names, with or without prefix, any case), else from the files of the folder
`SENTINODE_SECRETS_DIR` (each named like its variable, in lower case), else from here. The object is
frozen and passed on; nothing else reads the environment.
"""

from __future__ import annotations

import ipaddress
import os
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from node.entries import read_mapping
from node.errors import ConfigurationError
from node.identifiers import read_ae_title

Port = Annotated[int, Field(ge=1, le=65535)]
Bytes = Annotated[int, Field(ge=0)]
Names = Annotated[tuple[str, ...], NoDecode]
# A hundred years; what is much more has no date.
MOST_DAYS = 36500
Seconds = Annotated[float, Field(gt=0, le=MOST_DAYS * 86400)]
# Where this package stands: a checkout, or where packages are installed.
_CHECKOUT = Path(__file__).resolve().parent.parent
# Celery's transports to a Redis (kombu.transport).
_BROKERS = ("redis", "rediss", "redis+socket", "sentinel")
# A shorter one would hold little more than its own headers. PS3.8 D.1 has 32 bits for the length.
_SHORTEST_PDU_BYTES = 4096
# Read before the settings themselves.
_FILE_VARIABLES = ("SENTINODE_CONFIG", "SENTINODE_SECRETS_DIR")
# Those of models.contract.FindingKind, which the node does not load.
_FINDING_KINDS = ("mass", "calcification_cluster", "arterial_calcification")


class Settings(BaseSettings):
    """All settings. Field descriptions are the configuration reference."""

    model_config = SettingsConfigDict(
        env_prefix="SENTINODE_", frozen=True, extra="forbid", env_ignore_empty=True
    )

    ae_title: str = Field("SENTINODE", description="AE title of the receiver and of its own calls.")
    dicom_host: str = Field(
        "127.0.0.1", description="Address the DICOM listener binds; 0.0.0.0 to serve a network."
    )
    dicom_port: Port = Field(11112, description="Port of the DICOM listener.")
    dicom_allowed_ae_titles: Names = Field(
        (), description="Calling AE titles that may connect, comma separated; empty allows all."
    )
    dicom_allowed_networks: Names = Field(
        (), description="Networks (CIDR) that may connect, comma separated; empty allows all."
    )
    dicom_require_called_ae_title: bool = Field(
        False, description="Reject associations that call another AE title than AE_TITLE."
    )
    dicom_storage_classes: Literal["all", "breast"] = Field(
        "all",
        description="`all` storage SOP classes, or `breast`: mammography, tomosynthesis, "
        "ultrasound, secondary capture, SEG, SR, presentation states, key objects, PDF.",
    )
    dicom_processes: Annotated[int, Field(ge=0, le=64)] = Field(
        0,
        description="Receiver processes that share the port; 0: as many as there are processors, "
        "two at most.",
    )
    dicom_max_associations: Annotated[int, Field(ge=1)] = Field(
        100, description="Associations that the receiver serves at the same time."
    )
    dicom_max_associations_per_host: Annotated[int, Field(ge=1)] = Field(
        50, description="Of these, how many one host may hold."
    )
    dicom_max_pdu_bytes: Bytes = Field(
        262144, description="Largest PDU the receiver asks for; 0 is unlimited."
    )
    dicom_async_operations: Annotated[int, Field(ge=1, le=1024)] = Field(
        16,
        description="C-STORE requests a sender may have open on one association when it negotiates "
        "an asynchronous operations window; 1 turns that off.",
    )
    dicom_request_timeout_seconds: Seconds = Field(
        10.0, description="A connection must have sent its association request after this."
    )
    dicom_pdu_timeout_seconds: Seconds = Field(
        30.0, description="A PDU must be complete this long after its first byte, or read by then."
    )
    dicom_network_timeout_seconds: Seconds = Field(
        60.0, description="An association silent for longer is aborted."
    )
    dicom_association_timeout_seconds: Seconds = Field(
        21600.0, description="No association lives longer."
    )
    dicom_plain: bool = Field(
        True, description="Listen on DICOM_PORT without TLS; off leaves DICOM_TLS_PORT alone."
    )
    dicom_tls_port: Port | None = Field(
        None, description="Port of the DICOM listener with TLS, by custom 2762; empty: none."
    )
    dicom_tls_certificate: Path | None = Field(
        None, description="PEM file with the listener's certificate and its chain."
    )
    dicom_tls_key: Path | None = Field(None, description="PEM file with its private key.")
    dicom_tls_client_ca: Path | None = Field(
        None,
        description="PEM file of the authorities whose client certificates are accepted; when set, "
        "a client certificate is required.",
    )
    peers: Path | None = Field(
        None,
        description="YAML file of DICOM peers: targets of C-MOVE and of Storage Commitment "
        "results, sources of prior studies.",
    )
    priors: Path | None = Field(
        None, description="YAML file of rules for retrieving prior studies; empty: none."
    )
    min_free_bytes: Bytes = Field(
        1 << 30, description="Below this much free disk a C-STORE is refused with 0xA700."
    )
    max_waiting_studies: Annotated[int, Field(ge=0)] = Field(
        0,
        description="With more studies than this waiting for a worker, a C-STORE is refused with "
        "0xA700; 0: no limit.",
    )
    source_quota_bytes_per_hour: Bytes = Field(
        0, description="What one calling AE title may store in an hour; 0: no limit."
    )

    http_host: str = Field(
        "127.0.0.1",
        description="Address the web process binds; at another than loopback nobody sees a study "
        "without an account.",
    )
    http_port: Port = Field(8080, description="Port of the web process.")
    http_names: Names = Field(
        (),
        description="Names by which a reverse proxy on this machine is called, comma separated: a "
        "web process that binds loopback answers to these beside localhost.",
    )
    http_trusted_proxies: Names = Field(
        ("127.0.0.1", "::1"),
        description="Addresses and networks (CIDR) of reverse proxies, comma separated: their "
        "X-Forwarded-Proto and X-Forwarded-For are believed.",
    )
    web_accounts_file: Path | None = Field(
        None,
        description="File of the accounts that may log in to the web process, as `sentinode "
        "account` writes it; empty: STATE_DIR/web/accounts, once it exists.",
    )
    web_admin_password_file: Path | None = Field(
        None,
        description="File with the password of the account `admin` (operator), which is there "
        "beside those of the accounts file; empty: no such account.",
    )
    web_session_key_file: Path | None = Field(
        None,
        description="File with the secret that signs sessions, 32 bytes or more, the same for "
        "every web process; empty: STATE_DIR/web/session-key, made once.",
    )
    web_idle_seconds: Seconds = Field(
        1800.0, description="A session that nobody uses for this long has ended."
    )
    web_session_seconds: Seconds = Field(
        43200.0, description="A session ends this long after the login, used or not."
    )
    stow_token_file: Path | None = Field(
        None,
        description="File with the bearer token that STOW-RS senders must show; empty: STOW-RS is "
        "open to this machine only.",
    )
    stow_max_request_bytes: Bytes = Field(
        8 << 30, description="Largest STOW-RS request; 0: no limit."
    )

    state_dir: Path = Field(Path("state"), description="Folder of instances, results, pictures.")
    database_url: str = Field(
        "", description="SQLAlchemy URL; empty means SQLite in STATE_DIR/sentinode.db."
    )
    broker_url: str = Field("redis://127.0.0.1:6379/0", description="Celery broker.")
    triton_url: str = Field(
        "127.0.0.1:8001",
        description="Triton's gRPC address, host:port; several with commas between. A host with "
        "several addresses counts as several.",
    )
    triton_timeout_seconds: Seconds = Field(120.0, description="Deadline of one inference.")

    study_quiet_seconds: Seconds = Field(
        60.0, description="A study is complete when no image came for this long."
    )
    study_max_seconds: Seconds = Field(
        900.0, description="A study is complete this long after its first image, whatever comes."
    )
    study_expected_views: Names = Field(
        ("L-CC", "R-CC", "L-MLO", "R-MLO"),
        description="When all of these are in, the study is complete after STUDY_READY_SECONDS.",
    )
    study_ready_seconds: Seconds = Field(
        5.0, description="Quiet time once all expected views are in."
    )

    keep_days: Annotated[int, Field(ge=0, le=MOST_DAYS)] = Field(
        0,
        description="The sweeper removes a study when nothing has happened to it for this many "
        "days: no image, no job, no delivery; 0: never. Failed studies stay.",
    )

    combine_window_days: Annotated[int, Field(ge=0, le=3650)] = Field(
        90,
        description="A mammogram and an ultrasound of one patient at most this many days apart are "
        "assessed together; 0: never. 90 covers the work-up of a recall and ends before a "
        "follow-up after six months.",
    )

    cad_presentation_scores: Names = Field(
        (),
        description="From which score on the Mammography CAD report asks a workstation to show a "
        "finding, comma separated, e.g. `mass=0.85,arterial_calcification=1`; kinds: mass, "
        "calcification_cluster, arterial_calcification. What is below is there, and optional to "
        "show. A kind without a score: the operating point of its model.",
    )

    routes: Path | None = Field(None, description="YAML file of routing rules; empty: built-in.")
    destinations: Path | None = Field(
        None, description="YAML file of destinations; empty: results are only kept."
    )

    beat_file: Path | None = Field(
        None,
        description="File that a process touches at every heartbeat, for `sentinode probe`; the "
        "images set it.",
    )
    sweep_seconds: Seconds = Field(1.0, description="How often deadlines and leases are looked at.")
    lease_seconds: Seconds = Field(
        30.0,
        description="A job whose worker is silent for this long is given to another.",
    )
    ring_seconds: Seconds = Field(
        10.0,
        description="A waiting job without a message in the broker is rung again after this.",
    )
    retry_seconds: Seconds = Field(
        5.0, description="First pause after a transient failure; doubles up to RETRY_MAX_SECONDS."
    )
    retry_max_seconds: Seconds = Field(60.0, description="Longest pause between two tries.")
    retry_give_up_seconds: Seconds = Field(
        86400.0, description="A job that still fails after this long is failed (dead letter)."
    )

    partial_report_seconds: Seconds = Field(
        1800.0,
        description="A study that waited this long for a model is reported without it, as "
        "incomplete, and once more when the model answers.",
    )

    crash_limit: Annotated[int, Field(ge=1)] = Field(
        5, description="A job whose worker died this often is failed instead of tried again."
    )

    orthanc_http_port: Port = Field(8042, description="Embedded stack: Orthanc's HTTP port.")
    orthanc_dicom_port: Port = Field(4242, description="Embedded stack: Orthanc's DICOM port.")
    orthanc_url: str = Field(
        "", description="Base URL of the Orthanc whose DICOMweb the viewer shows; empty: embedded."
    )
    orthanc_username: str = Field(
        "", description="Account at ORTHANC_URL with which the viewer's requests are forwarded."
    )
    orthanc_password_file: Path | None = Field(
        None, description="File with the password of ORTHANC_USERNAME."
    )
    archive_url: str = Field(
        "",
        description="Address of the archive's own pages as people's browsers reach it, linked on "
        "the page of each study; empty: ORTHANC_URL where browser, node and Orthanc are on one "
        "machine, else no link.",
    )
    redis_port: Port = Field(6379, description="Embedded stack: Redis' port.")
    triton_http_port: Port = Field(8000, description="Embedded stack: Triton's HTTP port.")
    triton_grpc_port: Port = Field(8001, description="Embedded stack: Triton's gRPC port.")
    triton_metrics_port: Port = Field(8002, description="Embedded stack: Triton's metrics port.")
    model_repository: Path = Field(
        Path("model_repository"), description="Embedded stack: what Triton loads."
    )
    ohif_dir: Path = Field(Path(".ohif/dist"), description="Built OHIF viewer served at /viewer.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR."
    )

    @field_validator(
        "dicom_allowed_ae_titles",
        "dicom_allowed_networks",
        "study_expected_views",
        "cad_presentation_scores",
        "http_names",
        "http_trusted_proxies",
        mode="before",
    )
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("dicom_allowed_networks", "http_trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network, strict=False)
        return value

    @field_validator("http_trusted_proxies")
    @classmethod
    def _are_exact(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        # uvicorn passes over a network that has bits of a host.
        return tuple(
            str(ipaddress.ip_network(text, strict=False)) if "/" in text else text for text in value
        )

    @field_validator("cad_presentation_scores")
    @classmethod
    def _are_scores(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            kind, _, score = entry.partition("=")
            if kind not in _FINDING_KINDS:
                raise ValueError(f"{kind} is none of {', '.join(_FINDING_KINDS)}")
            if not 0 <= float(score or "nan") <= 1:
                raise ValueError(f"write {kind}=SCORE with a score from 0 to 1")
        return value

    @field_validator("model_repository", "ohif_dir")
    @classmethod
    def _is_found(cls, value: Path) -> Path:
        # A checkout's own, whatever folder its commands are called from.
        beside = _CHECKOUT / value
        return beside if not value.exists() and beside.exists() else value

    @field_validator("archive_url")
    @classmethod
    def _is_a_page(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("write http://host or https://host")
        return value

    @field_validator("broker_url")
    @classmethod
    def _is_a_broker(cls, value: str) -> str:
        if value.partition("://")[0] not in _BROKERS:
            raise ValueError("write redis://host:6379/0, or rediss:// for TLS")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_capitals(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("ae_title")
    @classmethod
    def _ae_title_fits(cls, value: str) -> str:
        return read_ae_title(value)

    @field_validator("dicom_allowed_ae_titles")
    @classmethod
    def _ae_titles_fit(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for title in value:
            try:
                read_ae_title(title)
            except ValueError as error:
                raise ValueError(f"{title}: {error}; use commas") from error
        return value

    @field_validator("dicom_max_pdu_bytes")
    @classmethod
    def _fits_a_pdu(cls, value: int) -> int:
        if value and not _SHORTEST_PDU_BYTES <= value < 1 << 32:
            raise ValueError(f"write 0, or {_SHORTEST_PDU_BYTES} to {(1 << 32) - 1}")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, the YAML file, the files of secrets."""
        sources = [init_settings, env_settings]
        if path := os.environ.get("SENTINODE_CONFIG"):
            if not Path(path).is_file():
                raise ConfigurationError(f"SENTINODE_CONFIG names {path}, which is not a file")
            written = read_mapping(Path(path), "SENTINODE_CONFIG")
            values = {_without_prefix(name): value for name, value in written.items()}
            sources.append(InitSettingsSource(settings_cls, values))
        if folder := os.environ.get("SENTINODE_SECRETS_DIR"):
            if not Path(folder).is_dir():
                raise ConfigurationError(
                    f"SENTINODE_SECRETS_DIR names {folder}, which is not a folder"
                )
            sources.append(SecretsSettingsSource(settings_cls, Path(folder)))
        return tuple(sources)

    @cached_property
    def database(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.database_url or f"sqlite:///{(self.state_dir / 'sentinode.db').absolute()}"

    @cached_property
    def orthanc(self) -> str:
        """Base URL of Orthanc, without a trailing slash."""
        return (self.orthanc_url or f"http://127.0.0.1:{self.orthanc_http_port}").rstrip("/")

    @cached_property
    def web_accounts(self) -> Path:
        """The accounts file in force, which need not exist."""
        return (self.web_accounts_file or self.state_dir / "web" / "accounts").absolute()

    @cached_property
    def web_session_key(self) -> Path:
        """The file of the sessions' key in force."""
        return (self.web_session_key_file or self.state_dir / "web" / "session-key").absolute()

    @cached_property
    def presentation_scores(self) -> dict[str, float]:
        """CAD_PRESENTATION_SCORES by finding kind."""
        entries = (entry.partition("=") for entry in self.cad_presentation_scores)
        return {kind: float(score) for kind, _, score in entries}

    def orthanc_account(self) -> tuple[str, str] | None:
        """Name and password at Orthanc; None without a name. Raises ConfigurationError."""
        if not self.orthanc_username:
            return None
        path = self.orthanc_password_file
        if path is None:
            raise ConfigurationError("ORTHANC_USERNAME needs ORTHANC_PASSWORD_FILE")
        try:
            return self.orthanc_username, path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"ORTHANC_PASSWORD_FILE {path} cannot be read ({type(error).__name__})"
            ) from error


def _without_prefix(name: str) -> str:
    """A variable's name, or a setting's own, as the field is called."""
    return name.lower().removeprefix("sentinode_")


def unknown_variables() -> dict[str, str]:
    """`SENTINODE_*` variables that no setting reads, each with the most similar one that is, or "".

    Mostly they are misspelt, and what they were to restrict is open.
    """
    known = {f"SENTINODE_{name.upper()}" for name in Settings.model_fields} | set(_FILE_VARIABLES)
    strange = sorted(name for name in os.environ if name.upper().startswith("SENTINODE_"))
    return {
        name: next(iter(get_close_matches(name.upper(), known, 1, 0.8)), "")
        for name in strange
        if name.upper() not in known
    }


def _no_setting(name: str) -> str:
    """Of a name in a file: in the environment it would be passed over, and logged."""
    similar = get_close_matches(name.lower(), Settings.model_fields, 1, 0.8)
    return f"no such setting; did you mean {similar[0]}?" if similar else "no such setting"


def load_settings(**overrides: Any) -> Settings:
    """Read the settings once. Raises ConfigurationError that names each wrong setting."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        wrong = "; ".join(
            f"SENTINODE_{(name := '_'.join(map(str, item['loc'])).upper())}: "
            + (_no_setting(name) if item["type"] == "extra_forbidden" else item["msg"])
            for item in error.errors()
        )
        raise ConfigurationError(f"settings: {wrong}") from error
    except OSError as error:
        raise ConfigurationError(f"settings: {error.filename}: {error.strerror}") from error
