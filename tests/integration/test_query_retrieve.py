"""Query/Retrieve of the node's own store: DCMTK and pynetdicom ask, Orthanc is sent to."""

from __future__ import annotations

import random
import signal
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import (
    AllTransferSyntaxes,
    DigitalMammographyXRayImageStorageForPresentation,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SegmentationStorage,
    generate_uid,
)
from pynetdicom import AE, _config, build_role, evt
from pynetdicom.dimse_messages import C_STORE_RSP
from sqlalchemy import insert, select, text
from sqlalchemy.exc import SQLAlchemyError

from node.job import utc_now
from node.settings import load_settings
from node.store.files import Files
from node.store.session import Store, open_store
from node.store.tables import Instance, Job, Series, Study
from node.upper_layer.command_set import elements
from tests.datasets import encapsulated_pdf, mammogram, saved
from tests.deliveries import result_row
from tests.peers.asking import (
    Keeper,
    asking,
    find,
    findscu,
    get,
    getscu,
    identifier,
    move,
    movescu,
)
from tests.peers.node import running_role, sentinode
from tests.peers.orthanc import Orthanc
from tests.peers.ports import free_port
from tests.peers.postgresql import missing as postgresql_missing
from tests.peers.postgresql import running_postgresql
from tests.peers.raw import (
    C_FIND_RQ,
    P_DATA,
    STUDY_ROOT_FIND,
    RawPeer,
    c_cancel,
    command,
    pdu,
    pdv,
)
from tests.peers.wire import encoded
from tests.stored import original

MG = DigitalMammographyXRayImageStorageForPresentation
SECRET = "SECRETNAME"
MANY = 1200


@dataclass
class Node:
    """A receiver with two studies of one patient, one result and one conflict."""

    port: int
    pid: int
    log: Path
    folder: Path
    store: Store
    files: Files
    keeper: Keeper
    # Port of the peer LEAVER, where nothing listens.
    leaver_port: int
    images: list[FileDataset] = field(default_factory=list)
    results: list[FileDataset] = field(default_factory=list)

    @property
    def study_uid(self) -> str:
        """The study with everything in it."""
        return str(self.images[0].StudyInstanceUID)

    @property
    def result(self) -> FileDataset:
        """What the node made of that study."""
        return self.results[0]

    @property
    def uids(self) -> set[str]:
        """What a retrieval of that study gives."""
        return {str(each.SOPInstanceUID) for each in (*self.images, self.result)}

    def kept(self, sop_instance_uid: str) -> bytes:
        """The encoded data set in the node's file, the first of that UID."""
        with self.store.reading() as session:
            row = session.scalars(
                select(Instance)
                .where(Instance.sop_instance_uid == sop_instance_uid)
                .order_by(Instance.id)
            ).first()
            assert row is not None
        return original(self.store, self.files.root, row.id)[row.dataset_offset :]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A receiver on each database, filled through its front door."""
    folder = tmp_path_factory.mktemp("node")
    url = ""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql").new_database()
    orthanc: Orthanc = request.getfixturevalue("orthanc")
    keeper, leaver_port = Keeper("KEEPER"), free_port()
    (folder / "peers.yaml").write_text(
        "peers:\n"
        f"  - {{ae_title: KEEPER, host: 127.0.0.1, port: {keeper.port}}}\n"
        f"  - {{ae_title: AWAY, host: 127.0.0.1, port: {free_port()}}}\n"
        f"  - {{ae_title: LEAVER, host: 127.0.0.1, port: {leaver_port}, timeout_seconds: 2}}\n"
        f"  - {{ae_title: {orthanc.ae_title}, host: 127.0.0.1, port: {orthanc.dicom_port}}}\n"
    )
    port = free_port()
    chosen: dict[str, object] = {
        "state_dir": folder / "state",
        "database_url": url,
        "dicom_port": port,
        "min_free_bytes": 0,
        "broker_url": "redis://127.0.0.1:1/0",
        "peers": folder / "peers.yaml",
        "dicom_network_timeout_seconds": 2,
        "log_level": "DEBUG",
    }
    sentinode(chosen, "db", "upgrade")
    settings = load_settings(state_dir=folder / "state", database_url=url)
    store, files = open_store(settings), Files(settings.state_dir)
    log = folder / "receive.log"
    with running_role(chosen, "receive", log=log, ready_text="receiver listens") as process:
        made = Node(port, process.pid, log, folder, store, files, keeper, leaver_port)
        _fill(made)
        yield made
    store.close()


def _fill(node: Node) -> None:
    study_uid, series_uid = generate_uid(), generate_uid()
    for number, view in enumerate(("CC", "MLO", "ML"), 1):
        image = mammogram(study_uid, view=view, seed=number)
        image.SeriesInstanceUID, image.InstanceNumber = series_uid, number
        image.SeriesDescription, image.SeriesNumber = "L views", 7
        _identify(image)
        node.images.append(image)
    document = encapsulated_pdf(study_uid)
    _identify(document)
    node.images.append(document)
    older = mammogram()
    _identify(older)
    older.StudyDate, older.AccessionNumber = "20200229", "OLD"
    twin = mammogram(study_uid, seed=99)
    twin.SOPInstanceUID = node.images[0].SOPInstanceUID
    twin.file_meta.MediaStorageSOPInstanceUID = twin.SOPInstanceUID
    lonely = mammogram(seed=98)
    lonely.SOPInstanceUID = node.images[1].SOPInstanceUID
    lonely.file_meta.MediaStorageSOPInstanceUID = lonely.SOPInstanceUID
    _send(node.port, *node.images, older, twin, lonely)
    node.results.append(_result(node, study_uid))


def _identify(dataset: Dataset) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName, dataset.PatientID = "MÜLLER^ÄNNE", "QR-1"
    dataset.PatientBirthDate, dataset.PatientSex = "19600101", "F"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20260203", "101500.25", "S1"
    dataset.AccessionNumber, dataset.StudyDescription = "ACC1", "Screening"


def _send(port: int, *datasets: FileDataset | Path) -> None:
    entity = AE("MODALITY")
    for sop_class in (MG, EncapsulatedPDFStorage):
        entity.add_requested_context(sop_class, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", port)
    assert association.is_established
    for dataset in datasets:
        assert association.send_c_store(dataset).Status in (0x0000, 0xB000)
    association.release()


def _result(node: Node, study_uid: str) -> FileDataset:
    """A result as the workers leave it: a file, and its row with a job."""
    result = mammogram(study_uid, size_px=(16, 16))
    result.SOPClassUID = result.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    result.Modality, result.SeriesDescription, result.InstanceNumber = "SEG", "AI masses", 1
    path = node.files.result_path(study_uid, 1, result.SOPInstanceUID)
    node.files.prepare()
    node.files.write(path, saved(result, node.folder).read_bytes())
    with node.store.writing() as session:
        job = Job(study_uid=study_uid, revision=1, state="done", due_at=utc_now())
        job.complete_at = utc_now()
        job.results.append(result_row(result, path))
        session.add(job)
    return result


def ask(node: Node, level: str, *keys: str) -> list[Dataset]:
    """Ask with findscu."""
    return findscu(node.port, node.folder / "answers", f"QueryRetrieveLevel={level}", *keys)


@pytest.mark.parametrize(
    ("key", "studies"),
    [
        ("PatientID=QR-1", 2),
        ("PatientID=QR*", 2),
        ("PatientID=qr-1", 0),
        ("PatientName=m*", 2),
        ("PatientName=M?LLER^*", 2),
        ("PatientName=nobody", 0),
        ("AccessionNumber=ACC1", 1),
        ("StudyDate=20260203", 1),
        ("StudyDate=20260101-", 1),
        ("StudyDate=-20201231", 1),
        ("StudyDate=20200101-20261231", 2),
        ("StudyTime=1000-1100", 2),
        ("ModalitiesInStudy=MG", 2),
        ("ModalitiesInStudy=SEG", 1),
        ("ModalitiesInStudy=CT\\DOC", 1),
        ("ModalitiesInStudy=CT", 0),
        ("StudyDescription=*reen*", 2),
        ("PatientBirthDate=19600101", 2),
        (f"SOPClassesInStudy={EncapsulatedPDFStorage}", 1),
        ("NumberOfStudyRelatedInstances=5", 1),
        ("StudyInstanceUID", 2),
        ("StudyInstanceUID=*", 2),
    ],
)
def test_an_administrator_looks_for_a_study(node: Node, key: str, studies: int) -> None:
    """What people try with findscu at STUDY level gives the studies that match."""
    found = ask(node, "STUDY", key, "PatientID=QR*") if "ID" not in key else ask(node, "STUDY", key)
    uids = [each.StudyInstanceUID for each in found]
    assert len(uids) == len(set(uids)) == studies


def test_a_study_says_what_it_holds(node: Node) -> None:
    """Counts and modalities cover instances and results, and leave the conflicts out."""
    (found,) = ask(
        node,
        "STUDY",
        f"StudyInstanceUID={node.study_uid}",
        *("PatientName", "ModalitiesInStudy", "SOPClassesInStudy", "PatientComments", "StudyDate"),
        *("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "StudyTime"),
    )
    assert found.PatientName == "MÜLLER^ÄNNE"
    assert list(found.ModalitiesInStudy) == ["DOC", "MG", "SEG"]
    assert set(found.SOPClassesInStudy) == {MG, EncapsulatedPDFStorage, SegmentationStorage}
    assert (found.NumberOfStudyRelatedSeries, found.NumberOfStudyRelatedInstances) == (3, 5)
    assert (found.StudyDate, found.StudyTime) == ("20260203", "101500.25")
    assert (found.RetrieveAETitle, found.InstanceAvailability) == ("SENTINODE", "ONLINE")
    assert (found.SpecificCharacterSet, found.QueryRetrieveLevel) == ("ISO_IR 192", "STUDY")
    assert found["PatientComments"].is_empty


def test_series_and_images(node: Node) -> None:
    """Series of a study, results too; images of a series with number, class and syntax."""
    study = f"StudyInstanceUID={node.study_uid}"
    asked = ("SeriesInstanceUID", "Modality", "SeriesDescription", "NumberOfSeriesRelatedInstances")
    series = ask(node, "SERIES", study, *asked, "PatientName")
    described = {(each.Modality, each.NumberOfSeriesRelatedInstances) for each in series}
    assert described == {("MG", 3), ("DOC", 1), ("SEG", 1)}
    assert {each.SeriesDescription for each in series} == {"L views", "", "AI masses"}
    assert {str(each.PatientName) for each in series} == {"MÜLLER^ÄNNE"}
    (mammograms,) = ask(node, "SERIES", study, "SeriesInstanceUID", "Modality=MG")
    within = (study, f"SeriesInstanceUID={mammograms.SeriesInstanceUID}")
    asked = ("SOPInstanceUID", "SOPClassUID", "AvailableTransferSyntaxUID", "ViewPosition")
    images = ask(node, "IMAGE", *within, *asked, "InstanceNumber", "Rows", "Columns")
    assert {(each.Rows, each.Columns) for each in images} == {(64, 48)}
    assert [(each.InstanceNumber, each.ViewPosition) for each in images] == [
        (1, "CC"),
        (2, "MLO"),
        (3, "ML"),
    ]
    assert {each.AvailableTransferSyntaxUID for each in images} == {ExplicitVRLittleEndian}
    (second,) = ask(node, "IMAGE", *within, "SOPInstanceUID", "InstanceNumber=2")
    assert second.SOPInstanceUID == node.images[1].SOPInstanceUID
    (segment,) = ask(
        node, "IMAGE", study, f"SeriesInstanceUID={node.result.SeriesInstanceUID}", *asked
    )
    assert segment.SOPInstanceUID == node.result.SOPInstanceUID


def test_refusals_say_why(node: Node) -> None:
    """0xA900 for a broken hierarchy, 0xC000 for a value that means nothing, 0xFF01 for the rest."""
    with asking(node.port) as association:
        assert [status for status, _ in find(association, identifier("PATIENT"))] == [0xA900]
        assert [status for status, _ in find(association, identifier("SERIES"))] == [0xA900]
        wrong = identifier("STUDY", StudyDate="20260203")
        wrong["StudyDate"]._value = "tomorrow"
        assert [status for status, _ in find(association, wrong)] == [0xC000]
        partial = identifier("STUDY", StudyInstanceUID=node.study_uid, PatientComments="none")
        assert [status for status, _ in find(association, partial)] == [0xFF01, 0x0000]
        nothing = identifier("STUDY", StudyInstanceUID="1.2.3")
        assert [status for status, _ in find(association, nothing)] == [0x0000]


@pytest.fixture
def many(node: Node) -> str:
    """More studies than a page holds, each with one instance; returns their PatientID."""
    with node.store.writing() as session:
        if session.get(Study, "9.1.0") is None:
            _insert_many(session)
    return "MANY"


def _insert_many(session: Any) -> None:
    template = session.scalars(select(Instance)).first()
    common = {
        column.name: getattr(template, column.key)
        for column in Instance.__table__.columns
        if column.name not in ("id", "digest")
    }
    times = {"first_instance_at": utc_now(), "last_instance_at": utc_now()}
    studies = [
        {"study_uid": f"9.1.{n}", "state": "skipped", "PatientID": "MANY", "views": []} | times
        for n in range(MANY)
    ]
    session.execute(insert(Study), studies)
    session.execute(
        insert(Series),
        [
            {"study_uid": f"9.1.{n}", "series_uid": f"9.2.{n}", "Modality": "MG"}
            for n in range(MANY)
        ],
    )
    session.execute(
        insert(Instance),
        [
            common
            | {"study_uid": f"9.1.{n}", "series_uid": f"9.2.{n}", "sop_instance_uid": f"9.3.{n}"}
            | {"digest": f"{n:064x}"}
            for n in range(MANY)
        ],
    )


def test_every_match_is_answered_once(node: Node, many: str) -> None:
    """Paging neither loses nor repeats a study."""
    with asking(node.port) as association:
        answers = find(association, identifier("STUDY", PatientID=many, StudyInstanceUID=""))
    uids = [said.StudyInstanceUID for _, said in answers if said is not None]
    assert len(uids) == len(set(uids)) == MANY
    assert answers[-1][0] == 0x0000


def test_cancelled_query_ends(node: Node, many: str) -> None:
    """C-CANCEL ends a long answer, also for a peer that reads slowly."""
    statuses = []
    model = "1.2.840.10008.5.1.4.1.2.2.1"
    with asking(node.port) as association:
        asked = identifier("STUDY", PatientID=many, StudyInstanceUID="", PatientName="")
        for status, _ in association.send_c_find(asked, model, msg_id=5):
            statuses.append(int(status.Status))
            if len(statuses) == 10:
                association.send_c_cancel(5, None, model)
            if len(statuses) < 200:
                time.sleep(0.002)
    assert statuses[-1] == 0xFE00
    assert len(statuses) < MANY


def test_cancelled_in_the_same_breath(node: Node, many: str) -> None:
    """A C-CANCEL that comes with its request counts; one of an earlier request does not."""
    asked = encoded(identifier("STUDY", PatientID=many, StudyInstanceUID=""))
    query = pdu(P_DATA, pdv(1, 3, command(C_FIND_RQ, STUDY_ROOT_FIND, 7)) + pdv(1, 2, asked))
    cancel = pdu(P_DATA, pdv(1, 3, c_cancel(7)))
    with RawPeer(node.port) as peer:
        peer.associate(STUDY_ROOT_FIND)
        for _ in range(5):
            peer.send(query + cancel)
            statuses = _until_final(peer)
            assert statuses[-1] == 0xFE00
            assert len(statuses) < MANY
        peer.send(cancel + query)
        assert _until_final(peer)[-1] == 0x0000


def _until_final(peer: RawPeer) -> list[int]:
    """The statuses of all responses to one request."""
    found: list[int] = []
    while not found or found[-1] in (0xFF00, 0xFF01):
        kind, body = peer.receive()
        assert kind == P_DATA
        length, _, control = struct.unpack_from(">IBB", body)
        if control & 1:
            found.append(int.from_bytes(elements(body[6 : 4 + length])[0x0900], "little"))
    return found


def test_move_gives_back_the_bytes(node: Node) -> None:
    """C-MOVE sends every object as it is kept, says who asked, and counts as it goes."""
    contexts = [(uid, [ExplicitVRLittleEndian]) for uid in (MG, EncapsulatedPDFStorage)]
    contexts.append((SegmentationStorage, [ExplicitVRLittleEndian]))
    node.keeper.stored.clear()
    with node.keeper.listening(contexts), asking(node.port) as association:
        answers = move(association, "KEEPER", identifier("STUDY", StudyInstanceUID=node.study_uid))
    *pending, (final, _) = answers
    assert [status.NumberOfRemainingSuboperations for status, _ in pending] == [4, 3, 2, 1]
    assert all(status.Status == 0xFF00 for status, _ in pending)
    assert (final.Status, final.NumberOfCompletedSuboperations) == (0x0000, 5)
    assert set(node.keeper.stored) == node.uids
    for image in node.images:
        stored = node.keeper.stored[image.SOPInstanceUID]
        assert stored.encoded == node.kept(image.SOPInstanceUID)
        assert (stored.originator, stored.originator_message_id) == ("PACS", 1)


def test_movescu_reads_the_outcome(node: Node) -> None:
    """DCMTK's movescu succeeds, and says what is wrong with an unknown or silent destination."""
    keys = ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={node.study_uid}")
    contexts = [
        (uid, AllTransferSyntaxes) for uid in (MG, EncapsulatedPDFStorage, SegmentationStorage)
    ]
    node.keeper.stored.clear()
    with node.keeper.listening(contexts):
        code, said = movescu(node.port, "KEEPER", *keys)
    assert code == 0, said
    assert set(node.keeper.stored) == node.uids
    code, said = movescu(node.port, "NOBODY", *keys)
    assert "MoveDestinationUnknown" in said, said
    code, said = movescu(node.port, "AWAY", *keys)
    assert "SubOperations" in said, said


def test_failed_sub_operations_are_counted_and_named(node: Node) -> None:
    """A class that the peer does not take in our syntax fails; the others arrive."""
    contexts = [(MG, [ExplicitVRLittleEndian]), (EncapsulatedPDFStorage, [ImplicitVRLittleEndian])]
    with node.keeper.listening(contexts), asking(node.port) as association:
        final, failed = move(
            association, "KEEPER", identifier("STUDY", StudyInstanceUID=node.study_uid)
        )[-1]
    assert (final.Status, final.NumberOfCompletedSuboperations) == (0xB000, 3)
    assert final.NumberOfFailedSuboperations == 2
    assert failed is not None
    lost = {node.images[3].SOPInstanceUID, node.result.SOPInstanceUID}
    assert set(failed.FailedSOPInstanceUIDList) == lost


def test_warnings_and_failures_of_the_peer(node: Node) -> None:
    """Statuses of the peer are told apart; when everything fails, so does the C-MOVE."""
    asked = identifier(
        "SERIES",
        StudyInstanceUID=node.study_uid,
        SeriesInstanceUID=node.images[0].SeriesInstanceUID,
    )
    statuses = iter([0xB000, 0xA700, 0x0000, 0xC000, 0xC000, 0xC000])
    node.keeper.answer = lambda _event: next(statuses)
    try:
        with node.keeper.listening([(MG, [ExplicitVRLittleEndian])]), asking(node.port) as peer:
            first, _ = move(peer, "KEEPER", asked)[-1]
            second, failed = move(peer, "KEEPER", asked)[-1]
    finally:
        node.keeper.answer = lambda _event: 0x0000
    assert first.Status == 0xB000
    counts = first.NumberOfWarningSuboperations, first.NumberOfFailedSuboperations
    assert (*counts, first.NumberOfCompletedSuboperations) == (1, 1, 1)
    assert (second.Status, second.NumberOfFailedSuboperations) == (0xA702, 3)
    assert failed is not None
    assert len(failed.FailedSOPInstanceUIDList) == 3


def test_retrievals_that_are_refused(node: Node) -> None:
    """0xA801, 0xA900 and 0xA702 without a single sub-operation; nothing found is a success."""
    with asking(node.port) as association:
        study = identifier("STUDY", StudyInstanceUID=node.study_uid)
        (unknown, _) = move(association, "NOBODY", study)[-1]
        assert unknown.Status == 0xA801
        (everything, _) = move(association, "KEEPER", identifier("STUDY", StudyInstanceUID=""))[-1]
        assert everything.Status == 0xA900
        (away, failed) = move(association, "AWAY", study)[-1]
        assert (away.Status, away.NumberOfFailedSuboperations) == (0xA702, 5)
        assert failed is not None
        assert set(failed.FailedSOPInstanceUIDList) == node.uids
        nothing = identifier("STUDY", StudyInstanceUID="1.2.3")
        assert move(association, "AWAY", nothing)[-1][0].Status == 0x0000


def test_slow_destination_and_cancel(node: Node) -> None:
    """A retrieval longer than the network timeout keeps its association; C-CANCEL ends it."""
    node.keeper.answer = lambda _event: time.sleep(1.1) or 0x0000
    asked = identifier("STUDY", StudyInstanceUID=node.study_uid)
    contexts = [(uid, [ExplicitVRLittleEndian]) for uid in (MG, EncapsulatedPDFStorage)]
    model = "1.2.840.10008.5.1.4.1.2.2.2"
    try:
        with node.keeper.listening(contexts), asking(node.port) as association:
            statuses = []
            for status, _ in association.send_c_move(asked, "KEEPER", model, msg_id=9):
                statuses.append(status)
                if len(statuses) == 2:
                    association.send_c_cancel(9, None, model)
            final = statuses[-1]
            assert final.Status == 0xFE00
            assert final.NumberOfRemainingSuboperations + final.NumberOfCompletedSuboperations == 5
            assert 0 < final.NumberOfRemainingSuboperations < 4
    finally:
        node.keeper.answer = lambda _event: 0x0000


def test_getscu_fetches_a_study(node: Node) -> None:
    """DCMTK's getscu, with its own choice of contexts, gets the same bytes back."""
    folder = node.folder / "got"
    keys = ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={node.study_uid}")
    code, said = getscu(node.port, folder, *keys)
    assert code == 0, said
    got = {each.SOPInstanceUID: each for each in map(dcmread, folder.iterdir())}
    assert set(got) == node.uids
    for image in node.images:
        assert got[image.SOPInstanceUID] == image


def test_get_on_one_association(node: Node) -> None:
    """C-GET sends over the association that asked; a class it does not offer fails by name."""
    keeper = Keeper("PACS")
    storage = [(MG, ExplicitVRLittleEndian), (SegmentationStorage, ExplicitVRLittleEndian)]
    handlers = [(evt.EVT_C_STORE, keeper.keep)]
    with asking(node.port, storage, evt_handlers=handlers) as association:
        asked = identifier("STUDY", StudyInstanceUID=node.study_uid)
        final, failed = get(association, asked)[-1]
        assert find(association, identifier("STUDY", PatientID="QR-1"))[-1][0] == 0x0000
    assert (final.Status, final.NumberOfCompletedSuboperations) == (0xB000, 4)
    assert failed is not None
    assert failed.FailedSOPInstanceUIDList == node.images[3].SOPInstanceUID
    assert final.ErrorComment == "the peer does not accept this class in this transfer syntax"
    for image in node.images[:3]:
        assert keeper.stored[image.SOPInstanceUID].encoded == node.kept(image.SOPInstanceUID)
    assert keeper.stored[node.images[0].SOPInstanceUID].originator is None


def test_both_roles_at_once(node: Node) -> None:
    """A requestor that is SCU and SCP of one class can still store; so can one without roles."""
    entity = AE("BOTH")
    entity.add_requested_context(MG, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    roles = [build_role(MG, scu_role=True, scp_role=True)]
    association = entity.associate("127.0.0.1", node.port, ext_neg=roles)
    (context,) = association.accepted_contexts
    assert (context.as_scu, context.as_scp) == (True, True)
    assert context.transfer_syntax == [ExplicitVRLittleEndian]
    assert association.send_c_store(mammogram(seed=5)).Status == 0x0000
    association.release()
    plain = entity.associate("127.0.0.1", node.port)
    (context,) = plain.accepted_contexts
    assert (context.as_scu, context.as_scp) == (True, False)
    plain.release()


def test_get_in_the_syntax_that_is_kept(node: Node) -> None:
    """Of several syntaxes in one context, C-GET has the one that can be sent, not the first."""
    entity = AE("PACS")
    entity.add_requested_context(MG, [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
    association = entity.associate("127.0.0.1", node.port, ext_neg=[build_role(MG, scp_role=True)])
    (context,) = association.accepted_contexts
    association.release()
    assert context.transfer_syntax == [ExplicitVRLittleEndian]


def test_compressed_objects_keep_their_syntax(node: Node, real_data: Path) -> None:
    """Real JPEG 2000 mammograms leave byte for byte, and to nobody who wants them uncompressed."""
    paths = [
        path
        for path in sorted((real_data / "dicom_mg").glob("*.dcm"))
        if dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID.is_compressed
    ][:1]
    if not paths:
        pytest.skip(f"no compressed mammogram in {real_data}: set SENTINODE_DATA")
    (source,) = map(dcmread, paths)
    syntax = source.file_meta.TransferSyntaxUID
    entity = AE("MODALITY")
    entity.add_requested_context(source.SOPClassUID, syntax)
    association = entity.associate("127.0.0.1", node.port)
    assert association.send_c_store(source).Status == 0x0000
    association.release()
    asked = identifier("STUDY", StudyInstanceUID=source.StudyInstanceUID)
    both = [ExplicitVRLittleEndian, syntax]
    with node.keeper.listening([(source.SOPClassUID, both)]), asking(node.port) as peer:
        assert move(peer, "KEEPER", asked)[-1][0].Status == 0x0000
    stored = node.keeper.stored[source.SOPInstanceUID]
    assert stored.transfer_syntax_uid == syntax
    assert stored.encoded == node.kept(source.SOPInstanceUID)
    with (
        node.keeper.listening([(source.SOPClassUID, [ExplicitVRLittleEndian])]),
        asking(node.port) as peer,
    ):
        final, failed = move(peer, "KEEPER", asked)[-1]
    assert final.Status == 0xA702
    assert failed is not None
    assert failed.FailedSOPInstanceUIDList == source.SOPInstanceUID


def test_orthanc_takes_what_is_moved(node: Node, orthanc: Orthanc) -> None:
    """A real archive stores the moved objects, each equal to what the modality sent."""
    code, said = movescu(
        node.port,
        orthanc.ae_title,
        "QueryRetrieveLevel=STUDY",
        f"StudyInstanceUID={node.study_uid}",
    )
    assert code == 0, said
    assert set(orthanc.sop_instance_uids_of(node.study_uid)) == node.uids
    for image in node.images:
        content = orthanc.file(image.SOPInstanceUID)
        assert content.endswith(node.kept(image.SOPInstanceUID))


def test_an_archive_asks_and_fetches(node: Node, orthanc: Orthanc) -> None:
    """Orthanc queries the node and retrieves what it found, with its own user interface's calls."""
    modality = {"AET": "SENTINODE", "Host": "127.0.0.1", "Port": node.port}
    asked = {"Level": "Study", "Query": {"PatientID": "QR-1", "AccessionNumber": "ACC1"}}
    orthanc.clear()
    with httpx.Client(base_url=orthanc.url, timeout=60, trust_env=False) as client:
        client.put("/modalities/node", json=modality).raise_for_status()
        query = client.post("/modalities/node/query", json=asked).raise_for_status().json()["ID"]
        answers = client.get(f"/queries/{query}/answers?expand&simplify").json()
        assert [each["StudyInstanceUID"] for each in answers] == [node.study_uid]
        wanted = {"TargetAet": orthanc.ae_title, "Synchronous": True}
        client.post(f"/queries/{query}/retrieve", json=wanted).raise_for_status()
    assert set(orthanc.sop_instance_uids_of(node.study_uid)) == node.uids


def test_names_in_another_character_set(node: Node) -> None:
    """The character set of the question is its own affair; the answer is in UTF-8."""
    for character_set in ("ISO_IR 192", "ISO_IR 100"):
        asked = identifier("STUDY", SpecificCharacterSet=character_set, PatientName="müll*")
        with asking(node.port) as association:
            answers = find(association, asked)
        assert len(answers) == 3
        assert answers[0][1] is not None
        assert answers[0][1].PatientName == "MÜLLER^ÄNNE"


def test_peers_that_leave_in_the_middle(node: Node, many: str) -> None:
    """An abort during a query or a retrieval costs nothing but that association."""
    asked = identifier("STUDY", PatientID=many, StudyInstanceUID="")
    for model in ("1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.3"):
        entity = AE("PACS")
        # pynetdicom waits so long for an answer even after it has aborted.
        entity.dimse_timeout = 1
        entity.add_requested_context(model)
        entity.add_requested_context(MG, ExplicitVRLittleEndian)
        roles = [build_role(MG, scp_role=True)]
        handlers = [(evt.EVT_C_STORE, lambda event: event.assoc.abort() or 0)]
        association = entity.associate("127.0.0.1", node.port, ext_neg=roles, evt_handlers=handlers)
        assert association.is_established
        if model.endswith("3"):
            study = identifier("STUDY", StudyInstanceUID=node.study_uid)
            assert list(association.send_c_get(study, model))[-1][0] == Dataset()
        else:
            next(association.send_c_find(asked, model))
            association.abort()
    assert len(ask(node, "STUDY", "PatientID=QR-1")) == 2
    assert "Traceback" not in node.log.read_text()


# The peer is in this process, the node is not. Where the peer aborts while it answers the next
# object, pynetdicom's state machine has no row for that, and its thread ends with an error.
@pytest.mark.filterwarnings(
    "ignore:Exception in thread .*run_reactor:pytest.PytestUnhandledThreadExceptionWarning"
)
def test_a_destination_that_leaves_between_two_objects(node: Node) -> None:
    """At whatever moment it aborts, every object is counted, and named if it did not arrive."""

    def leave(event: evt.Event) -> None:
        if isinstance(event.message, C_STORE_RSP):
            threading.Timer(random.random() / 300, event.assoc.abort).start()

    away = AE("LEAVER")
    for sop_class in (MG, EncapsulatedPDFStorage, SegmentationStorage):
        away.add_supported_context(sop_class, ExplicitVRLittleEndian)
    handlers = [(evt.EVT_C_STORE, lambda _event: 0x0000), (evt.EVT_DIMSE_SENT, leave)]
    server = away.start_server(("127.0.0.1", node.leaver_port), block=False, evt_handlers=handlers)
    asked = identifier("STUDY", StudyInstanceUID=node.study_uid)
    try:
        with asking(node.port) as association:
            finals = [move(association, "LEAVER", asked)[-1] for _ in range(15)]
    finally:
        server.shutdown()
    for final, failed in finals:
        assert final.Status in (0x0000, 0xB000, 0xA702)
        counts = final.NumberOfCompletedSuboperations, final.NumberOfFailedSuboperations
        assert sum(counts) == len(node.uids)
        named = failed.get("FailedSOPInstanceUIDList") if failed is not None else []
        assert len([named] if isinstance(named, str) else named or []) == counts[1]


def test_conflicts_are_never_given_out(node: Node) -> None:
    """Other content under a known UID is neither found nor moved, not even under its own study."""
    with node.store.reading() as session:
        conflicts = session.scalars(select(Instance).where(Instance.conflict)).all()
    assert len(conflicts) == 2
    lonely = next(each for each in conflicts if each.study_uid != node.study_uid)
    study = f"StudyInstanceUID={lonely.study_uid}"
    assert ask(node, "STUDY", study) == []
    assert ask(node, "SERIES", study, "SeriesInstanceUID") == []
    with asking(node.port) as association:
        asked = identifier("STUDY", StudyInstanceUID=lonely.study_uid)
        assert move(association, "AWAY", asked)[-1][0].Status == 0x0000


def test_large_object_is_not_held_in_memory(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moving 192 MiB to a peer of unlimited PDU length costs the node few of them."""
    image = mammogram(size_px=(8192, 6144))
    image.PixelData = bytes(len(image.PixelData)) * 2
    image.Rows *= 2
    # From a file: encoding takes a busy machine longer than this node bears a silent peer.
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)
    image.save_as(tmp_path / "large.dcm", enforce_file_format=True)
    _send(node.port, tmp_path / "large.dcm")
    assert len(image.PixelData) == 192 << 20
    process = psutil.Process(node.pid)
    before, peak = process.memory_info().rss, 0
    node.keeper.stored.clear()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.01):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    asked = identifier("STUDY", StudyInstanceUID=image.StudyInstanceUID)
    try:
        with (
            node.keeper.listening([(MG, [ExplicitVRLittleEndian])], max_pdu=0),
            asking(node.port) as association,
        ):
            assert move(association, "KEEPER", asked)[-1][0].Status == 0x0000
    finally:
        done.set()
        watcher.join()
    assert len(node.keeper.stored[image.SOPInstanceUID].encoded) > 192 << 20
    assert peak - before < 48 << 20


def test_values_of_identifiers_are_not_logged(node: Node) -> None:
    """Neither a query nor a refusal leaves a patient's name in the log, at any level."""
    with asking(node.port) as association:
        find(association, identifier("STUDY", PatientName=f"{SECRET}*", PatientID=SECRET))
        find(association, identifier("SERIES", PatientName=SECRET))
        wrong = identifier("STUDY", PatientID=SECRET, StudyDate="20260203")
        wrong["StudyDate"]._value = SECRET
        find(association, wrong)
        move(association, "AWAY", identifier("STUDY", StudyInstanceUID="", PatientName=SECRET))
        find(association, identifier("STUDY", PatientID="QR-1", PatientName=""))
    log = node.log.read_text()
    assert "query answered" in log
    assert SECRET not in log
    assert "LLER" not in log


def test_errors_of_the_database_hold_no_values(store: Store) -> None:
    """The text of an error, which a log may show, names the statement and not what was in it."""
    with pytest.raises(SQLAlchemyError) as error, store.reading() as session:
        session.execute(
            text('SELECT nothing FROM study WHERE "PatientName" = :name'), {"name": SECRET}
        )
    assert "PatientName" in str(error.value)
    assert SECRET not in str(error.value)


@pytest.mark.skipif(bool(postgresql_missing()), reason=str(postgresql_missing()))
def test_a_database_that_is_away_is_out_of_resources(tmp_path: Path) -> None:
    """0xA700 to a query and to a retrieval, and the association goes on."""
    with running_postgresql() as server:
        settings: dict[str, object] = {
            "state_dir": tmp_path / "state",
            "database_url": server.new_database(),
            "dicom_port": free_port(),
            "min_free_bytes": 0,
            "broker_url": "redis://127.0.0.1:1/0",
        }
        sentinode(settings, "db", "upgrade")
        log = tmp_path / "receive.log"
        with (
            running_role(settings, "receive", log=log, ready_text="receiver listens"),
            asking(int(str(settings["dicom_port"]))) as association,
        ):
            asked = identifier("STUDY", StudyInstanceUID="1.2.3")
            assert find(association, asked)[-1][0] == 0x0000
            # A fast shutdown: it does not wait for the node to leave.
            server.process.send_signal(signal.SIGINT)
            server.process.wait(30)
            assert find(association, asked)[-1][0] == 0xA700
            assert get(association, asked)[-1][0].Status == 0xA700
