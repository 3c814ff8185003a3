"""`sentinode bench` outside a checkout."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from node.errors import ConfigurationError
from stack.bench import CHECKOUT, NAMES, become, bench


def test_without_a_checkout_it_says_what_to_do(tmp_path: Path) -> None:
    """An installed package has no benchmarks: the error names the way to them."""
    with pytest.raises(ConfigurationError, match="make bench-receive"):
        become(tmp_path, "receive", ())


def test_help_says_what_it_needs() -> None:
    """The need of a source checkout and the test extra stands in the help."""
    said = " ".join(CliRunner().invoke(bench, ["--help"]).output.split())
    assert "Needs a source checkout with the test extra" in said


def test_every_measurement_has_its_command_and_its_target() -> None:
    """`sentinode bench NAME` and `make bench-NAME` know the same; `make bench` does all."""
    for name in NAMES:
        assert (CHECKOUT / "benchmarks" / f"{name}.py").is_file()
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^bench-([a-z]+):", makefile, re.MULTILINE)
    assert sorted(targets) == sorted(NAMES)
    plan = ["make", "--dry-run", "bench"]
    done = subprocess.run(plan, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert [name for name in NAMES if f"-m benchmarks.{name}" not in done.stdout] == []
