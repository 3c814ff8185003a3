"""Settings: one reader, clear errors, and documents that say the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.contract import FindingKind
from node.errors import ConfigurationError
from node.settings import Settings, load_settings, unknown_variables
from node.store.migrate import upgrade
from node.store.session import open_store
from scripts.write_configuration import configuration_page, example_file

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove what the shell has set."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SENTINODE_{name.upper()}", raising=False)
    monkeypatch.delenv("SENTINODE_CONFIG", raising=False)


def test_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable overrides the YAML file; lists may be written with commas."""
    path = tmp_path / "sentinode.yaml"
    path.write_text("dicom_port: 4000\nae_title: FROMFILE\n")
    monkeypatch.setenv("SENTINODE_CONFIG", str(path))
    monkeypatch.setenv("SENTINODE_DICOM_PORT", "5000")
    monkeypatch.setenv("SENTINODE_DICOM_ALLOWED_AE_TITLES", "A, B,")
    settings = load_settings()
    assert (settings.dicom_port, settings.ae_title) == (5000, "FROMFILE")
    assert settings.dicom_allowed_ae_titles == ("A", "B")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AE_TITLE", "X" * 17),
        ("DICOM_ALLOWED_AE_TITLES", "CT1," + "X" * 17),
        ("DICOM_ALLOWED_AE_TITLES", "MÜNCHEN"),
        ("DICOM_MAX_PDU_BYTES", "128"),
        ("DICOM_MAX_PDU_BYTES", "5000000000"),
        ("DICOM_PORT", "70000"),
        ("STUDY_QUIET_SECONDS", "-1"),
        ("STUDY_QUIET_SECONDS", "inf"),
        ("LEASE_SECONDS", "1e12"),
    ],
)
def test_wrong_value_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """The error says which variable to change."""
    monkeypatch.setenv(f"SENTINODE_{name}", value)
    with pytest.raises(ConfigurationError, match=f"SENTINODE_{name}"):
        load_settings()


def test_missing_file_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration that is named must exist."""
    monkeypatch.setenv("SENTINODE_CONFIG", "/nonexistent.yaml")
    with pytest.raises(ConfigurationError, match="nonexistent"):
        load_settings()


@pytest.mark.parametrize("name", ["AE_TITLE", "ae_title", "SENTINODE_AE_TITLE"])
def test_the_file_has_the_names_of_the_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A setting is called in the YAML file as it is in the environment, prefix or not."""
    path = tmp_path / "sentinode.yaml"
    path.write_text(f"{name}: FROMFILE\n")
    monkeypatch.setenv("SENTINODE_CONFIG", str(path))
    assert load_settings().ae_title == "FROMFILE"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe\x00", "not text in UTF-8"),
        (b"ae_title: [geheim", "line 1: not YAML"),
        (b"\nae_title: *geheim\n", "line 2: not YAML"),
        (b"ae_title: !geheim x\n", "wants quotes"),
        (b"- geheim\n", "name: value"),
        (b"AE_TITEL: geheim\n", "SENTINODE_AE_TITEL: no such setting; did you mean ae_title?"),
        (b"nothing_of_ours: geheim\n", "SENTINODE_NOTHING_OF_OURS: no such setting"),
    ],
)
def test_a_broken_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str
) -> None:
    """The error says which file and what is wrong, and quotes no value."""
    path = tmp_path / "sentinode.yaml"
    path.write_bytes(content)
    monkeypatch.setenv("SENTINODE_CONFIG", str(path))
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    assert said in str(refused.value)
    assert "geheim" not in str(refused.value)


def test_a_checkout_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands may be called from anywhere; a folder that is named, or there, is taken first."""
    monkeypatch.chdir(tmp_path)
    assert load_settings().model_repository == ROOT / "model_repository"
    (tmp_path / "model_repository").mkdir()
    assert load_settings().model_repository == Path("model_repository")
    monkeypatch.setenv("SENTINODE_MODEL_REPOSITORY", "/nonexistent/models")
    assert load_settings().model_repository == Path("/nonexistent/models")


@pytest.mark.parametrize("url", ["bogus://host", "127.0.0.1:6379", "amqp://geheim@host"])
def test_a_broker_that_is_none(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Celery would take another server for it, or end in a traceback; no password is told."""
    monkeypatch.setenv("SENTINODE_BROKER_URL", url)
    with pytest.raises(ConfigurationError, match=r"BROKER_URL.*redis://") as refused:
        load_settings()
    assert "geheim" not in str(refused.value)


def test_a_log_level_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused with the other settings, not by the first line that is logged."""
    monkeypatch.setenv("SENTINODE_LOG_LEVEL", "loud")
    with pytest.raises(ConfigurationError, match=r"SENTINODE_LOG_LEVEL.*WARNING"):
        load_settings()


def test_a_link_to_the_archive_is_an_address() -> None:
    """It stands on a page that people click."""
    assert load_settings(archive_url="https://pacs.example/ui").archive_url
    with pytest.raises(ConfigurationError, match=r"SENTINODE_ARCHIVE_URL.*https://host"):
        load_settings(archive_url="javascript:alert(1)")


def test_misspelt_variables_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of allowed peers under a wrong name restricts nobody; the log says so."""
    monkeypatch.setenv("SENTINODE_DICOM_ALLOWED_AETITLES", "MAMMO1")
    monkeypatch.setenv("SENTINODE_SOMETHING", "1")
    monkeypatch.setenv("sentinode_dicom_port", "4000")
    assert unknown_variables() == {
        "SENTINODE_DICOM_ALLOWED_AETITLES": "SENTINODE_DICOM_ALLOWED_AE_TITLES",
        "SENTINODE_SOMETHING": "",
    }


@pytest.mark.parametrize("url", ["nonsense", "mysql://a:secret@b/c", "nosuch+driver://a:secret@b"])
def test_a_database_that_is_none(url: str) -> None:
    """The error says which setting it is and what to write, and no password."""
    with pytest.raises(ConfigurationError, match="SENTINODE_DATABASE_URL") as refused:
        open_store(load_settings(database_url=url))
    assert "secret" not in str(refused.value)


def test_a_state_folder_that_is_none(tmp_path: Path) -> None:
    """The error says which setting it is."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="SENTINODE_STATE_DIR"):
        upgrade(load_settings(state_dir=tmp_path / "file" / "state"))


def test_settings_are_frozen() -> None:
    """Nothing changes a setting after it was read."""
    with pytest.raises(ValidationError):
        load_settings().dicom_port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("document", "written"),
    [(".env.example", example_file), ("docs/configuration.md", configuration_page)],
)
def test_documents_are_fresh(document: str, written: Callable[[], str]) -> None:
    """`.env.example` and the configuration page say what the settings say."""
    text = (ROOT / document).read_text(encoding="utf-8")
    assert text == written(), "run `make configuration`"


def test_secret_file_gives_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file named like its variable counts where the environment says nothing."""
    (tmp_path / "sentinode_database_url").write_text("postgresql+psycopg://a:b@c/d\n")
    monkeypatch.setenv("SENTINODE_SECRETS_DIR", str(tmp_path))
    assert load_settings().database == "postgresql+psycopg://a:b@c/d"
    monkeypatch.setenv("SENTINODE_DATABASE_URL", "sqlite:///other")
    assert load_settings().database == "sqlite:///other"
    monkeypatch.setenv("SENTINODE_SECRETS_DIR", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="not a folder"):
        load_settings()


def test_orthanc_account_needs_a_readable_file(tmp_path: Path) -> None:
    """A name without a password file, or with one that is not there, says which is missing."""
    password = tmp_path / "password"
    password.write_text("secret\n")
    settings = load_settings(orthanc_username="me", orthanc_password_file=password)
    assert settings.orthanc_account() == ("me", "secret")
    assert load_settings().orthanc_account() is None
    with pytest.raises(ConfigurationError, match="needs ORTHANC_PASSWORD_FILE"):
        load_settings(orthanc_username="me").orthanc_account()
    password.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        settings.orthanc_account()


def test_presentation_scores_are_numbers_by_finding_kind() -> None:
    """The kinds are those of the models; anything else is refused by name."""
    every = ",".join(f"{kind}=0.5" for kind in FindingKind)
    scores = load_settings(cad_presentation_scores=every).presentation_scores
    assert scores == {kind.value: 0.5 for kind in FindingKind}
    assert load_settings().presentation_scores == {}
    for wrong in ("nodule=0.5", "mass=1.5", "mass", "mass=high"):
        with pytest.raises(ConfigurationError, match="CAD_PRESENTATION_SCORES"):
            load_settings(cad_presentation_scores=wrong)
