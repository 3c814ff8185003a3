"""The two models as a worker uses them: numpy in, numpy out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.contract import (
    BreastImage,
    FindingKind,
    Model,
    ModelInputError,
    ModelOutputError,
    Prepared,
)
from models.mask_rcnn.phantom_samples import (
    FIRST_ACCEPTANCE_SEED,
    mammography_sample,
    sample_of,
    ultrasound_sample,
)
from models.mask_rcnn_mg import MODEL as MAMMOGRAPHY
from models.mask_rcnn_us import MODEL as ULTRASOUND
from phantoms.mammogram import mammogram
from phantoms.truth import LesionRequest

BOTH = pytest.mark.parametrize("model", [MAMMOGRAPHY, ULTRASOUND], ids=lambda m: m.spec.name)


def _breast(rows: int = 600, columns: int = 500, left: bool = True) -> np.ndarray:
    """Half an ellipse of tissue at the chest wall."""
    y, x = np.indices((rows, columns))
    inside = ((y - rows / 2) / (0.45 * rows)) ** 2 + (x / (0.7 * columns)) ** 2 < 1
    texture = np.random.default_rng(0).normal(0.5, 0.05, (rows, columns))
    pixels = np.where(inside, np.clip(texture, 0.2, 1), 0).astype(np.float32)
    return pixels if left else np.ascontiguousarray(pixels[:, ::-1])


def _mammogram(pixels: np.ndarray, spacing_mm: float | None = 0.4) -> BreastImage:
    spacing = None if spacing_mm is None else (spacing_mm, spacing_mm)
    return BreastImage(pixels, "MG", pixel_spacing_mm=spacing)


def _answer(
    model: Model, boxes: list[tuple[float, ...]], scores: list[float]
) -> dict[str, np.ndarray]:
    """Tensors as a server would give them, with discs for masks."""
    spec = model.spec
    kinds = {"FP32": np.float32, "INT32": np.int32}
    tensors = {t.name: np.zeros((1, *t.shape), kinds[t.datatype]) for t in spec.outputs}
    y, x = np.indices((28, 28)) - 13.5
    for row, (box, score) in enumerate(zip(boxes, scores, strict=True)):
        tensors["boxes"][0, row] = box
        tensors["scores"][0, row] = score
        tensors["labels"][0, row] = 1
        tensors["masks"][0, row] = np.hypot(x, y) < 14
    tensors["num"][0, 0] = len(boxes)
    return tensors


@BOTH
def test_prepared_tensors_are_what_the_spec_promises(model: Model) -> None:
    """Name, type, shape and range of the input match the spec."""
    image = BreastImage(_breast(), model.spec.modality)
    prepared = model.preprocess(image)
    (expected,) = model.spec.inputs
    tensor = prepared.tensors[expected.name]
    assert tensor.dtype == np.float32
    assert tensor.shape == (1, *expected.shape)
    assert tensor.min() >= 0
    assert 200 < tensor.max() <= 255


@BOTH
def test_findings_return_to_image_pixels(model: Model) -> None:
    """A detection over a known part of the input becomes a region there, best first."""
    image = BreastImage(_breast(), model.spec.modality, pixel_spacing_mm=(0.4, 0.4))
    prepared = model.preprocess(image)
    placement = prepared.geometry
    top, left = placement.corner_px
    boxes = [
        (left + 40, top + 80, left + 100, top + 150),
        (left + 5, top + 200, left + 45, top + 240),
    ]
    output = model.postprocess(_answer(model, boxes, [0.85, 0.95]), prepared)
    assert [round(region.score, 3) for region in output.regions] == [0.95, 0.85]
    for region, box in zip(output.regions, boxes[::-1], strict=True):
        x0, y0, x1, y1 = placement.box_to_image(box)
        assert region.kind is FindingKind.MASS
        assert region.offset_px == pytest.approx((y0, x0), abs=1.5)
        assert region.mask.shape == pytest.approx((y1 - y0, x1 - x0), abs=2.5)
        assert region.mask.mean() == pytest.approx(np.pi / 4, abs=0.05)


def test_image_class_agrees_with_what_is_marked() -> None:
    """With a sure mass the image is not normal; benign and malignant keep their proportion."""
    prepared = ULTRASOUND.preprocess(BreastImage(_breast(), "US"))
    answer = _answer(ULTRASOUND, [(100, 100, 140, 140)], [0.96])
    answer["classes"][0] = (0.6, 0.1, 0.3)
    found = ULTRASOUND.postprocess(answer, prepared).classification
    assert sum(found.values()) == pytest.approx(1.0)
    assert found["normal"] < 0.25
    assert found["malignant"] == pytest.approx(3 * found["benign"])
    empty = _answer(ULTRASOUND, [], [])
    empty["classes"][0] = (0.6, 0.1, 0.3)
    assert ULTRASOUND.postprocess(empty, prepared).classification["normal"] > 0.85


@BOTH
def test_detection_below_the_operating_point_is_not_reported(model: Model) -> None:
    """The threshold is the spec's, not the graph's low floor."""
    prepared = model.preprocess(BreastImage(_breast(), model.spec.modality))
    below = model.spec.thresholds["mass"] - 0.01
    answer = _answer(model, [(100, 100, 140, 140)], [below])
    assert model.postprocess(answer, prepared).regions == ()


@BOTH
def test_a_region_has_the_class_that_it_was_given(model: Model) -> None:
    """Both detectors tell benign and malignant masses apart, mass by mass."""
    prepared: Prepared = model.preprocess(BreastImage(_breast(), model.spec.modality))
    answer = _answer(model, [(100, 100, 140, 140), (100, 160, 140, 200)], [0.9, 0.8])
    answer["labels"][0, 1] = 2
    regions = model.postprocess(answer, prepared).regions
    assert [region.label for region in regions] == ["benign", "malignant"]


@BOTH
@pytest.mark.parametrize("fault", ["missing", "shape", "type", "nan", "count", "label", "score"])
def test_broken_answer_is_refused(model: Model, fault: str) -> None:
    """A tensor that breaks the contract is an error, never an empty report."""
    prepared: Prepared = model.preprocess(BreastImage(_breast(), model.spec.modality))
    answer = _answer(model, [(100, 100, 140, 140)], [0.9])
    if fault == "missing":
        del answer["masks"]
    elif fault == "shape":
        answer["boxes"] = answer["boxes"][:, :-1]
    elif fault == "type":
        answer["labels"] = answer["labels"].astype(np.int64)
    elif fault == "nan":
        answer["boxes"][0, 0, 0] = np.nan
    elif fault == "count":
        answer["num"][0, 0] = 99
    elif fault == "label":
        answer["labels"][0, 0] = 7
    else:
        answer["scores"][0, 0] = 1.5
    with pytest.raises(ModelOutputError):
        model.postprocess(answer, prepared)


@BOTH
@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((600, 500), np.float32),
        np.ones((40, 600), np.float32),
        np.full((600, 500), np.nan, np.float32),
        np.zeros((1, 1), np.float32),
    ],
    ids=["empty", "flat strip", "not a number", "one pixel"],
)
def test_image_that_cannot_be_read_is_refused(model: Model, pixels: np.ndarray) -> None:
    """No breast, too small, or not finite: a ModelInputError says so."""
    with pytest.raises(ModelInputError):
        model.preprocess(BreastImage(pixels, model.spec.modality))


@pytest.mark.parametrize("left", [True, False])
def test_chest_wall_lies_at_the_edge_of_the_square(left: bool) -> None:
    """The padding is on the side away from the chest wall, whatever a tag says."""
    placement = MAMMOGRAPHY.preprocess(_mammogram(_breast(left=left))).geometry
    edge = placement.corner_px[1] + (0 if left else placement.resized_px[1])
    assert edge == (0 if left else 1024)


def test_mass_has_the_same_size_at_any_pixel_spacing() -> None:
    """The same breast at 0.2 and 0.4 mm per pixel fills the same part of the input."""
    coarse = MAMMOGRAPHY.preprocess(_mammogram(_breast(600, 500), 0.4)).geometry
    fine = MAMMOGRAPHY.preprocess(_mammogram(_breast(1200, 1000), 0.2)).geometry
    assert fine.resized_px == pytest.approx(coarse.resized_px, abs=2)


@pytest.mark.parametrize("spacing_mm", [None, 0.001, 30.0])
def test_unknown_or_absurd_spacing_still_fits(spacing_mm: float | None) -> None:
    """Without a usable spacing the field is taken for 240 mm, and the breast fits the square."""
    placement = MAMMOGRAPHY.preprocess(_mammogram(_breast(512, 512), spacing_mm)).geometry
    assert placement.resized_px[0] == pytest.approx(0.9 * 240 / 0.28, rel=0.05)


def test_large_breast_is_shrunk_to_fit() -> None:
    """A breast taller than the square at 0.28 mm is scaled down, aspect kept."""
    placement = MAMMOGRAPHY.preprocess(_mammogram(_breast(1000, 800), 0.38)).geometry
    assert max(placement.resized_px) == 1024
    assert placement.scale[0] == pytest.approx(placement.scale[1], rel=0.01)


def test_training_sample_marks_the_mass_where_it_is_bright() -> None:
    """The label map of a phantom covers its mass: brighter than the tissue around it."""
    phantom = mammogram(
        11, "L", "CC", lesions=[LesionRequest("mass", "circumscribed", size_mm=16, conspicuity=1.0)]
    )
    channels, labels, _ = sample_of(phantom, MAMMOGRAPHY)
    assert labels.max() == 1
    ring = cv2.dilate(labels, np.ones((31, 31), np.uint8)) - labels
    assert channels[0][labels > 0].mean() > channels[0][ring > 0].mean() + 20
    area_mm2 = (labels > 0).sum() * 0.28**2
    (lesion,) = phantom.lesions
    assert area_mm2 == pytest.approx(lesion.mask.sum() * phantom.pixel_spacing_mm[0] ** 2, rel=0.05)


@pytest.mark.parametrize("make", [mammography_sample, ultrasound_sample])
def test_acceptance_seeds_are_never_trained_on(make: object) -> None:
    """The seeds of the acceptance test are refused."""
    assert callable(make)
    with pytest.raises(ValueError, match="acceptance"):
        make(FIRST_ACCEPTANCE_SEED)


def test_serving_never_loads_torch() -> None:
    """Importing both models in a fresh interpreter leaves torch, MONAI and onnx outside."""
    code = (
        "import sys, models.mask_rcnn_mg, models.mask_rcnn_us;"
        "print([name for name in ('torch', 'monai', 'onnx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_real_film_and_ultrasound_are_read(real_data: Path) -> None:
    """Film with a lead letter and a frame with callipers become tensors."""
    film = cv2.imread(str(real_data / "mini_mias" / "mdb005.jpg"), cv2.IMREAD_GRAYSCALE)
    assert film is not None
    placement = MAMMOGRAPHY.preprocess(
        BreastImage(film.astype(np.float32) / 255, "MG", pixel_spacing_mm=(0.2, 0.2))
    ).geometry
    assert 400 < placement.resized_px[0] < 900
    frame = cv2.imread(str(real_data / "busi" / "benign" / "benign_1.jpg"), cv2.IMREAD_GRAYSCALE)
    assert frame is not None
    ULTRASOUND.preprocess(BreastImage(frame.astype(np.float32) / 255, "US"))
