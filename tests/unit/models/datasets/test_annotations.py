from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from models.contract import FindingKind
from models.datasets.folders import read_folder, read_layout
from models.datasets.tables import DataSetError
from tests.unit.models.datasets.lookalikes import mask, write_picture

SQUARE = {
    "name": "polygon",
    "all_points_x": [10, 29, 29, 10],
    "all_points_y": [20, 20, 49, 49],
}


def describe(folder: Path, text: str = 'modality = "US"\n') -> None:
    (folder / "sentinode.toml").write_text(text)


def via_entry(name: str, *regions: tuple[dict[str, Any], Any]) -> dict[str, Any]:
    found = [
        {"shape_attributes": shape, "region_attributes": {"class": category}}
        for shape, category in regions
    ]
    return {"filename": name, "size": 1, "regions": found, "file_attributes": {}}


def write_via(folder: Path, *entries: dict[str, Any], project: bool = False) -> None:
    document: dict[str, Any] = {f"{entry['filename']}1": entry for entry in entries}
    if project:
        document = {"_via_settings": {}, "_via_img_metadata": document, "_via_attributes": {}}
    for entry in entries:
        write_picture(folder / entry["filename"])
    (folder / "via_region_data.json").write_text(json.dumps(document))


@pytest.mark.parametrize("project", [False, True])
def test_via_polygons_and_categories(tmp_path: Path, project: bool) -> None:
    """Annotations or a whole project: outlines, kinds, labels; without regions normal."""
    describe(tmp_path, 'modality = "MG"\npixel_spacing_mm = [0.1, 0.1]\n')
    circle = {"name": "circle", "cx": 40, "cy": 50, "r": 6}
    entry = via_entry("b.png", (SQUARE, "malignant mass"), (circle, {"calcification": True}))
    write_via(tmp_path, entry, via_entry("a.png"), project=project)
    layout, (normal, case) = read_layout(tmp_path)
    assert layout == "via"
    assert (normal.truth.label, normal.truth.lesions) == ("normal", ())
    assert case.truth.label == "malignant"
    assert case.truth.lesions is not None
    mass, cluster = case.truth.lesions
    assert (mass.kind, mass.label) == (FindingKind.MASS, "malignant")
    assert (mass.offset_px, mass.mask.shape) == ((20, 10), (30, 20))
    assert (cluster.kind, cluster.offset_px) == (FindingKind.CALCIFICATION_CLUSTER, (44, 34))
    assert cluster.mask.sum() == pytest.approx(np.pi * 36, rel=0.06)
    assert case.read().pixel_spacing_mm == (0.1, 0.1)


def test_via_of_version_1_with_sides(tmp_path: Path) -> None:
    """Regions as an object, `train` and `val` folders, the description above them."""
    describe(tmp_path)
    ellipse = {"name": "ellipse", "cx": 40, "cy": 50, "rx": 20, "ry": 5, "theta": np.pi / 2}
    rectangle = {"name": "rect", "x": 5, "y": 8, "width": 10, "height": 4}
    for side, shape in (("train", ellipse), ("val", rectangle)):
        entry = via_entry("a.png", (shape, "benign"))
        entry["regions"] = {"0": entry["regions"][0]}
        write_via(tmp_path / side, entry)
    train, val = read_folder(tmp_path)
    assert [(case.name, case.fold) for case in (train, val)] == [
        ("train/a", "train"),
        ("val/a", "test"),
    ]
    assert train.truth.lesions is not None
    assert val.truth.lesions is not None
    assert train.truth.lesions[0].mask.shape == (41, 11)
    assert (val.truth.lesions[0].offset_px, val.truth.lesions[0].mask.shape) == ((8, 5), (4, 10))


def test_coco_outlines(tmp_path: Path) -> None:
    """Polygon, run lengths as list and as text, and a bare box: masks in the right place."""
    describe(tmp_path, 'modality = "US"\n[categories]\n"knoten" = ["mass", "benign"]\nother = []\n')
    truth = mask((20, 10, 30, 20), (100, 80))
    runs = coco_mask.encode(np.asfortranarray(truth // 255))
    column = (truth // 255).ravel(order="F").astype(int)
    changes = np.flatnonzero(np.diff(column)) + 1
    counts = np.diff([0, *changes.tolist(), column.size]).tolist()
    outlines: list[Any] = [
        [[9.5, 19.5, 29.5, 19.5, 29.5, 49.5, 9.5, 49.5]],
        {"size": [100, 80], "counts": counts},
        {"size": [100, 80], "counts": runs["counts"].decode()},
        None,
    ]
    annotations = [
        {
            "id": n,
            "image_id": n,
            "category_id": 1,
            "segmentation": outline,
            "bbox": [10, 20, 20, 30],
        }
        for n, outline in enumerate(outlines)
    ]
    annotations.append({"image_id": 4, "category_id": 2, "bbox": [1, 1, 2, 2]})
    document = {
        "images": [
            {"id": n, "file_name": f"{n}.png", "width": 80, "height": 100} for n in range(5)
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "Knoten"}, {"id": 2, "name": "other"}],
    }
    for n in range(5):
        write_picture(tmp_path / "images" / f"{n}.png")
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    layout, cases = read_layout(tmp_path)
    assert layout == "coco"
    for case in cases[:4]:
        assert case.truth.label == "benign"
        assert case.truth.lesions is not None
        (lesion,) = case.truth.lesions
        assert (lesion.offset_px, lesion.mask.shape) == ((20, 10), (30, 20))
        assert lesion.mask.all()
    assert (cases[4].truth.label, cases[4].truth.lesions) == ("normal", ())
    assert cases[0].read().modality == "US"


def test_coco_with_a_file_per_side(tmp_path: Path) -> None:
    """`annotations` beside `images`: both files are read, and their names tell the side."""
    describe(tmp_path)
    for side in ("train", "val"):
        write_picture(tmp_path / "images" / f"{side}.png")
        document = {
            "images": [{"id": 1, "file_name": f"{side}.png", "width": 80, "height": 100}],
            "annotations": [],
            "categories": [],
        }
        path = tmp_path / "annotations" / f"instances_{side}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document))
    assert [(case.name, case.fold) for case in read_folder(tmp_path)] == [
        ("train", "train"),
        ("val", "test"),
    ]


def test_nothing_is_guessed(tmp_path: Path) -> None:
    """No description, no modality in it, an unknown category, a missing picture: each is told."""
    write_via(tmp_path, via_entry("a.png", (SQUARE, "thing")))
    with pytest.raises(DataSetError, match=r"needs a file sentinode\.toml"):
        read_folder(tmp_path)
    describe(tmp_path, "pixel_spacing_mm = [1, 1]\n")
    with pytest.raises(DataSetError, match="does not say modality"):
        read_folder(tmp_path)
    describe(tmp_path)
    with pytest.raises(DataSetError, match="what is 'thing'"):
        read_folder(tmp_path)
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataSetError, match=r"a\.png, which is not beside it"):
        read_folder(tmp_path)
