"""The Image Library of a report (PS3.16 TID 1600): every image that was looked at.

In: image headers as received. Out: the container. highdicom's own library demands attributes that
real mammograms lack; here an entry holds what the header has.
"""

from __future__ import annotations

from collections.abc import Sequence

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    NumContentItem,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dictionary
from pydicom.sr.coding import Code

from workers.dicom import codes
from workers.dicom.anatomy import read_laterality, read_view
from workers.dicom.inheritance import pair_of, reference_to

_CONTEXT = RelationshipTypeValues.HAS_ACQ_CONTEXT


def image_library(sources: Sequence[tuple[Dataset, int]]) -> ContainerContentItem:
    """One group, one entry per image (header, analysed frame). Raises ValueError for no image."""
    if not sources:
        raise ValueError("an image library needs an image")
    library = _container(dictionary.DCM.ImageLibrary)
    group = _container(dictionary.DCM.ImageLibraryGroup)
    group.ContentSequence = ContentSequence([_entry(*source) for source in sources])
    library.ContentSequence = ContentSequence([group])
    return library


def _container(name: Code) -> ContainerContentItem:
    return ContainerContentItem(name=name, relationship_type=RelationshipTypeValues.CONTAINS)


def _entry(source: Dataset, frame_number: int) -> ImageContentItem:
    reference = reference_to(source, frame_number)
    image = ImageContentItem(
        name=dictionary.SCT.Source,
        referenced_sop_class_uid=reference.sop_class_uid,
        referenced_sop_instance_uid=reference.sop_instance_uid,
        referenced_frame_numbers=reference.frame_numbers,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )
    image.ContentSequence = ContentSequence(_descriptors(source))
    return image


def _descriptors(source: Dataset) -> list[ContentItem]:
    """PS3.16 TID 1602 and, for projections, TID 1603, as far as the header goes."""
    items: list[ContentItem] = []
    modality = codes.MODALITIES.get(str(source.get("Modality")))
    if modality is not None:
        items.append(_code(dictionary.DCM.Modality, modality))
    side = read_laterality(source)
    if side is not None:
        items.append(_code(dictionary.DCM.ImageLaterality, codes.LATERALITY[side]))
    view = codes.VIEW.get(read_view(source) or "")
    if view is not None:
        items.append(_code(dictionary.DCM.ImageView, view))
    orientation = pair_of(source, "PatientOrientation")
    if orientation:
        items.append(_text(dictionary.DCM.PatientOrientationRow, orientation[0]))
        items.append(_text(dictionary.DCM.PatientOrientationColumn, orientation[1]))
    spacing = pair_of(source, "PixelSpacing", "ImagerPixelSpacing")
    if spacing:
        between_rows_mm, between_columns_mm = (float(value) for value in spacing)
        items.append(
            _number(dictionary.DCM.HorizontalPixelSpacing, between_columns_mm, codes.MILLIMETER)
        )
        items.append(
            _number(dictionary.DCM.VerticalPixelSpacing, between_rows_mm, codes.MILLIMETER)
        )
    if source.get("Rows") and source.get("Columns"):
        items.append(_number(dictionary.DCM.PixelDataRows, int(source.Rows), codes.PIXELS))
        items.append(_number(dictionary.DCM.PixelDataColumns, int(source.Columns), codes.PIXELS))
    return items


def _code(name: Code, value: Code) -> CodeContentItem:
    return CodeContentItem(name=name, value=value, relationship_type=_CONTEXT)


def _text(name: Code, value: str) -> TextContentItem:
    return TextContentItem(name=name, value=value, relationship_type=_CONTEXT)


def _number(name: Code, value: float, unit: Code) -> NumContentItem:
    return NumContentItem(name=name, value=value, unit=unit, relationship_type=_CONTEXT)
