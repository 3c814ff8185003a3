"""The search field: what a person types finds a study, and stands on no page and in no address."""

from __future__ import annotations

import logging

import pytest

from node.listing import PAGE_SIZE, find_studies
from node.store.session import Store
from node.store.tables import Study
from tests.unit.node.web.conftest import ORIGIN, Client
from tests.unit.node.web.login.known import READER, logged_in, write_accounts
from tests.unit.node.web.rows import add_study, study_uid

SAME_ORIGIN = {"origin": ORIGIN}


def _add(store: Store, number: int, patient_id: str, accession_number: str) -> str:
    uid = add_study(store, number)
    with store.writing() as session:
        study = session.get_one(Study, uid)
        study.PatientID, study.AccessionNumber = patient_id, accession_number
    return uid


@pytest.mark.parametrize("text", [study_uid(1), "A-1", " A-1 ", "P 1", "患者"])
def test_what_one_study_has_leads_to_its_page(client: Client, store: Store, text: str) -> None:
    """By UID, Accession Number or Patient ID, with the blanks that come with a copied text."""
    uid = _add(store, 1, "患者" if text == "患者" else "P 1", "A-1")
    _add(store, 2, "P 2", "A-2")
    answer = client.ask("POST", "/find", data={"text": text}, headers=SAME_ORIGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/studies/{uid}")


def test_several_studies_of_a_patient_are_listed(client: Client, store: Store) -> None:
    """The newest first; the list does not keep itself up to date, since no GET says it again."""
    uids = [_add(store, number, "P 1", f"A-{number}") for number in (1, 2)]
    other = _add(store, 3, "P 3", "A-3")
    page = client.ask("POST", "/find", data={"text": "P 1"}, headers=SAME_ORIGIN).text
    assert "2 studies of this number" in page
    assert "P 1" not in page
    assert page.index(uids[1]) < page.index(uids[0])
    assert other not in page
    assert "data-refresh" not in page


def test_nothing_found_says_where_to_look_next(client: Client, store: Store) -> None:
    """What was typed does not come back: a page stands open on screens."""
    add_study(store)
    page = client.ask("POST", "/find", data={"text": "P 77"}, headers=SAME_ORIGIN).text
    assert "No study with this Study Instance UID, Accession Number or Patient ID" in page
    assert "P 77" not in page


@pytest.mark.parametrize("text", ["", "   ", "\0"])
def test_no_text_is_no_question(client: Client, store: Store, text: str) -> None:
    """Studies without an Accession Number are not those of an empty one."""
    add_study(store)
    answer = client.ask("POST", "/find", data={"text": text}, headers=SAME_ORIGIN)
    assert answer.status_code == 303 or "No study with this" in answer.text
    assert answer.headers.get("location", "/") == "/"


def test_a_long_list_says_that_it_is_cut(client: Client, store: Store) -> None:
    """Anonymised studies share one Patient ID by thousands."""
    for number in range(PAGE_SIZE + 1):
        _add(store, number, "ANON", "")
    page = client.ask("POST", "/find", data={"text": "ANON"}, headers=SAME_ORIGIN).text
    assert f"The newest {PAGE_SIZE} studies of this number" in page
    assert "ANON" not in page
    with store.reading() as session:
        assert find_studies(session, "ANON")[0].study_uid == study_uid(PAGE_SIZE)


def test_address_typed_or_come_back_to(client: Client) -> None:
    """GET has nothing to look for."""
    assert client.get("/find").headers["location"] == "/"


def test_a_reader_may_ask_and_another_site_may_not(
    client: Client, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Asking changes nothing; who saw a list is in the log, without what was typed."""
    caplog.set_level(logging.INFO, logger="sentinode")
    for number in (1, 2):
        _add(store, number, "P 1", "")
    write_accounts(client.app.state.site.settings.web_accounts)
    reader = logged_in(client, READER)
    question = {"data": {"text": "P 1"}}
    assert client.ask("POST", "/find", **question).status_code == 401
    foreign = reader | {"origin": "http://evil.example"}
    assert client.ask("POST", "/find", headers=foreign, **question).status_code == 403
    assert client.ask("POST", "/find", headers=reader | SAME_ORIGIN, **question).status_code == 200
    seen = [vars(line) for line in caplog.records if line.getMessage() == "study list seen"]
    assert [line["account"] for line in seen] == [READER]
    assert not any("P 1" in str(vars(line)) for line in caplog.records)
