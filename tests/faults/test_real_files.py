"""Real mammograms, sent by DCMTK, from the association to the archive."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from pydicom import dcmread

from models.foreground import breast_mask
from tests.peers.whole import Whole
from workers.dicom.decoding import read_source

END_SECONDS = 240.0
GE_MAMMOGRAM = "fo-dicom__GH133.dcm"
SPACING_PHANTOM = "DICOMSamples__MG_Explicit_Little.dcm"


def test_every_real_file_ends_done_or_rightly_skipped(whole: Whole, real_data: Path) -> None:
    """All of them are done, but for the pixel-spacing phantom, which shows no breast."""
    folder = real_data / "dicom_mg"
    peer = ["127.0.0.1", str(whole.settings["dicom_port"])]
    sent = subprocess.run(["dcmsend", "-aec", "SENTINODE", "+sd", "+r", *peer, str(folder)])
    assert sent.returncode == 0
    for path in sorted(folder.glob("*.dcm")):
        uid = str(dcmread(path, stop_before_pixels=True).StudyInstanceUID)
        found = whole.status(uid, END_SECONDS)
        if path.name == SPACING_PHANTOM:
            assert found["state"] == "skipped"
            assert "no breast" in found["error"]
        else:
            assert found["state"] == "done", (path.name, found["error"])
            assert all(result["state"] == "confirmed" for result in found["results"])
        if path.name == GE_MAMMOGRAM:
            _assert_on_the_breast(path, found)


def _assert_on_the_breast(path: Path, found: dict) -> None:
    """Every contour of the JPEG Lossless mammogram lies on the breast."""
    assert found["findings"], "the mammogram shows a mass with skin markers beside it"
    breast = breast_mask(read_source(path).image.pixels)
    for finding in found["findings"]:
        points = np.floor(np.array(finding["contour_px"])).astype(int)
        columns = np.clip(points[:, 0], 0, breast.shape[1] - 1)
        rows = np.clip(points[:, 1], 0, breast.shape[0] - 1)
        assert breast[rows, columns].mean() > 0.95, finding
