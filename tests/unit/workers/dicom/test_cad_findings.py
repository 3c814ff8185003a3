"""Where the mark of a finding is put."""

from __future__ import annotations

import numpy as np

from tests.results import finding
from workers.dicom.cad_findings import centre_px


def test_the_centre_of_a_bent_finding_lies_on_it() -> None:
    """A ring's centroid is in its hole; the mark is not."""
    rows, columns = np.mgrid[:61, :61]
    distance = np.hypot(rows - 30, columns - 30)
    ring = (distance < 30) & (distance > 24)
    x, y = centre_px(finding(ring, offset_px=(100, 200)))
    assert ring[int(y) - 100, int(x) - 200]


def test_the_centre_is_that_of_the_largest_part() -> None:
    """Which is the part that the outline goes around."""
    mask = np.zeros((100, 100), dtype=bool)
    mask[10:50, 10:50] = True
    mask[80:90, 80:90] = True
    assert centre_px(finding(mask, offset_px=(0, 0))) == (30.0, 30.0)
