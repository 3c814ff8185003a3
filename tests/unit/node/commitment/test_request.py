"""Action Information of Storage Commitment: what is asked, or why it is refused."""

from __future__ import annotations

import pytest
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from node.commitment.request import MAX_ITEMS, Refusal, asked
from node.store.commitments import Asked, Reference

CLASS, INSTANCE, TRANSACTION = "1.2.840.10008.5.1.4.1.1.1.2", "2.25.1", "2.25.99"


def information(*pairs: tuple[str, str], transaction_uid: str | None = TRANSACTION) -> Dataset:
    """Action Information with these references."""
    found = Dataset()
    if transaction_uid is not None:
        _add(found, "TransactionUID", transaction_uid)
    found.ReferencedSOPSequence = [_item(*pair) for pair in pairs]
    return found


def _item(class_uid: str, instance_uid: str) -> Dataset:
    item = Dataset()
    _add(item, "ReferencedSOPClassUID", class_uid)
    _add(item, "ReferencedSOPInstanceUID", instance_uid)
    return item


def _add(dataset: Dataset, keyword: str, uid: str) -> None:
    # As received: not validated.
    dataset.add(DataElement(keyword, "UI", uid, validation_mode=IGNORE))


def test_each_item_counts_once_in_the_order_asked() -> None:
    """An item that comes twice is asked for once."""
    found = asked(information((CLASS, "2.25.2"), (CLASS, INSTANCE), (CLASS, "2.25.2")))
    assert found == Asked(TRANSACTION, (Reference(CLASS, "2.25.2"), Reference(CLASS, INSTANCE)))


def test_attributes_that_do_not_matter_are_ignored() -> None:
    """Storage media and performed procedure steps may come along (PS3.4 table J.3-1)."""
    more = information((CLASS, INSTANCE))
    more.StorageMediaFileSetID = "DISK1"
    more.ReferencedPerformedProcedureStepSequence = [Dataset()]
    assert isinstance(asked(more), Asked)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (information((CLASS, INSTANCE), transaction_uid=None), "Transaction UID"),
        (information((CLASS, INSTANCE), transaction_uid=""), "Transaction UID"),
        (information((CLASS, INSTANCE), transaction_uid="../etc"), "Transaction UID"),
        (information((CLASS, INSTANCE), transaction_uid="1." * 40 + "1"), "Transaction UID"),
        (information((CLASS, INSTANCE), transaction_uid="1.2\\1.3"), "Transaction UID"),
        (information(), "Referenced SOP Sequence"),
        (Dataset(), "Transaction UID"),
        (information((CLASS, INSTANCE), ("", INSTANCE)), "item 2"),
        (information((CLASS, "x")), "item 1"),
    ],
)
def test_what_is_missing_or_wrong_is_named(sent: Dataset, said: str) -> None:
    """0115H, with an Error Comment that fits its element."""
    refusal = asked(sent)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 0x0115
    assert said in refusal.comment
    assert len(refusal.answer().ErrorComment) <= 64


def test_absurdly_long_requests_are_refused() -> None:
    """0213H above the limit: ask in parts."""
    item = _item(CLASS, INSTANCE)
    sent = information()
    sent.ReferencedSOPSequence = [item] * (MAX_ITEMS + 1)
    refusal = asked(sent)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 0x0213
