"""Which breast, which view: read from wherever the device wrote it."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from models.contract import Laterality
from node.views import VIEW_BY_CODE
from workers.dicom.inheritance import is_code_string

# PS3.16 CID 244 "Laterality", and the breasts by their own codes.
_SIDES: dict[Laterality, tuple[Code, ...]] = {
    "L": (codes.SCT.Left, codes.SCT.LeftBreast),
    "R": (codes.SCT.Right, codes.SCT.RightBreast),
}
# PS3.16 CID 6018 "Clockface or Regions" and CID 6020 "Quadrant Locations". Code takes the retired
# SNOMED RT values for their SNOMED CT successors.
_LOCATIONS = [
    getattr(group, name) for group in (codes.cid6018, codes.cid6020) for name in group.dir()
]


def read_laterality(dataset: Dataset) -> Laterality | None:
    """Return L or R, or None where it is absent, unknown, or both breasts are in the picture.

    The image's own word (PS3.3 C.8.11.2, C.7.6.1) wins over the frame's (C.7.6.16.2.8) and the
    series' (C.7.3.1): a series may hold both sides. Where all are silent, as ultrasound devices
    often are, the codes of Anatomic Region Sequence tell, unless they name both.
    """
    frame = _first(_first(dataset, "SharedFunctionalGroupsSequence"), "FrameAnatomySequence")
    for value in (
        dataset.get("ImageLaterality"),
        frame.get("FrameLaterality"),
        dataset.get("Laterality"),
    ):
        if value in ("L", "R"):
            return "L" if value == "L" else "R"
        if value:
            return None
    stated = _region_codes(dataset)
    sides = [side for side, names in _SIDES.items() if any(name in stated for name in names)]
    return sides[0] if len(sides) == 1 else None


def read_view(dataset: Dataset) -> str | None:
    """Return CC, MLO, ...: View Position (C.8.11.1), else the view's code (C.8.11.7.1.2)."""
    stated = dataset.get("ViewPosition")
    # Several values say nothing: the attribute has one; nor does what is no code string.
    position = stated.strip().upper() if isinstance(stated, str) else ""
    position = position if is_code_string(position) else ""
    code = str(_first(dataset, "ViewCodeSequence").get("CodeValue", ""))
    return position or VIEW_BY_CODE.get(code)


def read_location(dataset: Dataset) -> Code | None:
    """Return the clock position, quadrant or region of the breast that the image says it shows.

    From Anatomic Region Sequence and its modifiers (PS3.3 10.5), as ultrasound devices and spot
    views write it. Nothing is concluded from the pixels: one projection cannot tell a quadrant.
    None also where the image names more than one.
    """
    stated = _region_codes(dataset)
    found = [location for location in _LOCATIONS if location in stated]
    return found[0] if len(found) == 1 else None


def _region_codes(dataset: Dataset) -> list[Code]:
    """The codes of Anatomic Region Sequence and of its modifiers (PS3.3 10.5)."""
    items: Any = dataset.get("AnatomicRegionSequence") or ()
    modifiers = [
        each for item in items for each in item.get("AnatomicRegionModifierSequence") or ()
    ]
    return [Code(*_coded(item)) for item in (*items, *modifiers)]


def _coded(item: Dataset) -> tuple[str, str, str]:
    values = (item.get(f"Code{part}") for part in ("Value", "Meaning"))
    value, meaning = (str(value or "") for value in values)
    return value, str(item.get("CodingSchemeDesignator") or ""), meaning


def _first(dataset: Dataset, keyword: str) -> Dataset:
    """Return the first item of a sequence, or an empty data set."""
    items: Any = dataset.get(keyword)
    return items[0] if items else Dataset()
