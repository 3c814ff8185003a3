"""Truth files beside a synthetic study, and reading them back.

`truth/<SOPInstanceUID>.json` holds the label, the geometry and the lesions of one image;
`truth/<SOPInstanceUID>_<i>.png` the full-size mask of its lesion i. Needs no DICOM library.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from phantoms.truth import (
    Label,
    Laterality,
    Lesion,
    LesionKind,
    Margin,
    Modality,
    Phantom,
    View,
)


class TruthError(ValueError):
    """A truth file is not what `write_truth` writes."""


@dataclass(frozen=True, slots=True)
class TruthLesion:
    """One lesion of an image. `box_px`: (x0, y0, x1, y1), the last two exclusive."""

    kind: LesionKind
    margin: Margin | None
    malignant: bool
    box_px: tuple[int, int, int, int]
    area_mm2: float
    mask_path: Path

    def read_mask(self) -> NDArray[np.bool_]:
        """Full-size mask, bool (rows, columns). Raises TruthError when it cannot be read."""
        try:
            data = np.fromfile(self.mask_path, np.uint8)
        except OSError as error:
            raise TruthError(f"{self.mask_path} cannot be read: {error.strerror}") from error
        # Not `imread`: OpenCV ends the process at a path that is not UTF-8.
        picture = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
        if picture is None:
            raise TruthError(f"{self.mask_path} is not a readable mask")
        return np.asarray(picture > 0)


@dataclass(frozen=True, slots=True)
class ImageTruth:
    """Truth of one image. `pixel_spacing_mm`: (between rows, between columns)."""

    sop_instance_uid: str
    label: Label
    modality: Modality
    laterality: Laterality
    view: View | None
    size_px: tuple[int, int]
    pixel_spacing_mm: tuple[float, float]
    lesions: tuple[TruthLesion, ...]


def write_truth(directory: Path, sop_instance_uid: str, phantom: Phantom) -> Path:
    """Write the truth of one image under `directory/truth` and return the path of its JSON."""
    folder = directory / "truth"
    folder.mkdir(parents=True, exist_ok=True)
    lesions = []
    for i, lesion in enumerate(phantom.lesions):
        name = f"{sop_instance_uid}_{i}.png"
        (folder / name).write_bytes(_mask_png(lesion, phantom.pixels.shape))
        lesions.append(_lesion_entry(lesion, name, phantom.pixel_spacing_mm))
    document = {
        "sop_instance_uid": sop_instance_uid,
        "label": phantom.label,
        "modality": phantom.modality,
        "laterality": phantom.laterality,
        "view": phantom.view,
        "size_px": list(phantom.pixels.shape),
        "pixel_spacing_mm": list(phantom.pixel_spacing_mm),
        "lesions": lesions,
    }
    path = folder / f"{sop_instance_uid}.json"
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path


def read_truth(directory: Path) -> dict[str, ImageTruth]:
    """Truth of every image under `directory`, one study or many, by SOPInstanceUID.

    Raises TruthError when a truth file cannot be understood.
    """
    found = {}
    for path in sorted(Path(directory).glob("**/truth/*.json")):
        truth = _read_one(path)
        found[truth.sop_instance_uid] = truth
    return found


def _mask_png(lesion: Lesion, shape: tuple[int, ...]) -> bytes:
    """The lesion's mask on the whole image, as a 1-bit PNG."""
    full = np.zeros(shape, np.uint8)
    top, left = lesion.offset_px
    height, width = lesion.mask.shape
    full[top : top + height, left : left + width] = lesion.mask * np.uint8(255)
    done, data = cv2.imencode(".png", full, [cv2.IMWRITE_PNG_BILEVEL, 1])
    if not done:
        raise TruthError("the mask could not be encoded as PNG")
    return data.tobytes()


def _lesion_entry(lesion: Lesion, mask: str, spacing_mm: tuple[float, float]) -> dict[str, Any]:
    top, left = lesion.offset_px
    height, width = lesion.mask.shape
    area_mm2 = float(lesion.mask.sum()) * spacing_mm[0] * spacing_mm[1]
    return {
        "kind": lesion.kind,
        "margin": lesion.margin,
        "malignant": lesion.malignant,
        "box_px": [left, top, left + width, top + height],
        "area_mm2": round(area_mm2, 2),
        "mask": mask,
    }


def _read_one(path: Path) -> ImageTruth:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return ImageTruth(
            document["sop_instance_uid"],
            document["label"],
            document["modality"],
            document["laterality"],
            document["view"],
            tuple(document["size_px"]),
            tuple(document["pixel_spacing_mm"]),
            tuple(_read_lesion(path.parent, entry) for entry in document["lesions"]),
        )
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise TruthError(f"{path}: {error}") from error


def _read_lesion(folder: Path, entry: dict[str, Any]) -> TruthLesion:
    return TruthLesion(
        entry["kind"],
        entry["margin"],
        entry["malignant"],
        tuple(entry["box_px"]),
        entry["area_mm2"],
        folder / entry["mask"],
    )
