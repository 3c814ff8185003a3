"""A study of four full-field mammograms as files, and findings on them.

The pixels are phantoms drawn small and enlarged: what they show does not matter, that they must be
decoded again for pictures does. The findings are drawn at random from a seed: masses, clusters of
single calcifications, and arteries that run over a third of the image.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from models.contract import FindingKind, Region
from phantoms.mammogram import mammogram as draw
from tests.datasets import add_pixels, mammogram, saved
from workers.analyses import ImageAnalysis, StudyAnalysis
from workers.dicom.decoding import read_source
from workers.findings import Finding, RunOutcome, measure

SIZE_PX = (4096, 3328)  # rows, columns: a detector of 24 x 29 cm with pixels of 0.07 mm
VIEWS = (("L", "CC"), ("R", "CC"), ("L", "MLO"), ("R", "MLO"))
CONTENT_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_SPACING_MM = (0.07, 0.07)
_DRAWN_PX = (1024, 832)
_SEED = 7
# One finding in four is an artery, one a cluster, two are masses.
_KINDS = (
    FindingKind.MASS,
    FindingKind.CALCIFICATION_CLUSTER,
    FindingKind.MASS,
    FindingKind.ARTERIAL_CALCIFICATION,
)


def write_images(folder: Path) -> list[Path]:
    """The four views, uncompressed 12 bits in 16, one study."""
    study_uid = generate_uid()
    return [_write_image(folder, study_uid, side, view) for side, view in VIEWS]


def analysed(paths: list[Path], findings_per_image: int) -> StudyAnalysis:
    """What stage 7 gets: one detector with that many findings and one classifier on each image."""
    generator = np.random.default_rng(_SEED)
    return StudyAnalysis(
        tuple(_analysis(path, findings_per_image, generator) for path in paths), 1, CONTENT_AT
    )


def _write_image(folder: Path, study_uid: str, side: str, view: str) -> Path:
    dataset = mammogram(study_uid, side, view)
    drawn = draw(_SEED, "L" if side == "L" else "R", "CC" if view == "CC" else "MLO", _DRAWN_PX)
    rows, columns = SIZE_PX
    pixels = cv2.resize(drawn.pixels, (columns, rows), interpolation=cv2.INTER_CUBIC)
    add_pixels(dataset, (np.clip(pixels, 0, 1) * 4095).astype(np.uint16))
    dataset.ImagerPixelSpacing = list(_SPACING_MM)
    dataset.WindowCenter, dataset.WindowWidth = "2048", "4096"
    return saved(dataset, folder)


def _analysis(path: Path, n_findings: int, generator: np.random.Generator) -> ImageAnalysis:
    header = pydicom.dcmread(path, stop_before_pixels=True)
    sop_uid = str(header.SOPInstanceUID)
    found = tuple(_finding(header, number, generator) for number in range(1, n_findings + 1))
    return ImageAnalysis(
        source=header,
        spacing_source="ImagerPixelSpacing",
        runs=(
            RunOutcome("mtu_net", "1.0", sop_uid, None, 1.0, found, {}),
            RunOutcome(
                "resnet50", "1.0", sop_uid, None, 1.0, (), {"benign": 0.4, "malignant": 0.6}
            ),
        ),
        read_image=partial(read_source, path),
    )


def _finding(header: Dataset, number: int, generator: np.random.Generator) -> Finding:
    kind = _KINDS[number % len(_KINDS)]
    mask = _SHAPES[kind](generator)
    offset_px = (
        int(generator.integers(0, SIZE_PX[0] - mask.shape[0])),
        int(generator.integers(0, SIZE_PX[1] - mask.shape[1])),
    )
    return measure(
        Region(kind, float(generator.uniform(0.3, 1.0)), mask, offset_px),
        model="mtu_net",
        model_version="1.0",
        source_sop_uid=str(header.SOPInstanceUID),
        study_uid=str(header.StudyInstanceUID),
        revision=1,
        number=number,
        laterality=header.ImageLaterality,
        view=header.ViewPosition,
        spacing_mm=_SPACING_MM,
    )


def _mass(generator: np.random.Generator) -> NDArray[np.bool_]:
    """A lobulated outline, 7 to 30 mm across."""
    radius_px = generator.uniform(50, 210)
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    lobes = 1 + 0.12 * np.sin(int(generator.integers(3, 8)) * angles)
    outline = radius_px * lobes[:, np.newaxis] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return _painted(outline, closed=True)


def _cluster(generator: np.random.Generator) -> NDArray[np.bool_]:
    """Some thirty calcifications of about 0.4 mm in a square centimetre."""
    canvas = np.zeros((150, 150), np.uint8)
    for row, column in generator.integers(5, 145, (30, 2)):
        cv2.circle(canvas, (int(column), int(row)), int(generator.integers(2, 5)), (1,), cv2.FILLED)
    return np.asarray(canvas > 0)


def _artery(generator: np.random.Generator) -> NDArray[np.bool_]:
    """A winding line of about 1 mm over 100 mm."""
    along = np.linspace(0, 1400, 60)
    across = 90 * np.sin(along / generator.uniform(120, 260)) + 0.2 * along
    return _painted(np.stack([across, along], axis=1), closed=False)


def _painted(points: NDArray[np.float64], *, closed: bool) -> NDArray[np.bool_]:
    margin_px = 10
    corners = np.round(points - points.min(axis=0) + margin_px).astype(np.int32)
    width, height = (corners.max(axis=0) + margin_px + 1).tolist()
    canvas = np.zeros((height, width), np.uint8)
    if closed:
        cv2.fillPoly(canvas, [corners], (1,))
    else:
        cv2.polylines(canvas, [corners], isClosed=False, color=(1,), thickness=14)
    return np.asarray(canvas > 0)


_SHAPES = {
    FindingKind.MASS: _mass,
    FindingKind.CALCIFICATION_CLUSTER: _cluster,
    FindingKind.ARTERIAL_CALCIFICATION: _artery,
}
