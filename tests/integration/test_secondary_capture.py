"""Secondary captures as an archive without any other viewer shows them."""

from __future__ import annotations

import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset

from models.contract import BreastImage, FindingKind
from tests.peers.orthanc import Orthanc
from tests.results import CONTENT_AT, disc, finding, header, outcome
from workers.analyses import ImageAnalysis
from workers.findings import Finding
from workers.images import SourceImage
from workers.pictures.palette import RGB_OF_KIND
from workers.secondary_capture import encode_overlay

ROWS, COLUMNS = 600, 500
SCALE = 2  # small images are doubled


def _findings() -> list[Finding]:
    """One of each kind, two of them at edges of the image."""
    places = [(150, 100), (0, 420), (520, 0)]
    return [
        finding(disc(80), offset, kind=kind, number=number)
        for number, (kind, offset) in enumerate(zip(FindingKind, places, strict=True), start=1)
    ]


def _pixels() -> NDArray[np.float32]:
    noise = np.random.default_rng(5).normal(0.4, 0.08, (ROWS, COLUMNS))
    return np.asarray(np.clip(noise, 0, 1), dtype=np.float32)


def _capture(findings: list[Finding]) -> Dataset:
    source = header(Rows=ROWS, Columns=COLUMNS)
    analysis = ImageAnalysis(
        source,
        None,
        (outcome(source, findings=tuple(findings)),),
        read_image=lambda: SourceImage(source, BreastImage(_pixels(), "MG", "L", "CC"), None),
    )
    return encode_overlay(analysis, revision=1, content_at=CONTENT_AT, instance_number=1)


def _bytes(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _check(shown: NDArray[np.uint8], findings: list[Finding]) -> None:
    """Coloured on the outline of every truth mask, nothing inside it, nothing far away."""
    unmarked = np.asarray(_capture([]).pixel_array)
    assert shown.shape == unmarked.shape
    changed = (shown.astype(int) - unmarked != 0).any(axis=2)
    for found in findings:
        x0, y0, x1, y1 = (SCALE * value for value in found.box_px)
        truth = np.kron(found.mask, np.ones((SCALE, SCALE), bool))
        colour = np.abs(shown[y0:y1, x0:x1].astype(int) - RGB_OF_KIND[found.kind]).max(axis=2) < 24
        assert colour[_rim(truth, 3)].sum() > 0.5 * np.count_nonzero(_rim(truth, 1))
        core = truth & ~_rim(truth, 12)
        assert core.sum() > 5000
        assert not changed[y0:y1, x0:x1][core].any()
    # The lower right quarter has no finding and no label.
    assert not changed[ROWS : 2 * ROWS, COLUMNS:].any()


def _rim(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Pixels of the mask that lie within `width` of its edge."""
    inner = np.pad(mask, 1)
    for _ in range(width):
        inner = (
            inner
            & np.roll(inner, 1, 0)
            & np.roll(inner, -1, 0)
            & np.roll(inner, 1, 1)
            & np.roll(inner, -1, 1)
        )
    return mask & ~inner[1:-1, 1:-1]


def test_orthanc_previews_the_outlines(orthanc: Orthanc) -> None:
    """Its preview is the picture, pixel for pixel, with the outlines around the truth."""
    findings = _findings()
    content = _bytes(_capture(findings))
    with httpx.Client(base_url=orthanc.url, trust_env=False, timeout=60) as client:
        stored = client.post("/instances", content=content).raise_for_status().json()
        png = client.get(f"/instances/{stored['ID']}/preview").raise_for_status().content
    _check(np.asarray(Image.open(BytesIO(png)).convert("RGB")), findings)


def test_dcmtk_shows_the_outlines(tmp_path: Path) -> None:
    """dcmj2pnm gives the same picture."""
    program = shutil.which("dcmj2pnm")
    if program is None:
        pytest.skip("dcmj2pnm is not installed: apt-get install dcmtk")
    findings = _findings()
    path, out = tmp_path / "capture.dcm", tmp_path / "capture.ppm"
    path.write_bytes(_bytes(_capture(findings)))
    subprocess.run([program, path, out], check=True, capture_output=True)
    _check(np.asarray(Image.open(out).convert("RGB")), findings)
