from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.contract import BreastImage, FindingKind, ModelSpec
from models.mtu_net.preprocess import preprocess
from models.mtu_net.spec import CLASSES, TILE_PX
from models.mtu_net.suppression import Row, figures, read_both

SHAPE = (512, 400)


class EverythingServer:
    """Answers as a network that takes each artery for a cluster as well."""

    def __init__(self, marks: Mapping[str, NDArray[np.uint8]]) -> None:
        self._marks = marks

    def infer(
        self, spec: ModelSpec, tensors: Mapping[str, NDArray[Any]]
    ) -> tuple[dict[str, NDArray[Any]], str]:
        planes = [self._marks.get(name, np.zeros(SHAPE, np.uint8)) for name in CLASSES]
        tiles = [
            [plane[row : row + TILE_PX, column : column + TILE_PX] for plane in planes]
            for row, column in self.origins
        ]
        return {spec.outputs[0].name: np.array(tiles, np.uint8)}, "1"

    origins: tuple[tuple[int, int], ...] = ()


def test_only_what_lies_on_the_artery_goes() -> None:
    """Without suppression the artery is a false cluster; with it, only the real one is left."""
    pixels = np.full(SHAPE, 0.4, np.float32)
    pixels[::10, ::10] = 0.9  # specks, of which a cluster needs a few
    image = BreastImage(pixels, "MG", pixel_spacing_mm=(0.15, 0.15))
    artery, cluster = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    cv2.line(artery, (60, 100), (330, 140), (250,), 9)
    cv2.circle(cluster, (200, 400), 25, (240,), cv2.FILLED)
    server = EverythingServer(
        {
            "mc": np.maximum(cluster, np.where(artery > 0, 215, 0)).astype(np.uint8),
            "bac": artery,
            "background": np.maximum(255 - np.maximum(cluster, artery), 5),
        }
    )
    server.origins = preprocess(image).geometry.origins
    masks = {
        FindingKind.CALCIFICATION_CLUSTER.value: cluster > 0,
        FindingKind.ARTERIAL_CALCIFICATION.value: artery > 0,
    }
    row = read_both(server, image, masks, "patient")
    assert row.clusters == 1
    assert row.artery
    assert row.found == {"without": 1, "with": 1}
    assert row.false == {"without": 1, "with": 0}


def test_the_change_is_the_difference_of_both_readings() -> None:
    """Two false clusters in three images fewer, sensitivity as it was."""
    rows = [
        Row(f"p{i}", True, 1, {"without": 1, "with": 1}, {"without": n, "with": 0})
        for i, n in enumerate((1, 1, 0))
    ]
    values = figures(rows)["figures"]
    assert values["false_clusters_per_image_change"] == pytest.approx(-2 / 3)
    assert values["sensitivity_change"] == 0.0
