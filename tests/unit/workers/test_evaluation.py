from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.contract import BreastImage, ModelSpec
from models.datasets.cases import Case, Truth
from models.datasets.folders import UnknownLayoutError, read_folder
from models.evaluation.opening import chosen, grouped, thinned
from models.registry import get_model
from node.errors import ConfigurationError
from phantoms.study import StudyOptions, write_study
from workers.evaluation import find_cases, run


def test_phantom_studies_are_found_with_their_truth(tmp_path: Path) -> None:
    """Each image for presentation is a case; its pixels and lesions have the same grid."""
    write_study(tmp_path, 3, StudyOptions(("LCC", "RCC"), 512), lambda: None)
    layout, cases = find_cases(tmp_path)
    assert layout == "phantoms"
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


@pytest.mark.parametrize("study", [".", "study-0001"])
def test_training_on_phantom_studies_is_told_to_draw_its_own(tmp_path: Path, study: str) -> None:
    """What `evaluate` takes, `train` does not: the list of layouts would not say why."""
    write_study(tmp_path / study, 3, StudyOptions(("LCC",), 256), lambda: None)
    with pytest.raises(UnknownLayoutError, match="training draws its own"):
        read_folder(tmp_path)


def test_thinning_spreads_evenly() -> None:
    """A limit takes cases from all over the sorted list, and a large one all of them."""
    image = BreastImage(np.zeros((2, 2), np.float32), "MG")
    cases = [Case(str(n), "MG", Truth("normal", ()), lambda: image) for n in range(10)]
    assert [case.name for case in thinned(cases, 3)] == ["0", "3", "6"]
    assert thinned(cases, 99) == cases
    assert thinned(cases, None) == cases


def test_pictures_of_unknown_patients_get_the_group_of_their_like(tmp_path: Path) -> None:
    """Two alike pictures share a group, a patient keeps hers, an unreadable one has none."""
    rng = np.random.default_rng(0)
    same = rng.random((64, 64), dtype=np.float32)
    other = rng.random((64, 64), dtype=np.float32)

    def broken() -> BreastImage:
        raise OSError("no file")

    def reader(pixels: np.ndarray) -> Callable[[], BreastImage]:
        return lambda: BreastImage(pixels, "US")

    cases = [
        Case("a", "US", Truth("normal", ()), reader(same)),
        Case("b", "US", Truth("normal", ()), reader(other)),
        Case("c", "US", Truth("normal", ()), reader(same), "patient"),
        Case("d", "US", Truth("normal", ()), reader(same)),
        Case("e", "US", Truth("normal", ()), broken),
    ]
    assert [case.group for case in grouped(cases)] == ["like a", "like b", "patient", "like a", ""]


def test_a_side_is_that_of_the_whole_folder() -> None:
    """Choosing a modality does not move cases to the other side of the split."""
    image = BreastImage(np.zeros((2, 2), np.float32), "MG")
    cases = [
        Case(str(n), "US" if n % 3 else "MG", Truth("normal", ()), lambda: image, str(n))
        for n in range(60)
    ]
    validation = {case.name for case in chosen(cases, "MG", "validation")}
    training = {case.name for case in chosen(cases, "MG", "training")}
    assert validation
    assert validation | training == {case.name for case in cases if case.modality == "MG"}
    assert not validation & training
    of_all = {case.name for case in chosen(cases, "US", "validation")}
    assert len(validation | of_all) == 12


class Overflown:
    """Answers as a network does whose weights have grown beyond all numbers."""

    def infer(
        self, spec: ModelSpec, tensors: Mapping[str, NDArray[Any]]
    ) -> tuple[dict[str, NDArray[Any]], str]:
        types = {"FP32": np.float32, "INT32": np.int32, "UINT8": np.uint8}
        shapes = {tensor: (1, *tensor.shape) for tensor in spec.outputs}
        return {
            tensor.name: np.full(shape, np.nan, np.float32)
            if tensor.datatype == "FP32"
            else np.zeros(shape, types[tensor.datatype])
            for tensor, shape in shapes.items()
        }, "1"


@pytest.mark.parametrize("name", ["mask_rcnn_us", "mask_rcnn_mg", "mtu_net", "resnet50"])
def test_answers_that_are_no_numbers_are_told(name: str) -> None:
    """Of weights that diverged: one sentence, and no figures."""
    y, x = np.mgrid[:512, :400]
    noise = np.random.default_rng(0).random((512, 400))
    pixels = np.where((y - 256) ** 2 + x**2 < 230**2, 0.3 + 0.5 * noise, 0.0).astype(np.float32)
    model = get_model(name)
    modality = model.spec.modality
    case = Case("a", modality, Truth("normal", ()), lambda: BreastImage(pixels, modality))
    with pytest.raises(ConfigurationError, match=f"answer of {name} is none: .* cannot be judged"):
        run(model, Overflown(), [case])
