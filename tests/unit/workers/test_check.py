"""`sentinode check`: what is configured is looked at, also what is not read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.health import Check
from node.settings import load_settings
from workers.check import all_checks


@pytest.mark.parametrize(
    ("name", "ok", "said"),
    [
        ("SENTINODE_DICOM_ALLOWED_AETITLES", False, "mean SENTINODE_DICOM_ALLOWED_AE_TITLES?"),
        ("SENTINODE_SOMETHING", True, "SENTINODE_SOMETHING is none and is ignored"),
    ],
)
def test_misspelt_settings_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, ok: bool, said: str
) -> None:
    """What was to restrict the callers and restricts nobody fails; a stranger is named."""
    monkeypatch.setenv(name, "MAMMO1")
    found = _settings_check(tmp_path)
    assert found.ok is ok
    assert said in found.text


def test_known_settings_are_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to be told."""
    monkeypatch.delenv("SENTINODE_DATA", raising=False)  # of the tests
    assert _settings_check(tmp_path).text == "every SENTINODE_ variable is one"


@pytest.fixture(name="back")
def _back(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Afterwards the zone is what it was."""
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("zone", "ok", "said"),
    [
        ("Europe/Berlinn", False, "TZ is no zone that is known here"),
        ("Asia/Kathmandu", True, ", UTC+0545"),
        ("JST-9", True, ", UTC+0900"),
        ("Europe/London", True, ", UTC+0"),
        ("Africa/Abidjan", True, ", UTC+0000"),
        ("America/Danmarkshavn", True, ", UTC+0000"),
        ("Etc/Zulu", True, ", UTC+0000"),
        ("", True, ", UTC+0000"),
    ],
)
def test_a_misspelt_zone_is_told(
    tmp_path: Path, back: pytest.MonkeyPatch, zone: str, ok: bool, said: str
) -> None:
    """It counted as UTC, without a word: reports were dated hours beside their images."""
    back.setenv("TZ", zone)
    time.tzset()
    found = _check(tmp_path, "clock")
    assert found.ok is ok
    assert said in found.text


def _settings_check(folder: Path) -> Check:
    return _check(folder, "settings")


def _check(folder: Path, name: str) -> Check:
    (folder / "routes.yaml").write_text("routes: [{name: all, skip: nothing is analysed}]")
    away = {"broker_url": "redis://127.0.0.1:1/0", "triton_url": "127.0.0.1:1"}
    settings = load_settings(state_dir=folder / "state", routes=folder / "routes.yaml", **away)
    [found] = [check for check in all_checks(settings) if check.name == name]
    return found
