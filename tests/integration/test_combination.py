"""Which studies of a patient are combined, on SQLite and on PostgreSQL."""

from __future__ import annotations

import logging
import os
import re
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import DigitalMammographyXRayImageStorageForProcessing
from sqlalchemy import event

from node.destinations import Destination
from node.job import DELIVERING, DONE, FAILED, RUNNING, Lease, claim, hold, move
from node.retry import retry
from node.settings import load_settings
from node.store.migrate import upgrade
from node.store.session import open_store
from node.store.tables import Combination, Job, Result
from tests.analysed import Analysed, Said, scan
from tests.datasets import encapsulated_pdf, mammogram
from workers.partner import decide_partner
from workers.results import Encoding, read_study

WINDOW_DAYS = 90
_NUMBERS = count(1)
# Each test has a patient of its own.
_PATIENT = {"PatientID": ""}

both_databases = pytest.mark.parametrize(
    "shared", ["sqlite", "postgresql"], indirect=True, scope="module"
)


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """One node on each database for all tests."""
    url = ""
    if getattr(request, "param", "sqlite") == "postgresql":
        url = request.getfixturevalue("postgresql").new_database()
    settings = load_settings(
        state_dir=tmp_path_factory.mktemp("state"), database_url=url, min_free_bytes=0
    )
    upgrade(settings)
    store = open_store(settings)
    yield Analysed(settings, store)
    store.close()


@pytest.fixture
def node(shared: Analysed) -> Analysed:
    _PATIENT["PatientID"] = f"PATIENT-{next(_NUMBERS)}"
    return shared


def made(dataset: FileDataset, **changes: Any) -> FileDataset:
    """The same object of the test's patient, with other attributes."""
    for keyword, value in (_PATIENT | changes).items():
        setattr(dataset, keyword, value)
    return dataset


def breast_film(study_uid: str | None = None, **changes: Any) -> FileDataset:
    return made(mammogram(study_uid), **changes)


def breast_scan(study_uid: str | None = None, **changes: Any) -> FileDataset:
    return made(scan(study_uid), **changes)


def decide(node: Analysed, lease: Lease, window_days: int = WINDOW_DAYS) -> Combination | None:
    return decide_partner(node.store, lease, window_days)


def partners(node: Analysed, first: FileDataset, second: FileDataset, window: int = WINDOW_DAYS):
    """The decisions of two studies, one analysed after the other."""
    leases = [node.analysed(first), node.analysed(second)]
    found = [decide(node, lease, window) for lease in leases]
    return leases, [None if each is None else each.partner_job_id for each in found]


@both_databases
@pytest.mark.parametrize("mammogram_first", [True, False])
def test_the_later_study_combines(node: Analysed, mammogram_first: bool) -> None:
    """Mammogram then ultrasound, and the reverse: one combination, in the study that came later."""
    images = [breast_film(), breast_scan()] if mammogram_first else [breast_scan(), breast_film()]
    first = node.analysed(images[0])
    assert decide(node, first) is None
    second = node.analysed(images[1])
    decided = decide(node, second)
    assert decided is not None
    assert (decided.partner_job_id, decided.predecessor_job_id) == (first.job_id, None)


@pytest.mark.parametrize(
    ("days", "window", "combined"), [(90, 90, True), (91, 90, False), (0, 1, True), (0, 0, False)]
)
def test_the_window_is_counted_in_days(
    node: Analysed, days: int, window: int, combined: bool
) -> None:
    """From StudyDate to StudyDate, the last day included; 0 switches it off."""
    dates = {0: "20260101", 90: "20260401", 91: "20260402"}
    _, found = partners(node, breast_film(), breast_scan(StudyDate=dates[days]), window)
    assert (found[1] is not None) == combined


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"PatientID": "A"}, {"PatientID": "B"}),
        ({"PatientID": ""}, {"PatientID": ""}),
        ({"IssuerOfPatientID": "HOSPITAL"}, {"IssuerOfPatientID": "CLINIC"}),
        ({"IssuerOfPatientID": "HOSPITAL"}, {}),
        ({"PatientBirthDate": "19600101"}, {"PatientBirthDate": "19610101"}),
        ({"PatientSex": "F"}, {"PatientSex": "M"}),
        ({"StudyDate": ""}, {"StudyDate": ""}),
    ],
)
def test_nobody_is_combined_with_someone_else(
    node: Analysed, one: dict[str, str], other: dict[str, str]
) -> None:
    """Another id, none, another issuer, a contradiction, no date: not combined."""
    _, found = partners(node, breast_film(**one), breast_scan(**other))
    assert found == [None, None]


def test_what_only_one_study_says_contradicts_nothing(node: Analysed) -> None:
    """An ultrasound device that sends no birth date is usual."""
    _, found = partners(node, breast_film(PatientBirthDate="19600101"), breast_scan())
    assert found[1] is not None


def test_a_contradiction_is_logged_without_patient_data(
    node: Analysed, caplog: pytest.LogCaptureFixture
) -> None:
    """The studies' UIDs and the keyword, never the values."""
    images = [
        breast_film(PatientID="UNIQUE-ID", PatientBirthDate="19600101"),
        breast_scan(PatientID="UNIQUE-ID", PatientBirthDate="19610101"),
    ]
    with caplog.at_level(logging.WARNING):
        partners(node, *images)
    told = [each for each in caplog.records if "other person" in each.message]
    assert {vars(each)["differs"] for each in told} == {"PatientBirthDate"}
    text = repr([vars(each) for each in caplog.records])
    # Whole dates, however written: four digits stand in many a UID by chance.
    assert re.search(r"196[01]\D?01\D?01", text) is None
    assert "UNIQUE" not in text


@pytest.mark.parametrize("mixed_up", [False, True])
def test_a_study_of_two_persons_is_combined_with_none(node: Analysed, mixed_up: bool) -> None:
    """Its first image may be of the patient, and the others of somebody else."""
    film = breast_film(PatientBirthDate="19600101")
    second = breast_film(film.StudyInstanceUID, PatientBirthDate="19600101")
    if mixed_up:
        second.PatientID, second.PatientBirthDate = "SOMEBODY-ELSE", "19700101"
    node.analysed(film, second)
    lease = node.analysed(breast_scan(PatientBirthDate="19600101"))
    viewer = Destination(name="viewer", protocol="stow", url="https://pacs.example/dicom-web")
    encoding = Encoding(node.store, node.files, (viewer,), WINDOW_DAYS)
    kinds = {each.kind for each in encoding.objects(lease)}
    assert kinds == ({"SR"} if mixed_up else {"SR", "COMBINED"})


def test_a_report_knows_what_was_left_out_of_it(node: Analysed) -> None:
    """Images that no model looked at, with the reason; not documents, own results, twins, and not
    what came later, or encoding again would give other bytes."""
    film = breast_film()
    uid = film.StudyInstanceUID
    phantom, late = (breast_film(uid, QualityControlImage="YES") for _ in range(2))
    twin = breast_film(uid, SOPClassUID=DigitalMammographyXRayImageStorageForProcessing)
    own = breast_film(
        uid, Manufacturer="Sentinode", ManufacturerModelName="Sentinode breast imaging AI"
    )
    lease = node.analysed(film, phantom, twin, own, made(encapsulated_pdf(uid)))
    node.receive(late)
    with node.store.reading() as session:
        study = read_study(session, node.files, session.get_one(Job, lease.job_id))
    assert len(study.analyses) == 1
    assert study.left_out == {"a quality control image shows a phantom and no patient": 1}


def test_the_nearest_is_taken(node: Analysed) -> None:
    """Of three ultrasound studies the one closest in time, whether before or after."""
    dates = ("20251215", "20260120", "20260301")
    scans = [node.analysed(breast_scan(StudyDate=date)) for date in dates]
    for lease in scans:
        decide(node, lease)
    decided = decide(node, node.analysed(breast_film(StudyDate="20260110")))
    assert decided is not None
    assert decided.partner_job_id == scans[1].job_id


def test_a_study_with_both_is_combined_in_itself(node: Analysed) -> None:
    """And with no other, nor does another combine with it."""
    first = breast_film()
    both = node.analysed(first, breast_scan(str(first.StudyInstanceUID)))
    decided = decide(node, both)
    assert decided is not None
    assert decided.partner_job_id == both.job_id
    assert decide(node, node.analysed(breast_scan())) is None


def test_a_study_that_is_not_analysed_yet_is_no_partner(node: Analysed) -> None:
    """Its own analysis will find the other one."""
    waiting = node.claimed(node.received(breast_scan()))
    finished = node.analysed(breast_film())
    assert decide(node, finished) is None
    node.infer(waiting)
    decided = decide(node, waiting)
    assert decided is not None
    assert decided.partner_job_id == finished.job_id


def test_a_prior_is_kept_and_not_combined(node: Analysed) -> None:
    """A study without runs, as priors are, is nobody's partner."""
    node.received(breast_scan())
    assert decide(node, node.analysed(breast_film())) is None


@both_databases
@pytest.mark.parametrize("first", [0, 1])
def test_of_two_that_ran_at_once_one_combines(node: Analysed, first: int) -> None:
    """Both have run before either looks: the one complete later combines, whoever asks first."""
    leases = [node.analysed(breast_film()), node.analysed(breast_scan())]
    found = {number: decide(node, leases[number]) for number in (first, 1 - first)}
    assert found[0] is None
    later = found[1]
    assert later is not None
    assert later.partner_job_id == leases[0].job_id


@both_databases
def test_two_workers_at_the_same_moment(node: Analysed) -> None:
    """Pairs, each decided by two threads at once: one combined report for each pair."""
    for number in range(20 if "SENTINODE_FAULT_SECONDS" in os.environ else 4):
        images = [made(image, PatientID=f"PAIR-{number}") for image in (mammogram(), scan())]
        leases = [node.claimed(node.received(image), f"w{number}") for image in images]

        def work(lease: Lease) -> Combination | None:
            node.infer(lease)
            return decide(node, lease)

        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(work, leases))
        assert sum(each is not None for each in found) == 1


def test_what_is_decided_stays(node: Analysed) -> None:
    """A retry after a crash finds the same partner, although a nearer study has come."""
    first = node.analysed(breast_film(StudyDate="20251201"))
    lease = node.analysed(breast_scan(StudyDate="20260101"))
    before = decide(node, lease)
    node.analysed(breast_film(StudyDate="20260102"))
    node.release(lease)
    again = decide(node, claim_again(node, lease))
    assert before is not None
    assert again is not None
    assert before.partner_job_id == again.partner_job_id == first.job_id


def claim_again(node: Analysed, lease: Lease) -> Lease:
    """Another worker takes a job on."""
    found = claim(node.store, lease.job_id, "w2", RUNNING, node.settings)
    assert found is not None
    return found


def add_report(node: Analysed, lease: Lease) -> None:
    """Let a job have its combined report, and be delivered."""
    with node.store.writing() as session:
        job = hold(session, lease)
        job.results.append(
            Result(
                kind="COMBINED",
                sop_instance_uid=f"2.25.{job.id}",
                sop_class_uid="1.2",
                series_uid="2.25.2",
                path="results/x.dcm",
                size_bytes=1,
            )
        )
        move(session, job, DELIVERING, "test")


def finish(node: Analysed, lease: Lease, state: str) -> None:
    """Take a running job to an end."""
    with node.store.writing() as session:
        move(session, hold(session, lease), state, "test")


@pytest.mark.parametrize("revised", ["mammogram", "ultrasound"])
def test_a_revision_of_either_combines_again(node: Analysed, revised: str) -> None:
    """A late image of either study: a new report, which replaces the last one of the pair."""
    images = {"mammogram": breast_film(), "ultrasound": breast_scan()}
    first = node.analysed(images["mammogram"])
    decide(node, first)
    finish(node, first, FAILED)
    second = node.analysed(images["ultrasound"])
    decide(node, second)
    add_report(node, second)
    with node.store.writing() as session:
        session.get_one(Job, second.job_id).state = DONE
    uid = str(images[revised].StudyInstanceUID)
    late = (
        breast_film(uid, ViewPosition="MLO")
        if revised == "mammogram"
        else breast_scan(uid, ImageLaterality="R")
    )
    decided = decide(node, node.analysed(late))
    assert decided is not None
    partner = {"mammogram": second, "ultrasound": first}[revised]
    assert decided.partner_job_id == partner.job_id
    assert decided.predecessor_job_id == second.job_id


def test_a_retry_in_the_same_revision_decides_again(node: Analysed) -> None:
    """Failed models that run again change what is combined: the decision is made anew."""
    first = node.analysed(breast_film(), said=Said(errors={"mtu_net": "Triton did not answer"}))
    decide(node, first)
    second = node.analysed(breast_scan())
    assert decide(node, second) is not None
    finish(node, first, FAILED)
    bell = retry(node.store, first.study_uid)
    again = node.claimed(bell.job_id)
    with node.store.reading() as session:
        assert session.get(Combination, again.job_id) is None
    with node.store.writing() as session:
        job = hold(session, again)
        job.model_runs.clear()
    node.infer(again)
    decided = decide(node, again)
    assert decided is not None, "the other report holds the failed run"
    assert decided.partner_job_id == second.job_id


def test_many_studies_under_one_number(node: Analysed) -> None:
    """What a researcher has made anonymous: they are looked at in one question, not one by one."""
    for number in range(5):
        node.analysed(breast_scan(StudyDate=f"2026010{number + 1}"))
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    film = node.analysed(breast_film(StudyDate="20260104"))
    event.listen(node.store.engine, "before_cursor_execute", note)
    decided = decide(node, film)
    event.remove(node.store.engine, "before_cursor_execute", note)
    assert decided is not None
    with node.store.reading() as session:
        partner = session.get_one(Job, decided.partner_job_id)
        assert partner.study.StudyDate == "20260104"
    assert len(statements) < 15


@pytest.mark.parametrize("day", ["00010101", "99991231"])
def test_a_date_at_the_end_of_time(node: Analysed, day: str) -> None:
    """There is no day before it, or after it; the window ends there."""
    _, found = partners(node, breast_film(StudyDate=day), breast_scan(StudyDate=day))
    assert found[1] is not None
