"""What the radiologist sees: our SEG and SR over the image, in the real OHIF, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from selenium.webdriver import Chrome

from tests.browser import pictures
from tests.browser.conftest import Web
from tests.browser.ohif import Viewer
from tests.browser.overlay import Screen, core_share, fill_coverage, outline_share
from tests.browser.results import Case, draw_case, report, segmentation, upload

pytestmark = pytest.mark.timeout(600)

# Upwards, because the viewer writes its numbers to the lower right of a contour.
SHIFT_PX = -80


@pytest.fixture(scope="module")
def viewer(browser: Chrome, web: Web) -> Viewer:
    """Return OHIF as the web process serves it."""
    return Viewer(browser, web.url)


@pytest.fixture(scope="module")
def case(web: Web) -> Case:
    """Return a study with its image, SEG and SR in the archive."""
    case = draw_case()
    segmented = segmentation(case, case.mask)
    upload(web.orthanc, case.source, segmented, report(case, case.mask, segmented))
    return case


def _shifted(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.roll(mask, SHIFT_PX, axis=0)


def test_segmentation_is_drawn_where_the_lesion_is(viewer: Viewer, case: Case) -> None:
    """The SEG colours the whole lesion and nothing else; until it is opened nothing is."""

    def open_segmentation() -> Screen:
        viewer.open(case.study_uid)
        assert sorted(viewer.series()) == ["SEG", "SR"]
        before = fill_coverage(viewer.screen(), case.mask)
        assert before.inside == 0.0
        assert not before.is_region
        viewer.open_series("SEG")
        viewer.answer_yes()
        return viewer.wait_until(
            lambda screen: fill_coverage(screen, case.mask).is_region, "the lesion was not coloured"
        )

    screen = viewer.again_if_stuck(open_segmentation)
    assert not fill_coverage(screen, _shifted(case.mask)).is_region
    pictures.keep(viewer.driver, "ohif-seg")


def test_report_contour_is_drawn_around_the_lesion(viewer: Viewer, case: Case) -> None:
    """The SR draws the lesion's outline with its area, and hydrates into a measurement."""

    def open_report() -> Screen:
        viewer.open(case.study_uid)
        assert outline_share(viewer.screen(), case.mask) == 0.0
        viewer.open_series("SR")
        viewer.wait_until(
            lambda screen: outline_share(screen, case.mask) > 0.95, "the contour was not drawn"
        )
        assert any(text.startswith("Area") for text in viewer.annotation_texts())
        pictures.keep(viewer.driver, "ohif-sr")
        viewer.answer_yes()
        return viewer.wait_until(
            lambda screen: outline_share(screen, case.mask) > 0.95, "the contour was not taken over"
        )

    screen = viewer.again_if_stuck(open_report)
    assert core_share(screen, case.mask) == 0.0
    assert outline_share(screen, _shifted(case.mask)) < 0.5
    assert "PlanarFreehandROI" in viewer.measurements()


def test_comparison_notices_a_missing_or_misplaced_overlay(viewer: Viewer, web: Web) -> None:
    """The comparison of the first test rejects a SEG whose mask lies beside the lesion."""
    case = draw_case()
    wrong = _shifted(case.mask)
    upload(web.orthanc, case.source, segmentation(case, wrong))

    def open_wrong() -> Screen:
        viewer.open(case.study_uid)
        viewer.open_series("SEG")
        viewer.answer_yes()
        return viewer.wait_until(
            lambda screen: fill_coverage(screen, wrong).is_region, "the overlay was not coloured"
        )

    screen = viewer.again_if_stuck(open_wrong)
    assert not fill_coverage(screen, case.mask).is_region
