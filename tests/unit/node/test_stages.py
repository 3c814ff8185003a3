"""The layout is the flow: each package tells its stages in the order of its files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import node
import workers


@pytest.mark.parametrize("package", [node, workers])
def test_docstring_lists_existing_stages_in_order(package) -> None:
    """Every stage named in the package docstring is a file, numbered upwards."""
    folder = Path(package.__file__).parent
    stages = re.findall(r"^ {4}(\w+) +(\d)  ", package.__doc__, flags=re.MULTILINE)
    assert len(stages) >= 4
    numbers = [int(number) for _, number in stages]
    assert numbers == sorted(numbers)
    for name, number in stages:
        source = (folder / f"{name}.py").read_text(encoding="utf-8")
        assert source.startswith(f'"""Stage {number}'), name
