"""How old the patient was when the image was taken.

In: a data set. Out: years, or None. What must hold: nothing here is kept or logged; an age that a
person cannot have is no age, because devices write "000Y" where nobody was asked.
"""

from __future__ import annotations

import re
from datetime import date, datetime

from pydicom.dataset import Dataset

# PS3.5 6.2, AS: three digits and a unit.
_AGE = re.compile(r"(\d{3})([DWMY])")
_YEARS_OF = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
_DAYS_OF_A_YEAR = 365.25
MAX_AGE_YEARS = 120.0


def read_age_years(dataset: Dataset) -> float | None:
    """Patient's Age (PS3.3 C.7.2.2), else from birth date to study date, else None."""
    years = _stated(_text(dataset, "PatientAge").upper())
    if years is None:
        born, taken = _date(dataset, "PatientBirthDate"), _date(dataset, "StudyDate")
        years = None if born is None or taken is None else (taken - born).days / _DAYS_OF_A_YEAR
    return years if years is not None and 0.0 < years <= MAX_AGE_YEARS else None


def _stated(text: str) -> float | None:
    found = _AGE.fullmatch(text)
    if found is None or int(found[1]) == 0:
        return None
    return int(found[1]) * _YEARS_OF[found[2]]


def _date(dataset: Dataset, keyword: str) -> date | None:
    try:
        return datetime.strptime(_text(dataset, keyword), "%Y%m%d").date()
    except ValueError:
        return None


def _text(dataset: Dataset, keyword: str) -> str:
    """The value as sent: pydicom would log one that breaks the rules, and it is a patient's."""
    value = getattr(dataset.get_item(keyword), "value", None) if keyword in dataset else None
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    return text.strip(" \0")
