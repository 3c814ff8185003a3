"""Commands that need the models: what `check` looks at."""

from __future__ import annotations

from pathlib import Path

from node.settings import load_settings
from workers.commands import with_destinations


def test_the_destinations_of_an_embedded_stack_are_checked(tmp_path: Path) -> None:
    """They stand in its state folder; a file that is named goes first, and none is no error."""
    settings = load_settings(state_dir=tmp_path, destinations=None)
    assert with_destinations(settings).destinations is None
    (tmp_path / "destinations.yaml").touch()
    assert with_destinations(settings).destinations == tmp_path / "destinations.yaml"
    named = load_settings(state_dir=tmp_path, destinations=Path("/etc/mine.yaml"))
    assert with_destinations(named).destinations == Path("/etc/mine.yaml")
