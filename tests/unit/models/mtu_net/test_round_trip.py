from __future__ import annotations

import numpy as np
import pytest

from models.contract import BreastImage, FindingKind
from models.datasets.cases import Case, Lesion, Truth
from models.evaluation.matching import judge
from models.evaluation.metrics import f1
from models.mtu_net.data import phantom_masks, working_truth
from models.mtu_net.postprocess import postprocess
from models.mtu_net.preprocess import cut, preprocess, working_image
from models.mtu_net.spec import CLASSES
from phantoms.mammogram import mammogram
from phantoms.truth import LesionRequest

REQUESTS = [LesionRequest("calcification_cluster"), LesionRequest("arterial_calcification")]


@pytest.mark.parametrize("size_px", [(1024, 832), (1664, 1280)])
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_a_perfect_network_finds_every_lesion(seed: int, size_px: tuple[int, int]) -> None:
    """Truth through tiles, merging and regions comes back to the image as it was drawn."""
    phantom = mammogram(seed, "R", "MLO", size_px, REQUESTS)
    image = BreastImage(phantom.pixels, "MG", "R", "MLO", phantom.pixel_spacing_mm)
    prepared = preprocess(image)
    padded = working_image(image)[0].shape
    bits = working_truth(phantom_masks(phantom), prepared.geometry, padded)
    planes = {"mc": bits & 1, "bac": bits >> 1, "background": bits == 0}
    answer = np.stack(
        [
            np.stack([cut(planes[name].astype(np.uint8) * 255, origin) for name in CLASSES])
            for origin in prepared.geometry.origins
        ]
    )
    output = postprocess({"probabilities": answer}, prepared)
    lesions = tuple(
        Lesion(FindingKind(lesion.kind), lesion.mask, lesion.offset_px)
        for lesion in phantom.lesions
    )
    case = Case("phantom", "MG", Truth(phantom.label, lesions), lambda: image)
    kinds = frozenset(lesion.kind for lesion in lesions)
    thresholds = dict.fromkeys(FindingKind, 0.5)
    result = judge(case, output, phantom.pixels.shape, kinds, thresholds)  # type: ignore[arg-type]
    assert result.found is not None
    assert all(score > 0.9 for _, score in result.found), result.found
    assert result.false == ()
    assert result.pixels is not None
    assert f1(result.pixels) > 0.85
