"""Annotations in COCO's format (Lin et al. 2014): images, annotations, categories in one JSON.

In: the JSON, pictures beside it or in a folder below, and `sentinode.toml`. Out: cases. What must
hold: polygons and run lengths become masks of their picture's size; an annotation with a box only
becomes the box; an image without annotation has no lesion. Of several JSON files the side is told
by the name: train, val or test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask

from models.contract import FindingKind
from models.datasets.cases import Case, Fold, Label, Lesion, Truth, gravest
from models.datasets.described import Description, read_description
from models.datasets.outlines import rectangle
from models.datasets.pictures import lesion_of, read_picture
from models.datasets.tables import DataSetError

_TEST = re.compile("val|test")


def is_coco(document: Any) -> bool:
    """The three lists are there."""
    return isinstance(document, dict) and {"images", "annotations", "categories"} <= set(document)


def read_coco(path: Path, document: dict[str, Any]) -> Iterator[Case]:
    """One case per image of the list. Raises DataSetError."""
    description = read_description(path.parent)
    fold: Fold = "train" if "train" in path.stem else "test" if _TEST.search(path.stem) else ""
    names = {entry["id"]: str(entry["name"]) for entry in document["categories"]}
    of_image: dict[Any, list[dict[str, Any]]] = {}
    for annotation in document["annotations"]:
        of_image.setdefault(annotation["image_id"], []).append(annotation)
    outlined = _kinds(document["annotations"], names, description, path)
    for image in sorted(document["images"], key=lambda image: str(image["file_name"])):
        lesions = []
        for annotation in of_image.get(image["id"], ()):
            kind, label = _meaning(annotation, names, description, path)
            lesion = None if kind is None else _lesion(annotation, image, kind, label)
            if lesion is not None:
                lesions.append(lesion)
        label = gravest([lesion.label for lesion in lesions]) if lesions else "normal"
        picture = _picture(path, str(image["file_name"]))
        read = partial(read_picture, picture, description.modality, description.pixel_spacing_mm)
        name = str(Path(image["file_name"]).with_suffix(""))
        yield Case(
            name, description.modality, Truth(label, tuple(lesions), outlined), read, fold=fold
        )


def _kinds(
    annotations: list[dict[str, Any]],
    names: dict[Any, str],
    description: Description,
    path: Path,
) -> frozenset[FindingKind] | None:
    """What somebody outlined in these images; None, for all kinds, where nothing is drawn."""
    meanings = (_meaning(annotation, names, description, path) for annotation in annotations)
    return frozenset(kind for kind, _ in meanings if kind is not None) or None


def _meaning(
    annotation: dict[str, Any], names: dict[Any, str], description: Description, path: Path
) -> tuple[FindingKind | None, Label | None]:
    name = names.get(annotation["category_id"])
    if name is None:
        raise DataSetError(f"{path}: category {annotation['category_id']} is not in its list")
    return description.meaning(name, path)


def _lesion(
    annotation: dict[str, Any], image: dict[str, Any], kind: FindingKind, label: Label | None
) -> Lesion | None:
    outline = annotation.get("segmentation")
    if not outline:
        x, y, width, height = annotation["bbox"]
        return rectangle(kind, (x, y, width, height), label)
    height, width = int(image["height"]), int(image["width"])
    if isinstance(outline, list):
        encoded = coco_mask.merge(coco_mask.frPyObjects(outline, height, width))
    elif isinstance(outline["counts"], list):
        encoded = coco_mask.frPyObjects(outline, height, width)
    else:
        encoded = outline
    return lesion_of(coco_mask.decode(encoded), kind, label)


def _picture(path: Path, name: str) -> Path:
    """Beside the JSON, in `images`, or in COCO's own `annotations` and `images` side by side."""
    places = (
        path.parent / name,
        path.parent / "images" / name,
        path.parent.parent / "images" / name,
        path.parent.parent / name,
    )
    for place in places:
        if place.is_file():
            return place
    raise DataSetError(f"{path} names {name}, which is not beside it nor in `images`")
