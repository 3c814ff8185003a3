"""Which studies and destinations get a CAD report, from received images to rows and files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from node.destinations import Destination
from node.job import DELIVERING, DONE, Lease, hold, move
from node.settings import load_settings
from node.store.migrate import upgrade
from node.store.session import open_store
from node.store.tables import Job, Result
from tests.analysed import Analysed, Said, scan
from tests.datasets import mammogram
from workers.records import add_results
from workers.results import Encoding, encode_results

WORKSTATION = Destination(
    name="workstation",
    protocol="c-store",
    ae_title="READER",
    host="reader.example",
    port=104,
    profile="workstation",
)
VIEWER = Destination(name="viewer", protocol="stow", url="https://pacs.example/dicom-web")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Analysed]:
    settings = load_settings(state_dir=tmp_path, min_free_bytes=0)
    upgrade(settings)
    store = open_store(settings)
    yield Analysed(settings, store)
    store.close()


def _encode(node: Analysed, lease: Lease, scores: str = "") -> dict[str, list[str]]:
    """Write and record every object of a job, end it; destinations by SOP Instance UID of CADSR."""
    destinations = (WORKSTATION, VIEWER)
    settings = load_settings(cad_presentation_scores=scores)
    encoding = Encoding(
        *(node.store, node.files, destinations), presentation_scores=settings.presentation_scores
    )
    written = encode_results(encoding, lease)
    with node.store.writing() as session:
        job = hold(session, lease)
        add_results(session, job, written, destinations)
        move(session, job, DELIVERING, "written")
        move(session, job, DONE, "delivered")
    with node.store.reading() as session:
        job = session.get_one(Job, lease.job_id)
        return {
            result.sop_instance_uid: [delivery.destination for delivery in result.deliveries]
            for result in job.results
            if result.kind == "CADSR"
        }


def _read(node: Analysed, sop_instance_uid: str) -> Dataset:
    """The object on disk."""
    with node.store.reading() as session:
        (path,) = session.query(Result.path).filter_by(sop_instance_uid=sop_instance_uid).one()
    return pydicom.dcmread(node.files.absolute(path))


def _intents(report: Dataset) -> set[str]:
    return {
        str(item.ConceptCodeSequence[0].CodeValue)
        for sequence in report.iterall()
        if sequence.keyword == "ContentSequence"
        for item in sequence.value
        if "ConceptNameCodeSequence" in item
        and item.ConceptNameCodeSequence[0].CodeValue == "111056"
    }


def test_a_mammogram_s_report_goes_to_who_wants_it(node: Analysed) -> None:
    """One object, one delivery, to the workstation and not to the viewer."""
    found = _encode(node, node.analysed(mammogram(), said=Said(findings=2)))
    assert list(found.values()) == [["workstation"]]
    assert _intents(_read(node, next(iter(found)))) == {"111150"}


def test_the_site_s_scores_reach_the_report(node: Analysed) -> None:
    """What is below them is optional to show."""
    found = _encode(node, node.analysed(mammogram(), said=Said(findings=2)), "mass=0.99")
    assert _intents(_read(node, next(iter(found)))) == {"111151"}


def test_a_late_image_s_report_names_the_one_before(node: Analysed) -> None:
    """Revision 2 has both images and its predecessor."""
    first_image = mammogram()
    (first,) = _encode(node, node.analysed(first_image))
    late = mammogram(str(first_image.StudyInstanceUID), laterality="R")
    (second,) = _encode(node, node.analysed(late))
    report = _read(node, second)
    (study,) = report.PredecessorDocumentsSequence
    reference = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == first != second
    assert len(report.ContentSequence[1].ContentSequence) == 2


def test_ultrasound_alone_opens_no_delivery(node: Analysed) -> None:
    """Nothing is written, and nothing waits."""
    assert _encode(node, node.analysed(scan(), said=Said(findings=1))) == {}
