"""What came as a prior and what its modality sends, on both databases: which is analysed."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import select

from node.instance import Claim
from node.priors.rules import PriorRule
from node.settings import Settings
from node.store.session import Store
from node.store.tables import Instance, Job, PriorRequest, Study
from tests.datasets import mammogram
from tests.peers.wire import encoded
from tests.receiving import Receiving

RULE = PriorRule(name="mg", source="ARCHIVE", modalities=("MG",), within_days=1000)


class Node(Receiving):
    """The inbox and the clock, without a network."""

    def prior(self, *datasets: Dataset) -> list[str]:
        """Take data sets that an archive sends because this node asked it to move them."""
        return self.settle(datasets, "ARCHIVE", "SENTINODE")

    def sent(self, *datasets: Dataset) -> list[str]:
        """Take data sets from a modality."""
        return self.settle(datasets)

    def complete(self) -> int:
        """Let every deadline pass; returns how many jobs that makes."""
        return len(self.sweep(86_400, [RULE]))

    def rows(self) -> list[tuple[str, bool, bool, int | None]]:
        """Caller, whether some model wants it, conflict and revision of each instance."""
        with self.store.reading() as session:
            rows = session.scalars(select(Instance).order_by(Instance.id)).all()
        return [
            (row.calling_ae_title, bool(row.models), row.conflict, row.revision) for row in rows
        ]

    def study(self, dataset: Dataset) -> tuple[str, int, bool]:
        """State, revision, and whether a deadline runs."""
        with self.store.reading() as session:
            study = session.get_one(Study, dataset.StudyInstanceUID)
        return study.state, study.revision, study.deadline_at is not None

    def requests(self) -> list[str]:
        """Studies that asked for priors."""
        with self.store.reading() as session:
            return list(session.scalars(select(PriorRequest.study_uid)))


@pytest.fixture
def node(settings: Settings, store: Store) -> Node:
    """Return a node without network."""
    return Node(settings, store)


def encoded_anew(dataset: Dataset) -> Dataset:
    """The same instance as an archive may give it back: with an attribute more."""
    copy = mammogram(dataset.StudyInstanceUID)
    copy.update(dataset)
    copy.InstitutionName = "ARCHIVE"
    return copy


def test_prior_alone_starts_nothing(node: Node) -> None:
    """No deadline, no revision, no job, and no question for priors of priors."""
    image = mammogram()
    assert node.prior(image) == ["new"]
    assert node.rows() == [("ARCHIVE", False, False, 0)]
    assert node.complete() == 0
    assert node.study(image) == ("skipped", 0, False)
    assert node.requests() == []


def test_prior_within_a_completed_study_opens_no_revision(node: Node) -> None:
    """An archive's further image of a study that is done changes nothing about it."""
    image = mammogram()
    node.sent(image)
    assert node.complete() == 1
    node.prior(mammogram(image.StudyInstanceUID, view="MLO"))
    assert node.complete() == 0
    assert node.study(image)[1:] == (1, False)
    assert node.requests() == [image.StudyInstanceUID]


def test_prior_does_not_move_the_deadline_of_a_study(node: Node, store: Store) -> None:
    """While a modality is sending, what the archive adds does not prolong the wait."""
    image = mammogram()
    node.sent(image)
    with store.reading() as session:
        before = session.get_one(Study, image.StudyInstanceUID).deadline_at
    node.prior(mammogram(image.StudyInstanceUID, view="MLO"))
    with store.reading() as session:
        assert session.get_one(Study, image.StudyInstanceUID).deadline_at == before


@pytest.mark.parametrize("together", [False, True])
def test_modality_sends_what_was_a_prior(node: Node, together: bool) -> None:
    """The same bytes: one instance, now analysed; also when both arrive in one transaction."""
    image = mammogram()
    if together:
        uids = image.SOPClassUID, image.SOPInstanceUID, ExplicitVRLittleEndian
        claims = [
            Claim(*uids, "ARCHIVE", "10.0.0.1", "SENTINODE"),
            Claim(*uids, "MODALITY", "10.0.0.1"),
        ]
        incoming = [node.inbox.open(claim) for claim in claims]
        for each in incoming:
            each.write(encoded(image))
        kinds = [outcome.kind for outcome in node.inbox.settle(incoming)]
    else:
        kinds = node.prior(image) + node.sent(image)
    assert kinds == ["new", "same"]
    assert node.rows() == [("MODALITY", True, False, None)]
    assert node.study(image) == ("receiving", 0, True)
    assert node.complete() == 1
    assert node.sent(image) == ["same"]
    assert node.prior(image) == ["same"]
    assert node.rows() == [("MODALITY", True, False, 1)]
    assert node.complete() == 0


def test_modality_sends_what_the_archive_has_changed(node: Node) -> None:
    """Other bytes than the prior's: no conflict, the modality's object is the one to analyse."""
    image = mammogram()
    node.prior(encoded_anew(image))
    assert node.sent(image) == ["new"]
    assert node.rows() == [("ARCHIVE", False, True, 0), ("MODALITY", True, False, None)]
    assert node.complete() == 1


def test_archive_has_changed_what_the_modality_sent(node: Node, store: Store) -> None:
    """The archive's copy is kept apart and takes nothing from the original."""
    image = mammogram()
    node.sent(image)
    assert node.prior(encoded_anew(image)) == ["conflict"]
    assert node.prior(encoded_anew(image)) == ["conflict"]
    assert node.complete() == 1
    assert node.rows() == [("MODALITY", True, False, 1), ("ARCHIVE", False, True, 0)]
    with store.reading() as session:
        assert len(session.scalars(select(Job)).all()) == 1
