"""What no model can use ends with a reason, and the next study works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

from tests.datasets import encapsulated_pdf, mammogram, saved
from tests.peers.needs import slow
from tests.peers.whole import Whole

END_SECONDS = 120.0


def empty_pixels() -> FileDataset:
    """An image whose pixel data has no byte."""
    image = mammogram()
    image.PixelData = b""
    return image


def broken_stream() -> FileDataset:
    """A compressed image whose stream is cut off."""
    image = mammogram()
    image.file_meta.TransferSyntaxUID = JPEG2000Lossless
    image.PixelData = encapsulate([b"\xff\x4f\xff\x51" + b"\0" * 60])
    image["PixelData"].is_undefined_length = True
    return image


def no_breast() -> FileDataset:
    """A readable mammogram of nothing."""
    image = mammogram(size_px=(512, 400))
    image.PixelData = b"\0" * len(image.PixelData)
    return image


@pytest.mark.parametrize(
    ("make", "state", "reason"),
    [
        pytest.param(empty_pixels, "failed", "pixel", marks=slow),
        (broken_stream, "failed", "failed"),
        pytest.param(no_breast, "skipped", "no breast", marks=slow),
        pytest.param(encapsulated_pdf, "skipped", "no pixel data", marks=slow),
    ],
)
def test_bad_study_ends_with_a_reason_and_the_next_one_works(
    whole: Whole,
    new_study: Callable[[], Path],
    tmp_path: Path,
    make: Callable[[], FileDataset],
    state: str,
    reason: str,
) -> None:
    """The study says why nothing came of it; a good study behind it is done."""
    folder = tmp_path / "bad"
    folder.mkdir()
    saved(make(), folder)
    uid = whole.send(folder)
    good = whole.send(new_study())
    found = whole.status(uid, END_SECONDS)
    assert found["state"] == state, found
    assert reason in found["error"]
    assert found["findings"] == []
    if state == "failed":
        assert [run["state"] for run in found["model_runs"]] == ["failed"] * 3
        assert [result["kind"] for result in found["results"]] == ["SR"], "the failure is reported"
    assert whole.status(good, END_SECONDS)["state"] == "done"
