"""Lines of text that fit."""

from __future__ import annotations

import pytest

from workers.pictures.typesetting import font, wrapped


@pytest.mark.parametrize("width_px", [40, 120, 400, 4000])
@pytest.mark.parametrize("text", ["a few words of text, more of them", "x" * 200, "y " * 99, "m"])
def test_lines_fit_and_lose_nothing(text: str, width_px: int) -> None:
    """Every line fits, and together they are the text."""
    lines = wrapped(text, width_px)
    assert all(font().getlength(line) <= width_px for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_no_text_is_one_empty_line() -> None:
    """An empty line keeps its height."""
    assert wrapped("", 100) == [""]


def test_a_width_that_holds_nothing_ends() -> None:
    """One character a line, not for ever."""
    assert wrapped("abc", 1) == ["a", "b", "c"]
