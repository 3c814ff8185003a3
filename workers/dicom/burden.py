"""Breast arterial calcification as one number per breast, the "burden" of vascular studies.

In: the analyses of a study. Out: per breast and model the area of all arteries marked and how many
they are. What must hold: no burden where the model failed on an image of that breast, because a sum
without a summand reads as a smaller disease; no area in mm2 without a spacing on every image.

An artery seen on two views counts on both: the sum is comparable between studies of the same views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from highdicom.sr import (
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    SourceImageForMeasurementGroup,
    TrackingIdentifier,
)

from models.contract import FindingKind
from node.identifiers import derived_uid
from workers.analyses import ImageAnalysis
from workers.dicom import codes
from workers.dicom.anatomy import read_laterality
from workers.dicom.equipment import ModelIdentity
from workers.dicom.inheritance import ImageReference
from workers.dicom.measurement import (
    NO_SPACING,
    Profile,
    algorithm_of,
    comment,
    hang_below,
    site_of,
)
from workers.dicom.numbers import rounded
from workers.findings import Finding, RunOutcome

_SIDES = {"L": "left", "R": "right"}


@dataclass(frozen=True, slots=True)
class Burden:
    """What one model marked as calcified arteries in one breast.

    `area_mm2`: sum over all images, None where one of them has no spacing. `count`: findings.
    """

    laterality: str
    model: ModelIdentity
    images: tuple[ImageReference, ...]
    area_mm2: float | None
    count: int

    @property
    def name(self) -> str:
        """What people read."""
        return f"Arterial calcification, {_SIDES[self.laterality]} breast"

    @property
    def sentence(self) -> str:
        """What it comes to, and over what."""
        area = "" if self.area_mm2 is None else f", {self.area_mm2:.1f} mm2"
        place = f"{len(self.images)} image(s)"
        return f"{self.name}: {self.count} finding(s){area} on {place}, each view counted."


def burdens_of(analyses: Sequence[ImageAnalysis]) -> list[Burden]:
    """One per breast and model, for models that marked a calcified artery anywhere in the study."""
    models = sorted(
        {
            ModelIdentity(found.model, found.model_version)
            for analysis in analyses
            for found in _arteries(analysis.findings)
        }
    )
    found = [_burden(analyses, side, model) for model in models for side in _SIDES]
    return [burden for burden in found if burden is not None]


def burden_group(
    burden: Burden, study_uid: str, revision: int, profile: Profile
) -> MeasurementsAndQualitativeEvaluations:
    """A Measurement Group (PS3.16 TID 1501) without coordinates.

    For OHIF the numbers are properties of the finding, see `workers.dicom.measurement`.
    """
    measurements = _measurements(burden)
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=derived_uid("burden", study_uid, revision, *burden.model, burden.laterality),
            identifier=f"{burden.name}, {burden.model.name} {burden.model.version}",
        ),
        finding_type=codes.FINDING_TYPE[FindingKind.ARTERIAL_CALCIFICATION],
        finding_sites=[site_of(burden.laterality)],
        algorithm_id=algorithm_of(*burden.model),
        measurements=[] if profile == "ohif" else measurements,
        source_images=[SourceImageForMeasurementGroup(*image) for image in burden.images],
    )
    content = group[0].ContentSequence
    if profile == "ohif":
        finding = next(item for item in content if item.name == codes.FINDING)
        hang_below(finding, measurements)
    content.append(comment(burden.sentence))
    if burden.area_mm2 is None:
        content.append(comment(NO_SPACING))
    return group


def _burden(analyses: Sequence[ImageAnalysis], side: str, model: ModelIdentity) -> Burden | None:
    looked_at = [
        (analysis, run)
        for analysis in analyses
        for run in analysis.runs
        if read_laterality(analysis.source) == side and _model_of(run) == model
    ]
    # An image that the model declined is none of a breast as it knows them.
    runs = [run for _, run in looked_at if not run.declined]
    if not runs or any(run.error is not None for run in runs):
        return None
    arteries = [found for run in runs for found in _arteries(run.findings)]
    areas_mm2 = [found.area_mm2 for found in arteries if found.area_mm2 is not None]
    return Burden(
        laterality=side,
        model=model,
        images=tuple(analysis.reference for analysis, run in looked_at if not run.declined),
        area_mm2=sum(areas_mm2) if len(areas_mm2) == len(arteries) else None,
        count=len(arteries),
    )


def _measurements(burden: Burden) -> list[Measurement]:
    count = Measurement(codes.NUMBER_OF_LESIONS, burden.count, codes.NO_UNITS)
    if burden.area_mm2 is None:
        return [count]
    area = Measurement(
        codes.AREA_OF_VASCULAR_CALCIFICATION,
        rounded(burden.area_mm2),
        codes.SQUARE_MILLIMETER,
        derivation=codes.TOTAL,
    )
    return [area, count]


def _arteries(findings: Sequence[Finding]) -> list[Finding]:
    return [found for found in findings if found.kind is FindingKind.ARTERIAL_CALCIFICATION]


def _model_of(run: RunOutcome) -> ModelIdentity:
    return ModelIdentity(run.model, run.model_version)
