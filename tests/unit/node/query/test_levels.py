"""The hierarchy of identifiers: which keys a level needs, and what is refused (PS3.4 C.4)."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydicom.config import IGNORE, settings
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode

from node.errors import CannotUnderstandError, DataSetMismatchError
from node.query.catalog import known_keywords
from node.query.find import response
from node.query.levels import Query, Selection, read_query, read_selection


@pytest.fixture(autouse=True)
def _as_in_the_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    """pydicom reads what peers send without a word about it (`configure_logs`)."""
    monkeypatch.setattr(settings, "reading_validation_mode", IGNORE)
    monkeypatch.setattr(settings, "writing_validation_mode", IGNORE)


def identifier(level: str | None, **keys: object) -> Dataset:
    """An identifier with these keys."""
    dataset = Dataset()
    if level is not None:
        dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


def query(level: str | None, **keys: object) -> Query:
    """It as a query."""
    return read_query(identifier(level, **keys), known_keywords)


@pytest.mark.parametrize(
    ("level", "keys"),
    [
        (None, {}),
        ("PATIENT", {}),
        ("SERIES", {"Modality": "MG"}),
        ("SERIES", {"StudyInstanceUID": ""}),
        ("SERIES", {"StudyInstanceUID": ["1.2", "1.3"]}),
        ("IMAGE", {"StudyInstanceUID": "1.2"}),
        ("IMAGE", {"SeriesInstanceUID": "1.2"}),
    ],
)
def test_one_uid_for_every_level_above(level: str | None, keys: dict[str, object]) -> None:
    """0xA900 for no level, an unknown one, or a missing key above it."""
    with pytest.raises(DataSetMismatchError):
        query(level, **keys)
    with pytest.raises(DataSetMismatchError):
        read_selection(identifier(level, **keys))


@pytest.mark.parametrize("value", ["", "*", None])
def test_nothing_retrieves_everything(value: str | None) -> None:
    """An empty key would be universal; a retrieval refuses it."""
    with pytest.raises(DataSetMismatchError):
        read_selection(identifier("STUDY", StudyInstanceUID=value))


def test_selections() -> None:
    """UIDs at the asked level may be several; other keys do not matter."""
    assert read_selection(
        identifier("STUDY", StudyInstanceUID=["1.2", "1.3"], PatientID="X")
    ) == Selection("STUDY", ("1.2", "1.3"))
    assert read_selection(
        identifier("IMAGE", StudyInstanceUID="1.2", SeriesInstanceUID="1.3", SOPInstanceUID="1.4")
    ) == Selection("IMAGE", ("1.2",), ("1.3",), ("1.4",))


def test_keys_that_cannot_be_matched_are_said() -> None:
    """They match everything, and the query knows that it is answered in part (0xFF01)."""
    assert query("STUDY", PatientID="X", PatientComments="").is_partial is False
    partial = query("STUDY", PatientID="X", PatientComments="left", Modality="MG")
    assert partial.is_partial is True
    assert set(partial.keys) == {"PatientID"}


def test_unreadable_values_are_refused() -> None:
    """0xC000 for three bytes that should be a number of two."""
    level, rows = b"\x08\x00\x52\x00CS\x06\x00STUDY ", b"\x28\x00\x10\x00US\x03\x00abc"
    broken = decode(BytesIO(level + rows), False, True)
    with pytest.raises(CannotUnderstandError):
        read_query(broken, known_keywords)


def test_response_holds_what_was_asked_and_no_more() -> None:
    """Known attributes with their values, unknown ones empty, the unique key always."""
    asked = query(
        "STUDY", PatientName="*", PatientComments="", ReferencedStudySequence=[], StudyDate=""
    )
    values = {"StudyInstanceUID": ("1.2",), "PatientName": ("Ä^B",), "PatientID": ("P",)}
    said = response(asked, values, "NODE")
    assert said.PatientName == "Ä^B"
    assert said.StudyInstanceUID == "1.2"
    assert (said.RetrieveAETitle, said.InstanceAvailability) == ("NODE", "ONLINE")
    assert said.SpecificCharacterSet == "ISO_IR 192"
    assert "PatientID" not in said
    assert said["PatientComments"].is_empty
    assert said["ReferencedStudySequence"].is_empty
    assert said["StudyDate"].is_empty


def test_numbers_that_are_none_are_left_out() -> None:
    """A number of a device that is none cannot be said in IS; it does not stop the rest."""
    asked = query("IMAGE", StudyInstanceUID="1.2", SeriesInstanceUID="1.3", InstanceNumber=None)
    values = {"InstanceNumber": ("one",), "SOPInstanceUID": ("1.4",)}
    assert response(asked, values, "NODE")["InstanceNumber"].is_empty
