from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.contract import BreastImage
from models.datasets.cases import Case, Truth
from node.errors import ConfigurationError
from phantoms.study import StudyOptions, write_study
from workers.evaluation import find_cases, thinned


def test_phantom_studies_are_found_with_their_truth(tmp_path: Path) -> None:
    """Each image for presentation is a case; its pixels and lesions have the same grid."""
    write_study(tmp_path, 3, StudyOptions(("LCC", "RCC"), 512), lambda: None)
    cases = find_cases(tmp_path)
    assert len(cases) == 2
    for case in cases:
        image = case.read()
        assert case.modality == image.modality == "MG"
        assert not image.for_processing
        assert case.truth.lesions is not None
        for lesion in case.truth.lesions:
            (top, left), (height, width) = lesion.offset_px, lesion.mask.shape
            assert lesion.mask.any()
            assert top + height <= image.pixels.shape[0]
            assert left + width <= image.pixels.shape[1]


def test_a_folder_of_anything_is_a_configuration_error(tmp_path: Path) -> None:
    """A folder without truth is told, not evaluated as negative."""
    with pytest.raises(ConfigurationError, match="laid out like none"):
        find_cases(tmp_path)


def test_thinning_spreads_evenly() -> None:
    """A limit takes cases from all over the sorted list, and a large one all of them."""
    image = BreastImage(np.zeros((2, 2), np.float32), "MG")
    cases = [Case(str(n), "MG", Truth("normal", ()), lambda: image) for n in range(10)]
    assert [case.name for case in thinned(cases, 3)] == ["0", "3", "6"]
    assert thinned(cases, 99) == cases
    assert thinned(cases, None) == cases
