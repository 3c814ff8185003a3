"""The patient's age, from whatever the device wrote."""

from __future__ import annotations

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from workers.dicom.age import read_age_years


@pytest.mark.parametrize(
    ("age", "born", "taken", "years"),
    [
        ("052Y", "", "", 52.0),
        ("630M", "", "", 52.5),
        ("052Y", "19000101", "20200101", 52.0),
        ("", "19700101", "20200101", 50.0),
        ("000Y", "19700101", "20200101", 50.0),
        ("52", "", "", None),
        ("", "19700101", "", None),
        ("", "1970", "20200101", None),
        ("", "20210101", "20200101", None),
        ("999Y", "", "", None),
        ("", "", "", None),
    ],
)
def test_age_is_stated_or_counted_or_unknown(
    age: str, born: str, taken: str, years: float | None
) -> None:
    """The stated age wins; without one the dates tell; what no person can be is unknown."""
    dataset = Dataset()
    for tag, vr, value in (
        (0x00101010, "AS", age),
        (0x00100030, "DA", born),
        (0x00080020, "DA", taken),
    ):
        dataset[tag] = RawDataElement(BaseTag(tag), vr, len(value), value.encode(), 0, False, True)
    assert read_age_years(dataset) == (None if years is None else pytest.approx(years, abs=0.01))


def test_data_set_without_any_of_them_has_no_age() -> None:
    """Absent attributes are unknown, not an error."""
    assert read_age_years(Dataset()) is None
