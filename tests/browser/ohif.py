"""OHIF as a person uses it: open a study, double-click a series, answer the question."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.overlay import Screen

# Software rendering: five seconds are usual, a minute was seen on two cores shared with a training.
PATIENCE_SECONDS = 75
# A double-click that the busy viewer missed is repeated after this long.
CLICK_AGAIN_SECONDS = 20
# OHIF 3.12 now and then starts with an empty page and stays so; then it is loaded again.
OPEN_AGAIN_SECONDS = 15
_VIEWPORT = "const viewport = cornerstone.getRenderingEngines()[0].getViewports()[0];"
_SHOWS_IMAGE = """
  const viewport = window.cornerstone?.getRenderingEngines()?.[0]?.getViewports()?.[0];
  return Boolean(viewport?.getImageData?.() && viewport.viewportStatus === 'rendered');
"""
_PLACE = f"""
  {_VIEWPORT}
  const box = viewport.canvas.getBoundingClientRect();
  const image = viewport.getImageData().imageData;
  const place = (x, y) => {{
    const [left, top] = viewport.worldToCanvas(image.indexToWorld([x, y, 0]));
    return [box.left + left, box.top + top];
  }};
  const pane = document.querySelector('[data-cy=viewport-pane]');
  const furniture = [...pane.querySelectorAll('*')].filter(element =>
    !element.closest('.svg-layer, canvas') && !element.parentElement.closest('svg, button')
    && (element.matches('svg, button, [data-cy^=viewport-overlay]') || !element.firstElementChild)
    && element.clientWidth * element.clientHeight < 0.05 * pane.clientWidth * pane.clientHeight);
  return {{
    corners: [place(0, 0), place(100, 0), place(0, 100)],
    furniture: furniture.map(element => {{
      const {{ left, top, width, height }} = element.getBoundingClientRect();
      return [left, top, width, height];
    }}),
  }};
"""
_SEGMENTED_FRAMES = """
  const maps = cornerstoneTools.segmentation.state.getSegmentations()
    .flatMap(each => Object.values(each.representationData))
    .flatMap(each => each.imageIds.map(id => cornerstone.cache.getImage(id)));
  return maps.filter(map => map.voxelManager.getScalarData().some(value => value > 0))
    .map(map => Number(map.referencedImageId.split('/').pop()));
"""


@dataclass(frozen=True)
class Viewer:
    """OHIF in a browser, served at `url`."""

    driver: Chrome
    url: str

    def again_if_stuck(self, gesture: Callable[[], Screen]) -> Screen:
        """Do `gesture`, which opens a study first, and once more if the viewer got stuck.

        A loaded machine has been seen to lose a frame for good; a person reloads the page. A viewer
        that says that something went wrong is not stuck, and fails at once.
        """
        try:
            return gesture()
        except AssertionError:
            if self._crashed():
                raise
            return gesture()

    def open(self, study_uid: str) -> None:
        """Open a study and wait until its image is drawn; a page that stays empty is reloaded."""
        address = f"{self.url}/viewer?StudyInstanceUIDs={study_uid}"
        opened_at = float("-inf")

        def drawn() -> bool:
            nonlocal opened_at
            is_late = time.monotonic() - opened_at > OPEN_AGAIN_SECONDS
            if is_late and not self.driver.execute_script("return document.body.innerText"):
                self.driver.get(address)
                opened_at = time.monotonic()
            return bool(self.driver.execute_script(_SHOWS_IMAGE))

        # Whatever was shown before is gone, so that nothing of it is taken for this study.
        self.driver.get("about:blank")
        self._until(drawn, "the image was not drawn")
        # The tour, and the player that stands before a loop.
        for button in self._all("[data-cy=confirm-and-hide-button], [data-cy=cine-player-close]"):
            button.click()

    def series(self) -> list[str]:
        """Modalities of the series that have no thumbnail, as the study browser lists them."""
        return [element.text.split("\n")[0] for element in self._listed()]

    def open_series(self, modality: str, saying: str = "") -> None:
        """Double-click a series of this modality until the viewer shows that it took it.

        `saying`: part of its description, or "S:" and its number; the first that says so is opened.
        """
        clicked_at = float("-inf")

        def opened() -> bool:
            nonlocal clicked_at
            if self._all("[data-cy^=ModalityLoadBadge]"):
                return True
            if time.monotonic() - clicked_at > CLICK_AGAIN_SECONDS:
                listed = [each for each in self._listed() if each.text.startswith(modality)]
                found = next(each for each in listed if saying in each.text)
                ActionChains(self.driver).double_click(found).perform()
                clicked_at = time.monotonic()
            return False

        self._until(opened, f"the {modality} did not open")

    def answer_yes(self) -> None:
        """Answer whether the segmentation or the measurements are to be opened."""
        selector = "[data-cy=yes-hydrate-btn]"
        self._until(lambda: self._all(selector), "the viewer did not offer to open the object")
        self._all(selector)[0].click()
        self._until(lambda: not self._all(selector), "the question stayed open")

    def wait_until(self, condition: Callable[[Screen], bool], failure: str) -> Screen:
        """Look until the screen satisfies `condition`. Raises AssertionError with `failure`."""

        def look() -> Screen | None:
            # The viewport is replaced by another one when a report is opened.
            if not self.driver.execute_script(_SHOWS_IMAGE):
                return None
            # OHIF 3.12 sometimes leaves a new annotation unpainted until the next frame, which a
            # person's next gesture would cause.
            self.driver.execute_script("cornerstone.getRenderingEngines()[0].render()")
            screen = self.screen()
            return screen if condition(screen) else None

        found = self._until(look, failure)
        assert isinstance(found, Screen)
        return found

    def screen(self) -> Screen:
        """What is shown now."""
        place: dict[str, Any] = self.driver.execute_script(_PLACE)
        shot = Image.open(io.BytesIO(self.driver.get_screenshot_as_png())).convert("RGB")
        source = np.array([[0, 0], [100, 0], [0, 100]], np.float32)
        corners = np.array(place["corners"], np.float32)
        furniture = tuple(
            (int(x), int(y), int(width) + 2, int(height) + 2)
            for x, y, width, height in place["furniture"]
        )
        to_screen = cv2.getAffineTransform(source, corners).astype(np.float64)
        return Screen(np.asarray(shot), to_screen, furniture)

    def annotation_texts(self) -> list[str]:
        """The lines of text drawn beside contours, also where they leave the view."""
        selector = "[data-cy=viewport-pane] svg text tspan"
        script = "return [...document.querySelectorAll(arguments[0])].map(line => line.textContent)"
        lines: list[str] = self.driver.execute_script(script, selector)
        return [line.strip() for line in lines]

    def show_frame(self, number: int) -> None:
        """Go to a frame of a loop, 1-based."""
        script = f"{_VIEWPORT} return viewport.setImageIdIndex(arguments[0])"
        self.driver.execute_script(script, number - 1)
        shown = f"{_VIEWPORT} return viewport.getCurrentImageIdIndex() + 1"
        self._until(lambda: self.driver.execute_script(shown) == number, "the frame was not shown")

    def shown_image(self) -> str:
        """SOP Instance UID and frame of what is shown, in the form of a DICOMweb path."""
        path: str = self.driver.execute_script(f"{_VIEWPORT} return viewport.getCurrentImageId()")
        return path

    def segmented_frames(self) -> list[int]:
        """The frames on which the viewer holds a segment, 1-based."""
        frames: list[int] = self.driver.execute_script(_SEGMENTED_FRAMES)
        return frames

    def panel_rows(self) -> list[str]:
        """What the measurement panel says, a text for each measurement."""
        if not self._all("[data-cy=trackedMeasurements-panel]"):
            self._all("[data-cy=trackedMeasurements-btn]")[0].click()
        self._until(self._rows, "the panel holds no measurement")
        # Also of rows that one would have to scroll to.
        return [element.get_attribute("textContent") or "" for element in self._rows()]

    def go_to_measurement(self, position: int) -> None:
        """Click a row of the measurement panel."""
        self._rows()[position].click()

    def measurements(self) -> list[str]:
        """The tools of all annotations that the viewer holds."""
        script = (
            "return cornerstoneTools.annotation.state.getAllAnnotations()"
            ".map(annotation => annotation.metadata.toolName)"
        )
        tools: list[str] = self.driver.execute_script(script)
        return tools

    def error_messages(self) -> list[str]:
        """Texts of the dialogs and error notices that stand before the image."""
        selector = "[role=dialog], [role=alertdialog], [data-sonner-toast][data-type=error]"
        return [element.text for element in self._all(selector)]

    def _rows(self) -> list[WebElement]:
        return self._all("[data-cy=data-row]")

    def _listed(self) -> list[WebElement]:
        return self._all("[data-cy=study-browser-thumbnail-no-image]")

    def _all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def _until(self, condition: Callable[[], object], failure: str) -> object:
        wait = WebDriverWait(
            self.driver, PATIENCE_SECONDS, ignored_exceptions=(StaleElementReferenceException,)
        )
        try:
            found = wait.until(lambda _driver: self._crashed() or condition())
        except TimeoutException as error:
            raise AssertionError(f"{failure}; the console said: {self._console()}") from error
        assert not self._crashed(), f"{failure}: OHIF crashed; the console said: {self._console()}"
        return found

    def _crashed(self) -> bool:
        shown: str = self.driver.execute_script("return document.body.innerText")
        return "Something went wrong" in shown

    def _console(self) -> list[str]:
        lines: list[dict[str, str]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [line["message"] for line in lines if "Error" in line["message"]]
