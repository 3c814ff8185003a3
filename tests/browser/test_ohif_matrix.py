"""What the radiologist sees of every sort of image: SEG and SR in OHIF, finding by finding.

The whole matrix takes minutes: `make test-browser`. Without it a few cases stand for the others.
"""

from __future__ import annotations

import os
from functools import partial

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from selenium.webdriver import Chrome

from node.destinations import ResultKind
from tests.browser.cases import CASES, OHIF_FORMS, Case, Picture, draw
from tests.browser.conftest import Web
from tests.browser.ohif import Viewer
from tests.browser.overlay import Screen, fill_coverage, outline_share
from tests.browser.results import upload_files
from workers.analyses import Form
from workers.combined import Partner
from workers.dicom.measurement import finding_name
from workers.dicom.transfer import deflated
from workers.dicom.writing import part10
from workers.findings import Finding

pytestmark = pytest.mark.timeout(600)

WHOLE = os.environ.get("SENTINODE_BROWSER_MATRIX") == "1"
# Those that differ most from the case of test_ohif_overlay.py.
SEGMENTATIONS = tuple(CASES) if WHOLE else ("MONOCHROME1, edges",)
in_the_matrix = pytest.mark.skipif(not WHOLE, reason="takes 6 minutes: make test-browser")
ALL_KINDS: tuple[ResultKind, ...] = ("CADSR", "GSPS", "SC", "KOS", "COMBINED")
FIRST_SEGMENTATION_SERIES = 9001
# Share of an outline that is drawn; sharp corners are cut.
CONTOUR_DRAWN = 0.95


@pytest.fixture(scope="module")
def viewer(browser: Chrome, web: Web) -> Viewer:
    """Return OHIF as the web process serves it."""
    return Viewer(browser, web.url)


def _stored(web: Web, name: str) -> Case:
    """The case with its SEG and SR in the archive, the SEG deflated as the node sends it."""
    case = draw(name)
    results = [(each.kind, part10(each.dataset)) for each in case.results()]
    files = [deflated(content) if kind == "SEG" else content for kind, content in results]
    upload_files(web.orthanc, *(part10(picture.source) for picture in case.pictures), *files)
    return case


def _elsewhere(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.roll(mask, mask.shape[0] // 5, axis=0)


@pytest.mark.parametrize("name", SEGMENTATIONS)
def test_segmentation_is_drawn_on_every_finding(viewer: Viewer, web: Web, name: str) -> None:
    """Nothing is coloured before the SEG is opened; then each finding is and nothing else."""
    case = _stored(web, name)
    for position in range(len(case.pictures)):
        _check_segmentation(viewer, case, position)


def _check_segmentation(viewer: Viewer, case: Case, position: int) -> None:
    picture = case.pictures[position]

    def open_segmentation() -> Screen:
        viewer.open(case.study_uid)
        before = fill_coverage(viewer.screen(), *picture.masks)
        assert before.inside == 0.0
        assert before.outside < 1e-4
        viewer.open_series("SEG", f"S:{FIRST_SEGMENTATION_SERIES + position}")
        viewer.answer_yes()
        return viewer.wait_until(
            lambda screen: fill_coverage(screen, *picture.masks).is_region,
            "a finding was not coloured, or something else was",
        )

    screen = viewer.again_if_stuck(open_segmentation)
    moved = [_elsewhere(mask) for mask in picture.masks]
    assert not fill_coverage(screen, *moved).is_region
    assert str(picture.source.SOPInstanceUID) in viewer.shown_image()
    if picture.source.get("NumberOfFrames"):
        _check_frames(viewer, picture)


def _check_frames(viewer: Viewer, picture: Picture) -> None:
    """The viewer has gone to the analysed frame, and holds the segments on that one alone.

    OHIF 3.12 paints them over the other frames as well: those of a loop have no place in the
    patient to tell them apart by. The contours of the report do keep to their frame.
    """
    assert viewer.shown_image().endswith(f"/frames/{picture.frame_number}")
    assert viewer.segmented_frames() == [picture.frame_number]


@in_the_matrix
@pytest.mark.parametrize("name", tuple(CASES))
def test_report_draws_every_contour_with_its_numbers(viewer: Viewer, web: Web, name: str) -> None:
    """The SR outlines each finding, tells its size, and hydrates into labelled measurements."""
    case = _stored(web, name)
    first = case.analysis.analyses[0].findings

    def open_report() -> Screen:
        viewer.open(case.study_uid)
        assert _least_outlined(viewer.screen(), first, case.pictures[0]) == 0.0
        viewer.open_series("SR")
        viewer.wait_until(
            lambda screen: _least_outlined(screen, first, case.pictures[0]) > CONTOUR_DRAWN,
            "a contour was not drawn",
        )
        told = viewer.annotation_texts()
        for found in first:
            assert set(_numbers(found)) <= set(told), f"{_numbers(found)} is not in {told}"
        moved = _elsewhere(_enclosed(first[0], case.pictures[0]))
        assert outline_share(viewer.screen(), moved) < CONTOUR_DRAWN
        viewer.answer_yes()
        return viewer.wait_until(
            lambda _screen: viewer.measurements().count("PlanarFreehandROI") == len(case.findings),
            "a contour was not taken over",
        )

    viewer.again_if_stuck(open_report)
    rows = viewer.panel_rows()
    for found, row in zip(case.findings, rows, strict=True):
        assert finding_name(found) in row
    _check_other_images(viewer, case)


def _check_other_images(viewer: Viewer, case: Case) -> None:
    """A click in the panel leads to the first finding of each image, on its frame alone."""
    n_before = 0
    for picture, analysis in zip(case.pictures, case.analysis.analyses, strict=True):
        # The viewer centres what was clicked, so other findings may leave the screen.
        first = _enclosed(analysis.findings[0], picture)
        uid = str(picture.source.SOPInstanceUID)
        viewer.go_to_measurement(n_before)
        viewer.wait_until(
            partial(_is_outlined_on, viewer, first, uid), "the measurement is not on its image"
        )
        n_before += len(analysis.findings)
        if picture.source.get("NumberOfFrames"):
            viewer.show_frame(1)
            viewer.wait_until(
                lambda screen, mask=first: outline_share(screen, mask) == 0.0,  # type: ignore[misc]
                "the contour stands on a frame that was not analysed",
            )


def _is_outlined_on(viewer: Viewer, mask: NDArray[np.bool_], uid: str, screen: Screen) -> bool:
    return uid in viewer.shown_image() and outline_share(screen, mask) > CONTOUR_DRAWN


def _numbers(found: Finding) -> list[str]:
    """The lines that the viewer writes beside a contour."""
    certainty = f"Certainty of Finding: {100 * found.score:.2f} %"
    if found.area_mm2 is None:
        return [f"Area: {found.area_px:.2f} {{pixels}}", certainty]
    return [
        f"Area: {round(found.area_mm2, 2):.2f} mm2",
        f"Long axis: {round(found.long_axis_mm or 0.0, 2):.2f} mm",
        f"Short axis: {round(found.short_axis_mm or 0.0, 2):.2f} mm",
        certainty,
    ]


def _least_outlined(screen: Screen, findings: list[Finding], picture: Picture) -> float:
    return min(outline_share(screen, _enclosed(found, picture)) for found in findings)


def _enclosed(found: Finding, picture: Picture) -> NDArray[np.bool_]:
    """What the contour encloses, the largest part of the finding; bool (rows, columns)."""
    filled = np.zeros(picture.all_masks.shape, np.uint8)
    # From pixel edges at whole numbers to pixel centres at whole numbers.
    points = np.round(np.array(found.contour_px) - 0.5).astype(np.int32)
    cv2.fillPoly(filled, [points], (1,))
    return filled.astype(np.bool_)


@in_the_matrix
def test_study_opens_beside_all_other_kinds_of_results(viewer: Viewer, web: Web) -> None:
    """GSPS, SC, KOS, CAD SR and combined SR of other destinations neither stop nor confuse OHIF."""
    case, scan = draw("right CC, three kinds"), draw("ultrasound")
    wanted: set[Form] = {*OHIF_FORMS, *((kind, "") for kind in ALL_KINDS), ("GSPS", "shutter")}
    results = case.results(wanted, Partner(scan.analysis.analyses, None))
    assert {each.kind for each in results} == {"SEG", "SR", *ALL_KINDS}
    sources = [picture.source for picture in case.pictures]
    upload_files(web.orthanc, *map(part10, sources), *(part10(each.dataset) for each in results))
    (picture,) = case.pictures
    picture_uid = str(picture.source.SOPInstanceUID)

    def open_segmentation() -> Screen:
        viewer.open(case.study_uid)
        assert picture_uid in viewer.shown_image()
        viewer.open_series("SEG")
        viewer.answer_yes()
        return viewer.wait_until(
            lambda screen: fill_coverage(screen, *picture.masks).is_region,
            "a finding was not coloured",
        )

    viewer.again_if_stuck(open_segmentation)
    assert viewer.error_messages() == []

    def open_report() -> Screen:
        viewer.open(case.study_uid)
        viewer.open_series("SR", "AI report")
        return viewer.wait_until(
            lambda screen: _least_outlined(screen, case.findings, picture) > CONTOUR_DRAWN,
            "a contour was not drawn",
        )

    viewer.again_if_stuck(open_report)
    assert viewer.error_messages() == []
