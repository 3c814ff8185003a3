"""One study from the modality's C-STORE to the radiologist's screen, nothing made up between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from selenium.webdriver import Chrome

from phantoms.commands import DEMO_SEED
from phantoms.dataset import read_truth
from phantoms.study import StudyOptions, write_study
from tests.browser import pictures
from tests.browser.ohif import Viewer
from tests.browser.overlay import Screen, fill_coverage
from tests.peers.node import running_role, sentinode
from tests.peers.ports import free_port, wait_until_listening
from tests.peers.whole import running_whole

pytestmark = pytest.mark.timeout(600)

END_SECONDS = 240.0


def test_model_result_is_drawn_on_the_lesion(
    browser: Chrome, ohif_dir: Path, tmp_path: Path
) -> None:
    """What the served model found in a mammogram is coloured in OHIF where the mass is."""
    folder = tmp_path / "study"
    write_study(folder, DEMO_SEED, StudyOptions(views=("LMLO",), rows=1664, processing=False))
    mass = _mass(folder)
    with running_whole(tmp_path) as whole:
        whole.start("receive", "sweep", "analysis", "delivery")
        uid = whole.send(folder)
        orthanc = whole.orthanc
        archive = f"{orthanc.ae_title}@127.0.0.1:{orthanc.dicom_port}"
        sentinode(whole.settings, "send", str(folder), "--to", archive)
        found = whole.status(uid, END_SECONDS)
        assert found["state"] == "done", found["error"]

        port = free_port()
        settings = whole.settings | {
            "http_port": port,
            "orthanc_url": orthanc.url,
            "ohif_dir": ohif_dir,
        }
        with running_role(settings, "web", log=tmp_path / "web.log"):
            wait_until_listening(port)
            viewer = Viewer(browser, f"http://127.0.0.1:{port}")

            def open_segmentation() -> Screen:
                viewer.open(uid)
                assert fill_coverage(viewer.screen(), mass).inside == 0.0
                viewer.open_series("SEG")
                viewer.answer_yes()
                return viewer.wait_until(
                    lambda screen: _is_drawn(screen, mass), "the mass is not coloured"
                )

            viewer.again_if_stuck(open_segmentation)
            pictures.keep(browser, "ohif-demo")


def _is_drawn(screen: Screen, mass: NDArray[np.bool_]) -> bool:
    """Most of the mass is coloured, and little else: other findings of the image may be."""
    coverage = fill_coverage(screen, mass)
    return coverage.inside > 0.8 and coverage.outside < 0.02


def _mass(folder: Path) -> NDArray[np.bool_]:
    """The truth of the only mass, bool (rows, columns)."""
    (image,) = read_truth(folder).values()
    (mask,) = [lesion.read_mask() for lesion in image.lesions if lesion.kind == "mass"]
    return np.asarray(mask, np.bool_)
