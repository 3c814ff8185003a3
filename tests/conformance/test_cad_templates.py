"""Mammography CAD SR against docs/cad-sr.md, row by row, and the walk against seeded faults."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from tests.cad_studies import STUDIES, encoded_study
from tests.conformance.sr_templates import Condition, Row, Situation, Walk, read_templates
from workers.analyses import ImageAnalysis

PAGE = Path(__file__).parents[2] / "docs" / "cad-sr.md"


@cache
def _templates() -> dict[str, list[Row]]:
    return read_templates(PAGE)


def _value(item: Dataset | None) -> str:
    """The code of a CODE item."""
    return "" if item is None else str(item.ConceptCodeSequence[0].CodeValue)


def _name(item: Dataset | None) -> str:
    return "" if item is None else str(item.ConceptNameCodeSequence[0].CodeValue)


def _in_image(*keywords: str) -> Condition:
    def holds(situation: Situation) -> bool:
        return any(_source(situation).get(keyword) for keyword in keywords)

    return holds


def _source(situation: Situation) -> Dataset:
    """The header of the image that the library's entry names."""
    assert situation.parent is not None
    sources: Any = situation.known["sources"]
    source: Dataset = sources[situation.parent.ReferencedSOPSequence[0].ReferencedSOPInstanceUID]
    return source


def _finding_is(*kinds: Any) -> Condition:
    values = {kind.value for kind in kinds}
    return lambda situation: _value(situation.parent) in values


def _parent_is(*values: str) -> Condition:
    return lambda situation: _value(situation.parent) in values


def _not_attempted(situation: Situation) -> bool:
    return _value(situation.parent) == "111225"


_F = codes.cid6014
CONDITIONS: dict[str, Condition] = {
    "unless row 6 is Not Attempted": lambda situation: not _not_attempted(situation),
    "unless row 8 is Not Attempted": lambda situation: not _not_attempted(situation),
    "Image Laterality is in the image": _in_image("ImageLaterality"),
    "View Code Sequence is in the image": _in_image("ViewCodeSequence"),
    "View Modifier Code Sequence has items": lambda situation: bool(
        situation.known["view_modifiers"]
    ),
    "Patient Orientation is in the image": _in_image("PatientOrientation"),
    "Study Date is in the image": _in_image("StudyDate"),
    "Study Time is in the image": _in_image("StudyTime"),
    "Content Date is in the image": _in_image("ContentDate"),
    "Content Time is in the image": _in_image("ContentTime"),
    "Imager Pixel Spacing or Pixel Spacing is in the image": _in_image(
        "ImagerPixelSpacing", "PixelSpacing"
    ),
    "there is a finding": lambda situation: bool(situation.known["findings"]),
    "unless row 1 is Breast composition, Breast geometry or Image Quality": (
        lambda situation: (
            not _finding_is(_F.BreastComposition, _F.BreastGeometry, _F.ImageQuality)(situation)
        )
    ),
    "row 1 is Breast composition": _finding_is(_F.BreastComposition),
    "row 1 is Breast geometry": _finding_is(_F.BreastGeometry),
    "row 1 is Individual Calcification": _finding_is(_F.IndividualCalcification),
    "row 1 is Calcification Cluster": _finding_is(_F.CalcificationCluster),
    "row 1 is Mammography breast density": _finding_is(_F.MammographyBreastDensity),
    "row 1 is Nipple": _finding_is(_F.Nipple),
    "row 1 is Non-lesion": _finding_is(_F.NonLesion),
    "row 1 is Selected region": _finding_is(_F.SelectedRegion),
    "row 1 is Image Quality": _finding_is(_F.ImageQuality),
    "row 1 is Area of defined region": lambda situation: (
        _name(situation.parent) == codes.SCT.AreaOfDefinedRegion.value
    ),
    "the finding comes from another report": lambda _: False,
    "the parent is Succeeded or Partially Succeeded": _parent_is("111222", "111223"),
    "the parent is Failed or Partially Succeeded": _parent_is("111224", "111223"),
}


def _walk(document: Dataset, analyses: list[ImageAnalysis]) -> Walk:
    sources = [analysis.source for analysis in analyses]
    known = {
        "sources": {str(source.SOPInstanceUID): source for source in sources},
        "view_modifiers": any(
            view.get("ViewModifierCodeSequence")
            for source in sources
            for view in source.get("ViewCodeSequence") or ()
        ),
        "findings": sum(len(analysis.findings) for analysis in analyses),
    }
    return Walk(_templates(), CONDITIONS, document, known)


@pytest.mark.parametrize("name", STUDIES)
def test_every_row_is_as_the_page_says(name: str) -> None:
    """Order, number, types, names, groups and units of every item of every state."""
    analyses, document = encoded_study(name)
    assert _walk(document, analyses).root("4000") == []


def test_together_the_studies_reach_every_row_that_is_written() -> None:
    """No row of the page is called written that no study here writes."""
    reached: set[str] = set()
    for name in STUDIES:
        analyses, document = encoded_study(name)
        walk = _walk(document, analyses)
        walk.root("4000")
        reached |= walk.taken
    written = {
        row.place for row in _all_rows(*_templates().values()) if row.written in ("always", "when")
    }
    assert reached == written


def _all_rows(*templates: list[Row]) -> list[Row]:
    return [each for rows in templates for row in rows for each in (row, *_all_rows(row.below))]


def test_no_item_is_of_a_type_that_the_iod_lacks() -> None:
    """PS3.3 A.35.5.3.1.2: no DATETIME, nothing in three dimensions or in time."""
    allowed = {"TEXT", "CODE", "NUM", "DATE", "TIME", "UIDREF", "SCOORD", "IMAGE", "CONTAINER"}
    for name in STUDIES:
        for item in _items(encoded_study(name)[1]):
            assert item.get("ValueType", "IMAGE") in allowed


def _items(item: Dataset) -> list[Dataset]:
    below = item.get("ContentSequence") or ()
    return [each for child in below for each in (child, *_items(child))]


def _named(document: Dataset, value: str) -> Dataset:
    """The first item with that concept name."""
    return next(
        item
        for item in _items(document)
        if "ConceptNameCodeSequence" in item and _name(item) == value
    )


def _swap_summaries(document: Dataset) -> None:
    sequence = document.ContentSequence
    sequence[3], sequence[4] = sequence[4], sequence[3]


def _swap_in_finding(document: Dataset) -> None:
    sequence = _named(document, "111059").ContentSequence
    sequence[1], sequence[3] = sequence[3], sequence[1]


def _drop_language(document: Dataset) -> None:
    del document.ContentSequence[0]


def _drop_version(document: Dataset) -> None:
    sequence = _named(document, "111059").ContentSequence
    del sequence[4]


def _drop_laterality(document: Dataset) -> None:
    del _named(document, "111028").ContentSequence[0].ContentSequence[0]


def _drop_failed(document: Dataset) -> None:
    del _named(document, "111064").ContentSequence[1]


def _add_probability(document: Dataset) -> None:
    sequence = _named(document, "111059").ContentSequence
    certainty = _named(document, "111012")
    extra = Dataset()
    extra.update(certainty)
    extra.ConceptNameCodeSequence = [Dataset()]
    extra.ConceptNameCodeSequence[0].CodeValue = "111047"
    extra.ConceptNameCodeSequence[0].CodingSchemeDesignator = "DCM"
    extra.ConceptNameCodeSequence[0].CodeMeaning = "Probability of cancer"
    sequence.insert(list(sequence).index(certainty) + 1, extra)


def _add_comment(document: Dataset) -> None:
    extra = Dataset()
    extra.update(_named(document, "111033"))
    extra.RelationshipType = "CONTAINS"
    document.ContentSequence.append(extra)


def _wrong_finding(document: Dataset) -> None:
    code = _named(document, "111059").ConceptCodeSequence[0]
    code.CodeValue, code.CodeMeaning = "4147007", "Mass"


def _wrong_relationship(document: Dataset) -> None:
    _named(document, "111012").RelationshipType = "CONTAINS"


def _wrong_unit(document: Dataset) -> None:
    unit = _named(document, "111012").MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0]
    unit.CodeValue = "1"


def _wrong_graphic(document: Dataset) -> None:
    _named(document, "111010").GraphicType = "CIRCLE"


def _by_value(document: Dataset) -> None:
    centre = _named(document, "111010")
    image = Dataset()
    image.update(_named(document, "111028").ContentSequence[0])
    image.RelationshipType = "SELECTED FROM"
    centre.ContentSequence = [image]


def _refers_elsewhere(document: Dataset) -> None:
    _named(document, "111010").ContentSequence[0].ReferencedContentItemIdentifier = [1, 1]


def _says_succeeded(document: Dataset) -> None:
    code = _named(document, "111064").ConceptCodeSequence[0]
    code.CodeValue, code.CodeMeaning = "111222", "Succeeded"


@pytest.mark.parametrize(
    "spoil",
    [
        _swap_summaries,
        _swap_in_finding,
        _drop_language,
        _drop_version,
        _drop_laterality,
        _drop_failed,
        _add_probability,
        _add_comment,
        _wrong_finding,
        _wrong_relationship,
        _wrong_unit,
        _wrong_graphic,
        _by_value,
        _refers_elsewhere,
        _says_succeeded,
    ],
)
def test_a_fault_in_the_tree_is_found(spoil: Callable[[Dataset], None]) -> None:
    """The walk above can fail."""
    analyses, document = encoded_study("one model failed")
    document = deepcopy(document)
    spoil(document)
    assert _walk(document, analyses).root("4000")
