"""Annotations of the VGG Image Annotator, versions 1 and 2 (Dutta and Zisserman 2019).

In: a folder with VIA's JSON (regions by picture) beside the pictures, or `train` and `val` folders
of that form, and `sentinode.toml`. Out: cases. What must hold: the category is the region's one
attribute, or that called class, label, type or name; a picture without regions has no lesion, and
of one with a region that encloses nothing of it the lesions are unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from models.contract import FindingKind
from models.datasets.cases import Case, Fold, Label, LeftOut, Lesion, Truth, gravest
from models.datasets.described import Description, read_description
from models.datasets.outlines import NOWHERE, ellipse, polygon, rectangle, within
from models.datasets.pictures import read_picture, size_of
from models.datasets.tables import DataSetError

_FOLDERS: dict[str, Fold] = {"train": "train", "val": "test", "test": "test"}
_CATEGORY = ("class", "label", "type", "name", "category")


def entries_of(document: Any) -> list[dict[str, Any]] | None:
    """VIA's entries, one per picture, None where the document is none of VIA's."""
    if isinstance(document, dict):
        document = document.get("_via_img_metadata", document)
        entries = list(document.values())
        if entries and all(map(_is_entry, entries)):
            return entries
    return None


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, dict) and {"filename", "regions"} <= set(entry)


def pictures_of_via(path: Path, entries: list[dict[str, Any]]) -> list[Path]:
    """Where the pictures lie that the file names, there or not."""
    return [path.parent / str(entry["filename"]) for entry in entries]


def read_via(path: Path, entries: list[dict[str, Any]]) -> Iterator[Case | LeftOut]:
    """One case per picture that the file names. Raises DataSetError."""
    description = read_description(path.parent)
    for entry in entries:
        if not (path.parent / str(entry["filename"])).is_file():
            raise DataSetError(f"{path} names {entry['filename']}, which is not beside it")
    outlined = _kinds(entries, description, path)
    for entry in sorted(entries, key=lambda entry: str(entry["filename"])):
        picture = path.parent / str(entry["filename"])
        size = size_of(picture)
        drawn = [
            (within(_drawn(region["shape_attributes"], kind, label, path), size), label)
            for region in _regions(entry)
            for kind, label in (description.meaning(_category(region, path), path),)
            if kind is not None
        ]
        lesions = tuple(lesion for lesion, _ in drawn if lesion is not None)
        known = len(lesions) == len(drawn)
        if not known:
            yield LeftOut(picture.name, NOWHERE)
        label = gravest([label for _, label in drawn]) if drawn else "normal"
        read = partial(read_picture, picture, description.modality, description.pixel_spacing_mm)
        truth = Truth(label, lesions if known else None, outlined)
        fold = _FOLDERS.get(path.parent.name, "")
        # Pictures of equal name may stand on both sides.
        name = f"{path.parent.name}/{picture.stem}" if fold else picture.stem
        yield Case(name, description.modality, truth, read, fold=fold)


def _regions(entry: dict[str, Any]) -> list[dict[str, Any]]:
    regions = entry["regions"]
    return list(regions.values() if isinstance(regions, dict) else regions)


def _kinds(
    entries: list[dict[str, Any]], description: Description, path: Path
) -> frozenset[FindingKind] | None:
    """What somebody outlined in these pictures; None, for all kinds, where nothing is drawn."""
    meanings = (
        description.meaning(_category(region, path), path)
        for entry in entries
        for region in _regions(entry)
    )
    return frozenset(kind for kind, _ in meanings if kind is not None) or None


def _category(region: dict[str, Any], path: Path) -> str:
    attributes = {str(k): v for k, v in region.get("region_attributes", {}).items()}
    known = [attributes[name] for name in _CATEGORY if name in attributes]
    value = known[0] if known else next(iter(attributes.values()), None)
    if isinstance(value, dict):  # a check box: {"malignant": true}
        value = " ".join(name for name, ticked in value.items() if ticked)
    if not value:
        raise DataSetError(f"{path}: a region has no attribute that says what it is")
    return str(value)


def _drawn(
    shape: dict[str, Any], kind: FindingKind, label: Label | None, path: Path
) -> Lesion | None:
    name = shape.get("name")
    if name in ("polygon", "polyline"):
        points = list(zip(shape["all_points_x"], shape["all_points_y"], strict=True))
        return polygon(kind, points, label)
    if name == "rect":
        box = (shape["x"], shape["y"], shape["width"], shape["height"])
        return rectangle(kind, box, label)
    if name == "circle":
        return ellipse(kind, (shape["cx"], shape["cy"]), (shape["r"], shape["r"]), 0.0, label)
    if name == "ellipse":
        radii, angle = (shape["rx"], shape["ry"]), float(shape.get("theta", 0.0))
        return ellipse(kind, (shape["cx"], shape["cy"]), radii, angle, label)
    raise DataSetError(f"{path}: a region is a {name}, which encloses nothing")
