"""A headless Chromium that draws WebGL in software, driven through its own chromedriver."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

INSTALL = "apt-get install chromium chromium-driver"
WINDOW_PX = (1400, 1000)
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--force-device-scale-factor=1",
    # A browser under test asks nobody anything.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def missing() -> str | None:
    """Return what to install, or None."""
    if shutil.which("chromium") and shutil.which("chromedriver"):
        return None
    return f"Chromium with its driver is not installed: {INSTALL}"


@contextmanager
def running_chromium() -> Iterator[Chrome]:
    """Run a browser with an empty profile until the block ends."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*_FLAGS, f"--window-size={WINDOW_PX[0]},{WINDOW_PX[1]}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()
