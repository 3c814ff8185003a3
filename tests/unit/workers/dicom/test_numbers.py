"""Sizes in reports: short, and never 0 for what is there."""

from __future__ import annotations

import pytest

from tests.cad_studies import analysis, encoded
from tests.results import finding, header, outcome
from workers.dicom.numbers import rounded


@pytest.mark.parametrize(
    ("value", "written"),
    [(12.3456, 12.35), (0.126, 0.13), (0.0025, 0.0025), (0.004938, 0.0049), (0.0, 0.0)],
)
def test_two_decimals_or_two_digits(value: float, written: float) -> None:
    """A speck of one pixel of 50 um covers 0.0025 mm2."""
    assert rounded(value) == written


def test_a_finding_of_one_pixel_has_an_area() -> None:
    """In the CAD report as in the others, which round alike."""
    source = header(ImagerPixelSpacing=["0.05", "0.05"])
    speck = finding(
        finding().mask[20:21, 20:21],
        source_sop_uid=str(source.SOPInstanceUID),
        spacing_mm=(0.05, 0.05),
    )
    report = encoded([analysis(source, outcome(source, findings=(speck,)))])
    values = {float(each.value) for each in report.iterall() if each.keyword == "NumericValue"}
    assert 0.0025 in values
    assert 0.0 not in values
