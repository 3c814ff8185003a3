"""Mammograms to train on in one small file, for a machine that lacks the folders.

In: cases of the training side. Out: a file, and from it the same cases again, for which samples are
then made there: a hundred times as many as would fit into the file. Pixels are cut to the breast,
brought to the detector's own grid and kept as WebP of high quality: the sets at hand are JPEG
pictures already. What must hold: only cases that are given are in the file, with their masses,
sizes and patients; nothing is evaluated on what comes from it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.contract import BreastImage, FindingKind, ModelInputError
from models.datasets.cases import Case, Label, Lesion, Truth
from models.foreground import Box, breast_box, breast_mask
from models.imaging.sifting import WORKING_SPACING_MM

_QUALITY = [cv2.IMWRITE_WEBP_QUALITY, 92]
_LOSSLESS = [cv2.IMWRITE_WEBP_QUALITY, 101]  # above 100: OpenCV's word for lossless
_MARGIN_PX = 8  # air around the breast, so that its outline is found again

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One case as it is stored: encoded pixels, encoded masses with their corners, and facts."""

    pixels: Bytes
    masks: list[Bytes]
    facts: dict[str, Any]


def write(path: Path, sets: Sequence[Sequence[Case]]) -> int:
    """Write the mammograms of all sets in which a breast is found; returns how many."""
    entries = [
        entry
        for number, cases in enumerate(sets)
        for case in cases
        if case.modality == "MG" and (entry := _entry(case, number)) is not None
    ]
    streams = [stream for entry in entries for stream in (entry.pixels, *entry.masks)]
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = json.dumps([entry.facts for entry in entries])
    lengths = np.array([len(stream) for stream in streams])
    with path.open("wb") as file:
        np.savez(file, facts=np.array(facts), lengths=lengths, bytes=np.concatenate(streams))
    return len(entries)


def read(path: Path) -> list[list[Case]]:
    """The cases, set by set, in the order in which they were written."""
    with np.load(path, allow_pickle=False) as file:
        facts: list[dict[str, Any]] = json.loads(str(file["facts"]))
        streams = np.split(file["bytes"], np.cumsum(file["lengths"])[:-1])
    sets: list[list[Case]] = [[] for _ in range(1 + max((f["set"] for f in facts), default=-1))]
    place = 0
    for entry in facts:
        count = len(entry["masses"])
        pixels, masks = streams[place], streams[place + 1 : place + 1 + count]
        place += 1 + count
        sets[entry["set"]].append(_case(entry, pixels, masks))
    return sets


def _entry(case: Case, number: int) -> _Entry | None:
    image = case.read()
    spacing = image.pixel_spacing_mm
    try:
        box = _with_margin(breast_box(breast_mask(image.pixels)), image.pixels.shape)
    except ModelInputError:
        return None
    if spacing is None:  # then the field's own size is all that tells the scale
        box = Box(0, 0, *image.pixels.shape)
    scale = tuple(min(1.0, mm / WORKING_SPACING_MM) for mm in spacing or (1.0, 1.0))
    pixels = _scaled(box.crop(image.pixels), scale)
    masses = [item for item in case.truth.lesions or () if item.kind is FindingKind.MASS]
    whole = [_scaled(box.crop(_painted(item, image.pixels.shape)), scale) for item in masses]
    masks = [np.where(mask >= 0.5, 255, 0).astype(np.uint8) for mask in whole]
    facts = {
        "set": number,
        "name": case.name,
        "group": case.group,
        "label": case.truth.label,
        "known": case.truth.knows(FindingKind.MASS),
        "masses": [item.label for item in masses],
        "spacing_mm": spacing and [s / f for s, f in zip(spacing, scale, strict=True)],
    }
    levels = np.rint(np.clip(pixels, 0.0, 1.0) * 255.0).astype(np.uint8)
    return _Entry(_encoded(levels, _QUALITY), [_encoded(m, _LOSSLESS) for m in masks], facts)


def _case(facts: dict[str, Any], pixels: Bytes, masks: Sequence[Bytes]) -> Case:
    lesions = tuple(_lesion(m, label) for m, label in zip(masks, facts["masses"], strict=True))
    truth = Truth(facts["label"], lesions if facts["known"] else None)
    spacing = facts["spacing_mm"] and (facts["spacing_mm"][0], facts["spacing_mm"][1])
    return Case(facts["name"], "MG", truth, partial(_image, pixels, spacing), facts["group"])


def _image(pixels: Bytes, spacing_mm: tuple[float, float] | None) -> BreastImage:
    return BreastImage(
        _decoded(pixels).astype(np.float32) / np.float32(255.0),
        "MG",
        pixel_spacing_mm=spacing_mm,
    )


def _lesion(mask: Bytes, label: Label | None) -> Lesion:
    return Lesion(FindingKind.MASS, _decoded(mask) > 127, (0, 0), label)


def _with_margin(box: Box, shape: tuple[int, ...]) -> Box:
    top, left = max(0, box.top - _MARGIN_PX), max(0, box.left - _MARGIN_PX)
    bottom = min(shape[0], box.top + box.height + _MARGIN_PX)
    right = min(shape[1], box.left + box.width + _MARGIN_PX)
    return Box(top, left, bottom - top, right - left)


def _painted(lesion: Lesion, shape: tuple[int, ...]) -> NDArray[np.float32]:
    whole = np.zeros(shape, np.float32)
    top, left = lesion.offset_px
    window = whole[top : top + lesion.mask.shape[0], left : left + lesion.mask.shape[1]]
    window[...] = lesion.mask[: window.shape[0], : window.shape[1]]
    return whole


def _scaled(array: NDArray[np.float32], scale: tuple[float, ...]) -> NDArray[np.float32]:
    if scale == (1.0, 1.0):
        return array
    rows, columns = (max(1, round(n * f)) for n, f in zip(array.shape, scale, strict=True))
    resized = cv2.resize(array, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.float32)


def _encoded(levels: Bytes, options: list[int]) -> Bytes:
    return np.asarray(cv2.imencode(".webp", levels, options)[1], np.uint8).ravel()


def _decoded(stream: Bytes) -> Bytes:
    return np.asarray(cv2.imdecode(stream, cv2.IMREAD_GRAYSCALE), np.uint8)
