"""Text in pictures: one face, its sizes, and lines that fit."""

from __future__ import annotations

import math
from functools import lru_cache

from PIL import ImageFont

_FONT_PX = 21


@lru_cache(maxsize=32)
def font(size: float = 1.0) -> ImageFont.FreeTypeFont:
    """The face that Pillow carries, so that pictures are the same on every machine."""
    face = ImageFont.load_default(round(_FONT_PX * size))
    assert isinstance(face, ImageFont.FreeTypeFont)
    return face


def text_size(text: str, size: float = 1.0) -> tuple[int, int]:
    """Width and height in pixels."""
    left, top, right, bottom = font(size).getbbox(text)
    return math.ceil(right - left), math.ceil(bottom - top)


def wrapped(text: str, width_px: int, size: float = 1.0) -> list[str]:
    """The text in lines of at most `width_px`, at least one; a word that is too long is cut."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if font(size).getlength(longer) <= width_px:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        while font(size).getlength(word) > width_px and len(word) > 1:
            fits = _fitting(word, width_px, size)
            lines[-1], word = word[:fits], word[fits:]
            lines.append("")
        lines[-1] = word
    return lines


def _fitting(word: str, width_px: int, size: float) -> int:
    """How many characters of the word fit, at least one."""
    fits = 1
    while fits < len(word) and font(size).getlength(word[: fits + 1]) <= width_px:
        fits += 1
    return fits
