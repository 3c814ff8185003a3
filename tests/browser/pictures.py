"""Screenshots for the documentation: taken by the tests that prove them, when asked for."""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image
from selenium.webdriver import Chrome

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pictures"
# Grey tissue and a few colours need no more, and it is a third of the bytes.
_COLOURS = 256


def keep(driver: Chrome, name: str) -> None:
    """Write docs/pictures/NAME.png if SENTINODE_UPDATE_PICTURES=1."""
    if os.environ.get("SENTINODE_UPDATE_PICTURES") != "1":
        return
    FOLDER.mkdir(exist_ok=True)
    shot = Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")
    if name.startswith("ohif"):
        shot = shot.quantize(_COLOURS, dither=Image.Dither.NONE)
    shot.save(FOLDER / f"{name}.png", optimize=True)
