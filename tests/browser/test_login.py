"""The login as a person meets it, in a real browser: form, pages, viewer, and the way out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser import pictures
from tests.browser.conftest import Web, running_web
from tests.browser.ohif import Viewer
from tests.browser.results import draw_case, upload
from tests.peers.orthanc import Orthanc
from tests.unit.node.web.login.known import OPERATOR, PASSWORDS, READER, account, write_accounts
from tests.unit.node.web.rows import add_study, study_uid

pytestmark = pytest.mark.timeout(600)

PATIENCE_SECONDS = 30


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, orthanc: Orthanc, ohif_dir: Path
) -> Iterator[Web]:
    """Return a web process with a reader, an operator and a failed study."""
    folder = tmp_path_factory.mktemp("guarded")
    write_accounts(_accounts(folder / "state"))
    with running_web(folder, orthanc, ohif_dir) as web:
        add_study(web.store, 1, state="failed", error="out of memory")
        yield web


@pytest.fixture
def stranger(browser: Chrome) -> Iterator[Chrome]:
    """Return the browser without any session."""
    browser.get_log("browser")  # what was said before is not about this test
    yield browser
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    browser.delete_all_cookies()
    # A page that is left open would go on asking.
    browser.get("about:blank")


def _accounts(state: Path) -> Path:
    return state / "web" / "accounts"


def _log_in(browser: Chrome, name: str, password: str) -> None:
    """By the keyboard."""
    field = _found(browser, By.ID, "name")
    field.clear()
    field.send_keys(name, Keys.TAB)
    browser.switch_to.active_element.send_keys(password, Keys.ENTER)


def _found(browser: Chrome, how: str, what: str) -> WebElement:
    """An element, as soon as the page that has it is there."""
    there = expected_conditions.presence_of_element_located((how, what))
    element: WebElement = WebDriverWait(browser, PATIENCE_SECONDS).until(there)
    return element


def _until_focus(browser: Chrome, field: str) -> None:
    # The browser gives it some time after the page has loaded.
    wait = WebDriverWait(browser, PATIENCE_SECONDS)
    wait.until(lambda driver: driver.switch_to.active_element.get_attribute("id") == field)


def _path(browser: Chrome, web: Web) -> str:
    return browser.current_url.removeprefix(web.url)


def _until_path(browser: Chrome, web: Web, start: str) -> None:
    wait = WebDriverWait(browser, PATIENCE_SECONDS)
    wait.until(lambda driver: _path(driver, web).startswith(start), f"the page is not {start}")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_a_person_logs_in_and_out(stranger: Chrome, guarded: Web, scripts: bool) -> None:
    """From a link to a study by way of the form to that study, with and without JavaScript."""
    stranger.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
    stranger.get(f"{guarded.url}/studies/{study_uid()}")
    assert _path(stranger, guarded).startswith("/login?next=/studies/")
    _until_focus(stranger, "name")
    pictures.keep(stranger, "login")
    _log_in(stranger, OPERATOR, "not the password")
    alert = _found(stranger, By.CSS_SELECTOR, "[role=alert]")
    assert alert.text == "This name and password do not belong together."
    _until_focus(stranger, "password")
    password = _found(stranger, By.ID, "password")
    assert password.get_attribute("aria-describedby") == alert.get_attribute("id")
    assert password.get_attribute("value") == ""
    _log_in(stranger, OPERATOR, PASSWORDS[OPERATOR])
    _until_path(stranger, guarded, f"/studies/{study_uid()}")
    assert OPERATOR in _found(stranger, By.CSS_SELECTOR, "header").text
    assert _found(stranger, By.XPATH, "//button[text()='Retry']")
    _found(stranger, By.XPATH, "//button[text()='Log out']").click()
    _until_path(stranger, guarded, "/login")
    if scripts:
        stranger.back()
        _until_path(stranger, guarded, "/login?next=/studies/")
    stranger.get(guarded.url)
    assert _path(stranger, guarded) == "/login"


def test_a_reader_has_no_button(stranger: Chrome, guarded: Web) -> None:
    """What a reader may not press is not there."""
    stranger.get(f"{guarded.url}/studies/{study_uid()}")
    _log_in(stranger, READER, PASSWORDS[READER])
    _until_path(stranger, guarded, f"/studies/{study_uid()}")
    assert f"{READER} (reader)" in _found(stranger, By.CSS_SELECTOR, "header").text
    assert not stranger.find_elements(By.XPATH, "//button[text()='Retry']")


def test_an_open_page_closes_with_its_session(stranger: Chrome, guarded: Web) -> None:
    """A list that nobody touches becomes the login by itself once the account is gone."""
    stranger.get(guarded.url)
    _log_in(stranger, READER, PASSWORDS[READER])
    assert _found(stranger, By.CSS_SELECTOR, "table.studies")
    file = _accounts(guarded.files.root)
    write_accounts(file, account(OPERATOR).line)
    try:
        _until_path(stranger, guarded, "/login")
    finally:
        write_accounts(file)
    assert not stranger.find_elements(By.CSS_SELECTOR, "table.studies")


def test_viewer_draws_with_a_session_and_not_without(stranger: Chrome, guarded: Web) -> None:
    """OHIF's page, files, workers and pixels all come with the cookie; without it the form does."""
    case = draw_case()
    upload(guarded.orthanc, case.source)
    address = f"/viewer?StudyInstanceUIDs={case.study_uid}"
    stranger.get(f"{guarded.url}{address}")
    assert _path(stranger, guarded).startswith("/login?next=")
    _log_in(stranger, READER, PASSWORDS[READER])
    _until_path(stranger, guarded, address)
    Viewer(stranger, guarded.url).open(case.study_uid)
    failed = [each for each in stranger.get_log("browser") if " 401 " in each["message"]]
    # Browsers ask for a page's manifest without cookies, and show the page without it.
    assert [each for each in failed if "manifest" not in each["message"]] == []
