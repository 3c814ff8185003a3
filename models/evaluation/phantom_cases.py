"""Phantoms as cases, drawn when they are read: images that nobody has to be given.

In: a modality and a number. Out: cases with truth. What must hold: seeds that no model trains on.
"""

from __future__ import annotations

from functools import partial

from models.contract import BreastImage, FindingKind, Modality
from models.datasets.cases import Case, Lesion, Truth
from phantoms.mammogram import mammogram
from phantoms.truth import LesionRequest, Phantom
from phantoms.ultrasound import ultrasound

# Validation seeds begin at 5,000,000 and end at 9,000,000, where those of acceptance begin.
_FIRST_SEED = 8_000_000
_MAMMOGRAM_PX = (1024, 832)
_ALL_KINDS = ("mass", "calcification_cluster", "arterial_calcification")


def phantom_cases(modality: Modality, count: int) -> list[Case]:
    """`count` phantoms; their truth is drawn at once, which takes a second per mammogram."""
    return [_case(modality, _FIRST_SEED + number) for number in range(count)]


def _case(modality: Modality, seed: int) -> Case:
    phantom = _draw(modality, seed)
    lesions = tuple(
        Lesion(FindingKind(lesion.kind), lesion.mask, lesion.offset_px)
        for lesion in phantom.lesions
    )
    truth = Truth(phantom.label, lesions)
    return Case(f"phantom-{seed}", modality, truth, partial(_image, phantom), str(seed))


def _draw(modality: Modality, seed: int) -> Phantom:
    if modality == "US":
        return ultrasound(seed)
    requests = [
        LesionRequest(kind)  # type: ignore[arg-type]
        for number, kind in enumerate(_ALL_KINDS)
        if seed >> number & 1
    ]
    side, view = ("L", "R")[seed & 1], ("CC", "MLO")[seed >> 1 & 1]
    return mammogram(seed, side, view, _MAMMOGRAM_PX, requests)  # type: ignore[arg-type]


def _image(phantom: Phantom) -> BreastImage:
    return BreastImage(
        *(phantom.pixels, phantom.modality, phantom.laterality, phantom.view),
        phantom.pixel_spacing_mm,
    )
