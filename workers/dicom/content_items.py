"""Content items of reports: highdicom's value types, put below one another.

In: values, and the items below each. Out: content items (PS3.3 C.17.3). highdicom's own content
sequence sorts its items by name as they come, which takes most of the time of a long report, and
knows no relationships by reference (C.17.3.2.5), on which the Mammography CAD report rests:
children are therefore attached here, and references are written here.

Codes, and coded items without children, are one object for all places, which only read them: a
report repeats a few of them in every finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, time
from functools import lru_cache
from typing import Final

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentItem,
    DateContentItem,
    ImageContentItem,
    NumContentItem,
    RelationshipTypeValues,
    ScoordContentItem,
    TextContentItem,
    TimeContentItem,
    UIDRefContentItem,
)
from pydicom import Sequence as ItemSequence
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from workers.dicom.codes import SOURCE
from workers.dicom.graphic_data import Points, corners, set_points
from workers.dicom.inheritance import ImageReference

CONTAINS = RelationshipTypeValues.CONTAINS
PROPERTIES = RelationshipTypeValues.HAS_PROPERTIES
CONCEPT_MODIFIER = RelationshipTypeValues.HAS_CONCEPT_MOD
OBSERVATION_CONTEXT = RelationshipTypeValues.HAS_OBS_CONTEXT
ACQUISITION_CONTEXT = RelationshipTypeValues.HAS_ACQ_CONTEXT
INFERRED_FROM = RelationshipTypeValues.INFERRED_FROM
SELECTED_FROM = RelationshipTypeValues.SELECTED_FROM

Relationship = RelationshipTypeValues


# Devices write codes of their own, so there is no end to them.
_KEPT: Final = 1024


def concept(code: Code) -> CodedConcept:
    """The code as an item of a code sequence."""
    return _concept(code.value, code.scheme_designator, code.meaning)


@lru_cache(_KEPT)
def _concept(value: str, scheme: str, meaning: str) -> CodedConcept:
    # By all three parts: pydicom calls codes equal whose meanings differ.
    return CodedConcept(value, scheme, meaning)


def code(relationship: Relationship, name: Code, value: Code, *children: Dataset) -> ContentItem:
    """A CODE item."""
    if children:
        return _above(_code(relationship, concept(name), concept(value)), children)
    return _shared_code(relationship, tuple(name), tuple(value))


@lru_cache(_KEPT)
def _shared_code(
    relationship: Relationship, name: tuple[str, ...], value: tuple[str, ...]
) -> CodeContentItem:
    return _code(relationship, concept(Code(*name)), concept(Code(*value)))


def _code(relationship: Relationship, name: CodedConcept, value: CodedConcept) -> CodeContentItem:
    return CodeContentItem(name=name, value=value, relationship_type=relationship)


def text(relationship: Relationship, name: Code, value: str) -> ContentItem:
    """A TEXT item."""
    return TextContentItem(name=concept(name), value=value, relationship_type=relationship)


def number(
    relationship: Relationship, name: Code, value: float, unit: Code, *children: Dataset
) -> ContentItem:
    """A NUM item."""
    item = NumContentItem(
        name=concept(name), value=value, unit=concept(unit), relationship_type=relationship
    )
    return _above(item, children)


def day(relationship: Relationship, name: Code, value: date) -> ContentItem:
    """A DATE item."""
    return DateContentItem(name=concept(name), value=value, relationship_type=relationship)


def clock(relationship: Relationship, name: Code, value: time) -> ContentItem:
    """A TIME item."""
    return TimeContentItem(name=concept(name), value=value, relationship_type=relationship)


def uid(relationship: Relationship, name: Code, value: str) -> ContentItem:
    """A UIDREF item."""
    return UIDRefContentItem(name=concept(name), value=value, relationship_type=relationship)


def container(
    relationship: Relationship | None,
    name: Code,
    *children: Dataset,
    template_id: str | None = None,
    is_continuous: bool = False,
) -> ContentItem:
    """A CONTAINER; the root has no relationship."""
    item = ContainerContentItem(
        name=concept(name),
        is_content_continuous=is_continuous,
        template_id=template_id,
        relationship_type=relationship,
    )
    return _above(item, children)


def image(
    relationship: Relationship,
    name: Code | None,
    reference: ImageReference,
    *children: Dataset,
    segment_number: int | None = None,
) -> ContentItem:
    """An IMAGE item, without a concept name where a template gives it none."""
    item = ImageContentItem(
        name=concept(name or SOURCE),
        referenced_sop_class_uid=reference.sop_class_uid,
        referenced_sop_instance_uid=reference.sop_instance_uid,
        referenced_frame_numbers=reference.frame_numbers,
        referenced_segment_numbers=segment_number,
        relationship_type=relationship,
    )
    if name is None:
        del item.ConceptNameCodeSequence
    return _above(item, children)


def coordinates(
    relationship: Relationship,
    name: Code,
    graphic_type: str,
    points_px: Points,
    selected_from: Dataset,
) -> ContentItem:
    """An SCOORD item above the image that it lies on."""
    item = ScoordContentItem(
        name=concept(name),
        graphic_type=graphic_type,
        graphic_data=corners(points_px),
        relationship_type=relationship,
    )
    set_points(item, points_px)
    return _above(item, [selected_from])


def by_reference(relationship: Relationship, identifier: Sequence[int]) -> Dataset:
    """The relationship to an item elsewhere in the tree, named by its 1-based position path."""
    item = Dataset()
    item.RelationshipType = relationship.value
    item.ReferencedContentItemIdentifier = list(identifier)
    return item


def _above(item: ContentItem, children: Sequence[Dataset]) -> ContentItem:
    if children:
        # Not as an attribute: highdicom would refuse the children that are references.
        item.add_new("ContentSequence", "SQ", ItemSequence(children))
    return item
