"""Routing rules: the built-in ones decide as expected, wrong ones are refused clearly."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.errors import ConfigurationError
from node.routes import BUILT_IN, load_routes

PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"
ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"
ULTRASOUND_VOLUME = "1.2.840.10008.5.1.4.1.1.6.2"
RETIRED_ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
OWN = {"Manufacturer": "Sentinode", "ManufacturerModelName": "Sentinode breast imaging AI"}
BREAST_SCAN = {"Modality": "US", "BodyPartExamined": "breast", "HasPixelData": "true"}
SCAN = {"Modality": "US", "SOPClassUID": ULTRASOUND, "HasPixelData": "true"}
COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"
QUALITY = "quality control"
NO_SCAN = "ultrasound volume or retired class"
MG = {"Modality": "MG", "SOPClassUID": PRESENTATION, "HasPixelData": "true"}


@pytest.mark.parametrize(
    ("attributes", "route", "models"),
    [
        (MG, "mammogram, for presentation", ("mask_rcnn_mg", "mtu_net", "resnet50")),
        (
            MG | {"SOPClassUID": PROCESSING},
            "mammogram, for processing",
            ("mask_rcnn_mg", "mtu_net", "resnet50"),
        ),
        (MG | {"SOPClassUID": TOMOSYNTHESIS}, "tomosynthesis", ()),
        (MG | {"ViewModifierCodeValue": ["399163009"]}, "magnification view", ()),
        (MG | {"ViewCodeValue": "127457009"}, "specimen radiograph", ()),
        (MG | {"ViewCodeValue": "G-8310", "ViewPosition": "CC"}, "specimen radiograph", ()),
        (MG | {"QualityControlImage": "YES"}, QUALITY, ()),
        (
            MG | {"QualityControlImage": "NO"},
            "mammogram, for presentation",
            ("mask_rcnn_mg", "mtu_net", "resnet50"),
        ),
        (BREAST_SCAN | {"SOPClassUID": ULTRASOUND, "QualityControlImage": "YES"}, QUALITY, ()),
        (MG | {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.13.1.5"}, "tomosynthesis projections", ()),
        (MG | {"SOPClassUID": COMPUTED_RADIOGRAPHY}, "mammogram of another class", ()),
        (MG | {"HasPixelData": "false"}, "not an image", ()),
        (BREAST_SCAN | {"SOPClassUID": ULTRASOUND}, "breast ultrasound", ("mask_rcnn_us",)),
        (BREAST_SCAN | {"SOPClassUID": ULTRASOUND_VOLUME}, NO_SCAN, ()),
        (BREAST_SCAN | {"SOPClassUID": RETIRED_ULTRASOUND}, NO_SCAN, ()),
        (
            {"Modality": "US", "BodyPartExamined": "LIVER", "HasPixelData": "true"},
            "ultrasound of another body part",
            (),
        ),
        (
            SCAN | {"AnatomicRegionCodeValue": "80248007"},
            "breast ultrasound, by its anatomic region",
            ("mask_rcnn_us",),
        ),
        (
            SCAN | {"AnatomicRegionCodeValue": "T-62000"},
            "ultrasound of another anatomic region",
            (),
        ),
        (
            SCAN | {"AnatomicRegionCodeValue": "76752008", "BodyPartExamined": "LIVER"},
            "ultrasound of another body part",
            (),
        ),
        (SCAN, "ultrasound without a body part", ()),
        (
            {
                "Modality": "RG",
                "SOPClassUID": SECONDARY_CAPTURE,
                "BodyPartExamined": "BREAST",
                "ViewPosition": "MLO",
                "HasPixelData": "true",
            },
            "digitised mammogram",
            ("mask_rcnn_mg", "mtu_net", "resnet50"),
        ),
        ({"Modality": "CT", "HasPixelData": "true"}, "other images", ()),
        (OWN | {"Modality": "SEG", "HasPixelData": "true"}, "own results", ()),
        (
            OWN
            | {
                "Modality": "OT",
                "SOPClassUID": SECONDARY_CAPTURE,
                "BodyPartExamined": "BREAST",
                "ViewPosition": "CC",
                "HasPixelData": "true",
            },
            "own results",
            (),
        ),
    ],
)
def test_built_in_rules(attributes: dict[str, object], route: str, models: tuple[str, ...]) -> None:
    """Each kind of object meets the rule written for it."""
    decision = load_routes(None).decide(attributes)
    assert (decision.route, decision.models) == (route, models)
    assert bool(decision.models) != bool(decision.skip_reason)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("routes: [{name: x}]", "either `models` or `skip`"),
        ("routes: [{name: x, skip: y, models: [z]}]", "either `models` or `skip`"),
        ("routes: [{name: x, skip: y, match: {PatientName: A}}]", "cannot match on"),
        ("routes: [{name: x, skip: y, colour: red}]", "colour"),
        ("rules: []", "routes"),
        ("routes: [", "routes file"),
    ],
)
def test_wrong_rules_are_refused(tmp_path: Path, text: str, complaint: str) -> None:
    """A mistake in the file is named, with the file."""
    path = tmp_path / "routes.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"routes\.yaml") as error:
        load_routes(path)
    assert complaint in str(error.value)


def test_no_matching_rule_keeps_the_object(tmp_path: Path) -> None:
    """Without a rule an instance is kept, and its study says why nothing was done."""
    path = tmp_path / "routes.yaml"
    path.write_text("routes: [{name: mg, match: {Modality: MG}, models: [resnet50]}]")
    decision = load_routes(path).decide({"Modality": "CT"})
    assert decision.models == ()
    assert decision.skip_reason


def test_null_matches_absence_only(tmp_path: Path) -> None:
    """`null` in a rule means that the attribute is absent or empty."""
    path = tmp_path / "routes.yaml"
    path.write_text("routes: [{name: no view, match: {ViewPosition: [null]}, skip: no view}]")
    routes = load_routes(path)
    assert routes.decide({}).route == "no view"
    assert routes.decide({"ViewPosition": "CC"}).route == "none"


def test_built_in_file_is_packaged() -> None:
    """The built-in rules lie beside the module."""
    assert BUILT_IN.is_file()
