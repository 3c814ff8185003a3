"""Every line of the conformance statement has a proof: a test that exists, by name.

`proofs.toml` lists for each section the rows of its tables by their first cell, and its paragraphs
by how they begin, with the tests that prove them. A new line without a proof fails here; so does a
proof of a line that is gone, or a test that was renamed.
"""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from pathlib import Path

import pytest

from tests.conformance.statement import ROOT, Section, sections

PROOFS: dict[str, dict[str, list[str]]] = tomllib.loads(
    (Path(__file__).parent / "proofs.toml").read_text(encoding="utf-8")
)


def lines_of(section: Section) -> list[str]:
    """What needs a proof. A paragraph that ends in a colon only leads to what follows."""
    leading = [each for each in section.paragraphs if not each.endswith(":")]
    return [*section.column(0), *leading]


@pytest.mark.parametrize("number", sections())
def test_every_line_has_a_proof(number: str) -> None:
    """No row and no paragraph is left out."""
    named = PROOFS.get(number, {})
    bare = [line for line in lines_of(sections()[number]) if not _proved(line, named)]
    assert bare == [], "add a test, and its name to tests/conformance/proofs.toml"


def test_every_proof_proves_a_line() -> None:
    """Nothing is proved that the statement does not say any more."""
    for number, named in PROOFS.items():
        lines = lines_of(sections()[number])
        stale = [begin for begin in named if not any(line.startswith(begin) for line in lines)]
        assert stale == [], number


def test_every_proof_is_a_test() -> None:
    """An entry "integration/test_x::name" is the function test_name of that module."""
    tests = {test for named in PROOFS.values() for proofs in named.values() for test in proofs}
    missing = sorted(test for test in tests if not _exists(test))
    assert missing == []


def _proved(line: str, named: dict[str, list[str]]) -> bool:
    return any(line.startswith(begin) and proofs for begin, proofs in named.items())


def _exists(test: str) -> bool:
    module, _, name = test.partition("::")
    return f"test_{name}" in _functions(ROOT / "tests" / f"{module}.py")


@cache
def _functions(path: Path) -> frozenset[str]:
    if not path.is_file():
        return frozenset()
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return frozenset(node.name for node in body if isinstance(node, ast.FunctionDef))
