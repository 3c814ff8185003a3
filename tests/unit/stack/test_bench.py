"""`sentinode bench` outside a checkout."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from node.errors import ConfigurationError
from stack.bench import become, bench


def test_without_a_checkout_it_says_what_to_do(tmp_path: Path) -> None:
    """An installed package has no benchmarks: the error names the way to them."""
    with pytest.raises(ConfigurationError, match="make bench-receive"):
        become(tmp_path, "receive", ())


def test_help_says_what_it_needs() -> None:
    """The need of a source checkout and the test extra stands in the help."""
    said = " ".join(CliRunner().invoke(bench, ["--help"]).output.split())
    assert "Needs a source checkout with the test extra" in said
