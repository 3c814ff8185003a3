"""The page of the benchmark of result objects, and the limits that its study must keep."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pydicom

from benchmarks.receivers import ROOT
from benchmarks.results import Kind, Study, page
from benchmarks.results_study import SIZE_PX, analysed
from tests.datasets import mammogram, saved
from workers.dicom.transfer import deflated
from workers.dicom.writing import part10
from workers.segmentation import encode_segmentation

_FACTS = {
    "command": "python -m benchmarks.results",
    "rounds": 3,
    "size_px": [4096, 3328],
    "load_average": 0.5,
    "machine": {"processor": "one"},
    "versions": {"Python": "3.11"},
}


def test_the_page_names_the_largest_segmentation_that_is_sent() -> None:
    """In kilobytes of the deflated file; one table of kinds for each study."""
    kinds = [Kind("SEG", 4, 0.1, 34_000_000, 71_000, 18_400), Kind("SR", 1, 0.2, 9, 9, 9)]
    text = page([Study(5, 0.31, 0.9, 0.1, kinds)], _FACTS)
    assert "| 5 | 0.31 s | 0.90 s | 0.10 s | 18 kB |" in text
    assert "| SEG | 4 | 100 ms | 34,000 kB | 71 kB |" in text


def test_twenty_findings_on_a_full_field_mammogram_are_sent_in_300_kb(tmp_path: Path) -> None:
    """The segmentation of the benchmark's own study, deflated and read again."""
    source = mammogram()
    source.Rows, source.Columns = SIZE_PX
    del source.PixelData
    (analysis,) = analysed([saved(source, tmp_path)], 20).analyses
    content = part10(
        encode_segmentation(
            analysis.source,
            analysis.findings,
            revision=1,
            content_at=analysed([], 1).content_at,
            series_number=9001,
            profile="ohif",
        )
    )
    sent = deflated(content)
    assert len(content) > 34_000_000
    assert len(sent) < 300_000
    last = analysis.findings[-1]
    read = pydicom.dcmread(io.BytesIO(sent)).pixel_array[-1]
    x0, y0, x1, y1 = last.box_px
    np.testing.assert_array_equal(read[y0:y1, x0:x1], last.mask)


def test_the_published_figures_keep_the_limits() -> None:
    """A study of twenty findings under two seconds; a segmentation of twenty under 300 kB."""
    published = json.loads((ROOT / "docs" / "benchmarks" / "results.json").read_text())
    by_findings = {study["findings_per_image"]: study for study in published["studies"]}
    assert by_findings[5]["seconds"] < 2.0
    (seg,) = (kind for kind in by_findings[20]["kinds"] if kind["kind"] == "SEG")
    assert seg["largest_sent_bytes"] < 300_000
    assert {kind["kind"] for kind in by_findings[5]["kinds"]} >= {"SEG", "SR", "CADSR", "GSPS"}
