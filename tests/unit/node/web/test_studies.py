"""Pages and API: what they show, what they refuse, and the retry."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.job import Bell, new_job
from node.listing import PAGE_SIZE
from node.retention.expiry import Expiry
from node.retention.removal import Rule
from node.settings import load_settings
from node.status import study_status
from node.store.deliveries import STATES as DELIVERY_STATES
from node.store.files import Files
from node.store.session import Store
from node.store.tables import Base, Study
from node.web.metrics import STUDY_STATES
from node.web.pages import delivery_means, state_means
from tests.unit.node.web.conftest import Client
from tests.unit.node.web.rows import add_study, source_uid, study_uid

NO_UIDS = ("abc", "1..2", "1.2%0A", "%2e%2e", "1" * 65)


def test_study_page_shows_findings_and_results(client: Client, store: Store) -> None:
    """Finding, probabilities, delivery and timeline are on the page."""
    uid = add_study(store)
    page = client.get(f"/studies/{uid}").text
    for text in ("Mass", "0.91", "217 mm²", "18.2 × 14.9 mm", "malignant", "mask_rcnn_mg 1.0"):
        assert text in page
    for text in ("confirmed", "archive", "first image", "2026-01-02 03:05:05"):
        assert text in page
    assert "Research use only" in page
    assert "Retry" not in page


def test_failed_model_is_never_no_findings(client: Client, store: Store) -> None:
    """A failed run is named with its error, and the finding table says unknown."""
    uid = add_study(store, failed_run="out of memory")
    page = client.get(f"/studies/{uid}").text
    assert "mask_rcnn_mg 1.0 failed:" in page
    assert "out of memory" in page
    assert "Unknown: see the failed models above." in page
    assert "None above the operating points" not in page
    assert "No findings above" not in page


def test_while_a_revision_is_in_work_the_one_before_is_shown(client: Client, store: Store) -> None:
    """It is what archives have; a model that is away may keep the next one waiting for a day."""
    uid = add_study(store)
    with store.writing() as session:
        study = session.get_one(Study, uid)
        study.revision = 2
        new_job(session, study, "waits for mtu_net")
    page = client.get(f"/studies/{uid}").text
    assert "Shown is revision 1; revision 2 has no results yet." in page
    assert "217 mm²" in page
    assert client.get("/api/studies").json()["lines"][0]["findings"] == 1


def _with_archive(client: Client, **values: str) -> None:
    site = client.app.state.site
    settings = load_settings(state_dir=site.settings.state_dir, **values)
    client.app.state.site = replace(site, settings=settings)


def test_link_to_the_archive_has_no_password(client: Client, store: Store) -> None:
    """A name and password in ORTHANC_URL are for this process alone."""
    uid = add_study(store)
    _with_archive(client, orthanc_url="http://node:secret@127.0.0.1:8042/pacs")
    page = client.get(f"/studies/{uid}").text
    assert 'href="http://127.0.0.1:8042/pacs"' in page
    assert "secret" not in page


def test_link_to_the_archive_leads_where_the_browser_can_go(client: Client, store: Store) -> None:
    """ORTHANC_URL is the process's own way there, as http://orthanc:8042 between containers."""
    page = f"/studies/{add_study(store)}"
    elsewhere = {"host": "node.example"}
    _with_archive(client, orthanc_url="http://orthanc:8042")
    assert ">Archive<" not in client.get(page).text
    _with_archive(client, orthanc_url="http://127.0.0.1:8042")
    assert ">Archive<" not in client.get(page, headers=elsewhere).text
    told = {"orthanc_url": "http://orthanc:8042", "archive_url": "https://pacs.example/ui"}
    _with_archive(client, **told)
    assert 'href="https://pacs.example/ui"' in client.get(page).text


def test_skipped_study_says_why(client: Client, store: Store) -> None:
    """The reason for which no model looked is on the page."""
    uid = add_study(store, state="skipped")
    assert "no model reads this kind of object" in client.get(f"/studies/{uid}").text


def test_removed_study_still_has_a_page(client: Client, store: Store, files: Files) -> None:
    """A link that someone kept tells what became of the study, and there is no picture any more."""
    uid = add_study(store)
    expiry = Expiry(store, files, Rule(1))
    while expiry.turn():
        pass
    page = client.get(f"/studies/{uid}").text
    assert "This node keeps it no longer" in page
    assert "nothing happened for 1 days (KEEP_DAYS)" in page
    assert "None yet" not in page
    assert client.get(f"/studies/{uid}/pictures/{source_uid()}.png").status_code == 404
    listed = client.get("/?state=removed").text
    assert uid in listed


def test_text_from_elsewhere_is_escaped(client: Client, store: Store) -> None:
    """An error text cannot become markup, in the list and on the page."""
    hostile = "<script>alert(1)</script>"
    uid = add_study(store, state="failed", error=hostile, failed_run=hostile)
    for path in ("/", f"/studies/{uid}"):
        page = client.get(path).text
        assert hostile not in page
        assert "&lt;script&gt;" in page


def test_api_returns_the_status_object(client: Client, store: Store) -> None:
    """The web API and `sentinode status --json` say the same."""
    uid = add_study(store)
    with store.reading() as session:
        assert client.get(f"/api/studies/{uid}").json() == study_status(session, uid)
    listed = client.get("/api/studies", params={"state": "done"}).json()
    assert [line["study_uid"] for line in listed["lines"]] == [uid]


@pytest.mark.parametrize("uid", NO_UIDS)
@pytest.mark.parametrize("path", ["/studies/{}", "/api/studies/{}", "/studies/{}/pictures/1.2.png"])
def test_what_is_no_uid_is_refused(client: Client, uid: str, path: str) -> None:
    """Malformed UIDs never reach the database or the disk."""
    assert client.get(path.format(uid)).status_code in (404, 422)


def test_unknown_study_is_not_found(client: Client) -> None:
    """A well-formed UID without a study is 404, in words and in JSON."""
    page, api = client.get("/studies/1.2.3"), client.get("/api/studies/1.2.3")
    assert (page.status_code, api.status_code) == (404, 404)
    assert "No study 1.2.3 has been received." in page.text
    assert api.json() == {"error": "no study 1.2.3 has been received"}


def test_states_are_explained(client: Client, store: Store) -> None:
    """Every state of a study and of a delivery has words, on its page and above its list."""
    add_study(store, 1, state="failed", error="x", delivery_state="refused")
    assert "an operator retries it" in client.get("/?state=failed").text
    page = client.get(f"/studies/{study_uid(1)}").text
    assert "an operator retries it" in page
    assert "the archive will not take it" in page
    assert all(state_means(state) for state in STUDY_STATES)
    assert all(delivery_means(state) for state in (*DELIVERY_STATES, "kept"))


def test_an_empty_list_says_which(client: Client, store: Store) -> None:
    """Nothing in one state is another thing than nothing at all."""
    assert "No study yet. Send one" in client.get("/").text
    add_study(store)
    assert "No study is in state failed." in client.get("/?state=failed").text


@pytest.mark.parametrize(
    ("path", "last"), [("/?page=9", "/?page=2"), ("/?state=done&page=9", "/?state=done&page=2")]
)
def test_a_page_that_is_no_more_leads_to_the_last(
    client: Client, store: Store, path: str, last: str
) -> None:
    """Studies leave a state while somebody reads; the list must not say that there is none."""
    for number in range(PAGE_SIZE + 1):
        add_study(store, number)
    answer = client.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, last)
    assert client.get(last).status_code == 200


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/nothing", ("Not found", "There is nothing at this address.")),
        ("/studies/abc", ("Not understood", "This is not a DICOM UID.")),
        ("/?page=x", ("Not understood", "Page: Input should be a valid integer")),
        ("/viewer", ("Not available now", "The OHIF viewer is not installed")),
    ],
)
def test_errors_are_sentences(client: Client, path: str, words: tuple[str, ...]) -> None:
    """A person reads what is wrong with which value, not the protocol's name of it."""
    page = client.get(path).text
    for each in words:
        assert each in page


@pytest.mark.parametrize("query", ["state=odd", "page=0", "page=x"])
def test_odd_filters_are_refused(client: Client, query: str) -> None:
    """The list does not guess."""
    assert client.get(f"/?{query}").status_code == 422
    assert client.get(f"/api/studies?{query}").status_code == 422


def test_picture_is_served_and_falls_back(client: Client, store: Store, files: Files) -> None:
    """The newest picture of an image is shown, else an earlier one, else 404."""
    uid = add_study(store)
    path = f"/studies/{uid}/pictures/{source_uid()}.png"
    assert client.get(path).status_code == 404
    files.write(files.picture_path(uid, 1, source_uid()), b"first")
    assert client.get(path).content == b"first"
    with store.writing() as session:
        session.connection().exec_driver_sql("UPDATE study SET revision = 2")
    assert client.get(path).content == b"first"
    files.write(files.picture_path(uid, 2, source_uid()), b"second")
    assert client.get(path).content == b"second"


@pytest.mark.parametrize("name", ["..%2f..%2fsentinode", "%2e%2e", "x", "1.2%00"])
def test_picture_names_cannot_leave_their_folder(client: Client, store: Store, name: str) -> None:
    """Only a UID is a picture's name."""
    uid = add_study(store)
    assert client.get(f"/studies/{uid}/pictures/{name}.png").status_code in (404, 422)


def test_retry_requeues_and_rings(client: Client, store: Store, rung: list[Bell]) -> None:
    """A failed study goes back to work at once; the page is shown again."""
    uid = add_study(store, state="failed", failed_run="out of memory", delivery_state="pending")
    origin = {"origin": "http://127.0.0.1:8080", "sec-fetch-site": "same-origin"}
    answer = client.ask("POST", f"/studies/{uid}/retry", headers=origin)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/studies/{uid}")
    assert client.get(f"/api/studies/{uid}").json()["state"] == "queued"
    assert [bell.task for bell in rung] == ["sentinode.analyse"]


def test_retry_of_a_refused_delivery_delivers_again(
    client: Client, store: Store, rung: list[Bell]
) -> None:
    """What an archive refused is sent again as it is."""
    uid = add_study(store, state="failed", delivery_state="refused")
    answer = client.ask("POST", f"/api/studies/{uid}/retry")
    assert answer.json()["state"] == "delivering"
    assert answer.json()["results"][0]["state"] == "pending"
    assert [bell.task for bell in rung] == ["sentinode.deliver"]


def test_only_failed_studies_can_be_retried(client: Client, store: Store) -> None:
    """Retrying a finished study is a conflict; an unknown one is not found."""
    uid = add_study(store)
    answer = client.ask("POST", f"/api/studies/{uid}/retry")
    assert answer.status_code == 409
    assert "only a failed study" in answer.json()["error"]
    assert client.ask("POST", f"/api/studies/{study_uid(2)}/retry").status_code == 404


def test_database_without_tables_is_said_plainly(client: Client, store: Store) -> None:
    """People get a sentence and 503, not a traceback."""
    Base.metadata.drop_all(store.engine)
    answer = client.get("/")
    assert answer.status_code == 503
    assert "The database does not answer" in answer.text
    assert client.get("/api/studies").status_code == 503
