"""The pages as a person uses them, in a real browser, in front of the real web process."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from node.job import last_job
from tests.browser import pictures
from tests.browser.conftest import Web
from tests.browser.results import Case, draw_case, finding
from tests.unit.node.web.rows import add_study

PATIENCE_SECONDS = 20
# Longer than a list waits between two looks.
REFRESH_SECONDS = 8


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
    # The page is replaced while it is being read, which chromedriver tells in several ways.
    wait = WebDriverWait(browser, PATIENCE_SECONDS, ignored_exceptions=[WebDriverException])
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


def _focused(browser: Chrome) -> str | None:
    return browser.switch_to.active_element.get_attribute("href")


def test_list_keeps_the_keyboard_and_the_selection(browser: Chrome, web: Web) -> None:
    """Who is on a link stays there when a study arrives; a UID being copied stays selected."""
    known = add_study(web.store, 4)
    browser.get(web.url)
    link = browser.find_element(By.CSS_SELECTOR, f"a[href='/studies/{known}']")
    browser.execute_script("arguments[0].focus()", link)
    added = add_study(web.store, 5)
    arrived = f"a[href='/studies/{added}']"
    wait = WebDriverWait(browser, PATIENCE_SECONDS)
    wait.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, arrived))
    assert _focused(browser) == f"{web.url}/studies/{known}"
    browser.execute_script(
        "getSelection().selectAllChildren(document.querySelector(arguments[0]))", arrived
    )
    later = add_study(web.store, 6)
    with pytest.raises(TimeoutException):
        WebDriverWait(browser, REFRESH_SECONDS).until(
            lambda driver: driver.find_elements(By.CSS_SELECTOR, f"a[href='/studies/{later}']")
        )
    assert browser.execute_script("return getSelection().toString()") == added
    browser.execute_script("getSelection().removeAllRanges()")
    wait.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, f"a[href='/studies/{later}']"))


def test_list_says_when_it_is_old(browser: Chrome, web: Web) -> None:
    """A page on a wall must not look well while the node is away; when it is back, it is new."""
    browser.get(web.url)
    wait = WebDriverWait(browser, PATIENCE_SECONDS)
    wait.until(lambda driver: driver.execute_script("return document.readyState") == "complete")
    offline = {"latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": True, **offline})
    try:
        wait.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, ".age"))
        said = browser.find_element(By.CSS_SELECTOR, ".age").text
        assert "the node does not answer since" in said
    finally:
        online = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        browser.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": False, **online})
    wait.until(lambda driver: not driver.find_elements(By.CSS_SELECTOR, ".age"))


def test_a_study_is_found_by_the_keyboard(browser: Chrome, web: Web) -> None:
    """The field is one of the first things that Tab reaches, and Enter leads to the study."""
    uid = add_study(web.store, 7)
    browser.get(web.url)
    for _ in range(4):  # brand, two pages, the field
        browser.switch_to.active_element.send_keys(Keys.TAB)
    browser.switch_to.active_element.send_keys(uid, Keys.ENTER)
    wait = WebDriverWait(browser, PATIENCE_SECONDS)
    wait.until(lambda driver: driver.current_url == f"{web.url}/studies/{uid}")
    assert browser.title.startswith(f"Study {uid}")
