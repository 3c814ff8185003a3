"""Annotations in COCO's format (Lin et al. 2014): images, annotations, categories in one JSON.

In: the JSON, pictures beside it or in a folder below, and `sentinode.toml`. Out: cases. What must
hold: polygons and run lengths become masks of their picture's size; an annotation with a box only
becomes the box; an image without annotation has no lesion, and of one whose outlines are those of
another size, or enclose nothing of it, the lesions are unknown. Of several JSON files the side is
told by the name: train, val or test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask

from models.contract import FindingKind
from models.datasets.cases import Case, Fold, Label, LeftOut, Lesion, Truth, gravest
from models.datasets.described import Description, read_description
from models.datasets.outlines import NOWHERE, OutlineError, rectangle, within
from models.datasets.pictures import lesion_of, read_picture, size_of
from models.datasets.tables import DataSetError

_TEST = re.compile("val|test")

_OTHER_SIZE = "annotated on another size than the picture has: its lesions are unknown"

_LEAST_NUMBERS = 6  # of a polygon: x and y of three corners

Size = tuple[int, int]


def is_coco(document: Any) -> bool:
    """The three lists are there."""
    return isinstance(document, dict) and {"images", "annotations", "categories"} <= set(document)


def pictures_of_coco(path: Path, document: dict[str, Any]) -> list[Path]:
    """Where the pictures lie that the file names. Raises DataSetError."""
    return [_picture(path, str(image["file_name"])) for image in document["images"]]


def read_coco(path: Path, document: dict[str, Any]) -> Iterator[Case | LeftOut]:
    """One case per image of the list. Raises DataSetError."""
    description = read_description(path.parent)
    fold: Fold = "train" if "train" in path.stem else "test" if _TEST.search(path.stem) else ""
    names = {entry["id"]: str(entry["name"]) for entry in document["categories"]}
    of_image: dict[Any, list[dict[str, Any]]] = {}
    for annotation in document["annotations"]:
        of_image.setdefault(annotation["image_id"], []).append(annotation)
    outlined = _kinds(document["annotations"], names, description, path)
    images = {image["id"]: image for image in document["images"]}
    if len(images) < len(document["images"]):
        raise DataSetError(f"{path} gives several of its images the same id")
    for stranger in sorted(set(of_image) - set(images), key=str):
        yield LeftOut(f"image {stranger}", f"annotated in {path.name}, and not in its list")
    for image in sorted(images.values(), key=lambda image: str(image["file_name"])):
        picture = _picture(path, str(image["file_name"]))
        annotations = [
            (annotation, kind, label)
            for annotation in of_image.get(image["id"], ())
            for kind, label in (_meaning(annotation, names, description, path),)
            if kind is not None
        ]
        size, doubt = _size(image, size_of(picture))
        drawn = [within(_lesion(a, size, kind, label), size) for a, kind, label in annotations]
        lesions = tuple(lesion for lesion in drawn if lesion is not None)
        if len(lesions) < len(drawn):
            doubt = doubt or NOWHERE
        if drawn and doubt:
            yield LeftOut(picture.name, doubt)
        label = gravest([label for _, _, label in annotations]) if annotations else "normal"
        read = partial(read_picture, picture, description.modality, description.pixel_spacing_mm)
        name = str(Path(image["file_name"]).with_suffix(""))
        truth = Truth(label, None if drawn and doubt else lesions, outlined)
        yield Case(name, description.modality, truth, read, fold=fold)


def _size(image: dict[str, Any], found: Size | None) -> tuple[Size, str]:
    """(rows, columns) of the masks, and what is wrong with them, if anything is."""
    if "height" not in image or "width" not in image:
        if found is None:
            raise KeyError("height")
        return found, ""
    told = int(image["height"]), int(image["width"])
    return told, _OTHER_SIZE if found is not None and found != told else ""


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
    annotation: dict[str, Any], size: Size, kind: FindingKind, label: Label | None
) -> Lesion | None:
    """None for what encloses nothing."""
    outline = annotation.get("segmentation")
    if not outline:
        x, y, width, height = annotation["bbox"]
        return rectangle(kind, (x, y, width, height), label)
    if isinstance(outline, list):
        polygons = [polygon for polygon in outline if len(polygon) >= _LEAST_NUMBERS]
        if not polygons:
            return None
        encoded = coco_mask.merge(coco_mask.frPyObjects(polygons, *size))
        return lesion_of(coco_mask.decode(encoded), kind, label)
    if tuple(outline["size"]) != size:
        raise OutlineError(f"run lengths of {outline['size']} px for an image of {list(size)}")
    runs = outline["counts"]
    encoded = coco_mask.frPyObjects(outline, *size) if isinstance(runs, list) else outline
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
