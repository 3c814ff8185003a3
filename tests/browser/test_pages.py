"""The pages as a person uses them, in a real browser, in front of the real web process."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from node.job import last_job
from tests.browser import pictures
from tests.browser.conftest import Web
from tests.browser.results import Case, draw_case, finding
from tests.unit.node.web.rows import add_study

PATIENCE_SECONDS = 20


def _picture(case: Case) -> bytes:
    """The image with the outline of its finding, as PNG."""
    grey = (case.source.pixel_array / 16).astype(np.uint8)
    picture = np.repeat(grey[..., np.newaxis], 3, axis=2)
    outline = np.array(finding(case, case.mask).contour_px, np.int32)
    cv2.polylines(picture, [outline], isClosed=True, color=(255, 90, 60), thickness=4)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def _states(browser: Chrome) -> list[str]:
    return [each.text for each in browser.find_elements(By.CSS_SELECTOR, "h1 .state")]


def test_study_page_shows_its_picture_and_asks_nobody_else(browser: Chrome, web: Web) -> None:
    """The picture is really drawn, and the browser loaded nothing from another origin."""
    case = draw_case()
    image_uid = str(case.source.SOPInstanceUID)
    uid = add_study(web.store, 1, uid=case.study_uid, image_uid=image_uid)
    web.files.write(web.files.picture_path(uid, 1, image_uid), _picture(case))
    browser.get(f"{web.url}/studies/{uid}")
    assert _states(browser) == ["done"]
    drawn = "return document.querySelector('.picture img').naturalWidth"
    wait = WebDriverWait(browser, PATIENCE_SECONDS)
    wait.until(lambda driver: driver.execute_script(drawn) == case.mask.shape[1])
    loaded = browser.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    assert loaded
    assert all(name.startswith(web.url) for name in loaded)
    pictures.keep(browser, "study")


def test_retry_button_puts_a_failed_study_back_to_work(browser: Chrome, web: Web) -> None:
    """One click moves the failed job back to the queue, and the page says so."""
    error = "given up after 86400 s: the archive does not answer"
    uid = add_study(web.store, 2, state="failed", error=error, failed_run="out of memory")
    browser.get(f"{web.url}/studies/{uid}")
    alerts = browser.find_elements(By.CSS_SELECTOR, "[role=alert]")
    assert [error in alerts[0].text, "1 model run gave no answer" in alerts[1].text] == [True, True]
    browser.find_element(By.XPATH, "//button[text()='Retry']").click()
    # The page is replaced while it is being read.
    wait = WebDriverWait(
        browser, PATIENCE_SECONDS, ignored_exceptions=[StaleElementReferenceException]
    )
    wait.until(lambda driver: _states(driver) == ["queued"])
    with web.store.reading() as session:
        job = last_job(session, uid)
        assert job is not None
        assert job.state == "queued"


def test_list_follows_the_database_without_a_reload(browser: Chrome, web: Web) -> None:
    """A study that arrives while the list is open appears in it by itself."""
    browser.get(web.url)
    uid = add_study(web.store, 3, state="receiving")
    link = f"a[href='/studies/{uid}']"
    WebDriverWait(browser, PATIENCE_SECONDS).until(
        lambda driver: driver.find_elements(By.CSS_SELECTOR, link)
    )
    pictures.keep(browser, "studies")
