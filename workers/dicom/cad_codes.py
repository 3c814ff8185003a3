"""The coded concepts of the Mammography CAD report (PS3.16 TID 4000 and below).

In: what models call things. Out: the codes of the context groups that the templates name. Meanings
are those of the context groups, without the invisible line breaks of the standard's web pages.
"""

from __future__ import annotations

from typing import Final

from pydicom.sr.codedict import Collection, codes
from pydicom.sr.coding import Code

from models.contract import FindingKind


def _plain(code: Code) -> Code:
    """The code with a meaning that can be compared and printed: no zero-width space."""
    return Code(code.value, code.scheme_designator, code.meaning.replace("\u200b", ""))


# TID 4006 row 1: CID 6014. A density is what PS3.17 annex E calls the mass seen on one image; the
# group has no vascular calcification, so TID 4009 row 1 says of what type a calcification is.
SINGLE_IMAGE_FINDING: Final[dict[FindingKind, Code]] = {
    FindingKind.MASS: codes.cid6014.MammographyBreastDensity,  # 129793001
    FindingKind.CALCIFICATION_CLUSTER: codes.cid6014.CalcificationCluster,  # 129769006
    FindingKind.ARTERIAL_CALCIFICATION: codes.cid6014.IndividualCalcification,  # 129770007
}
VASCULAR: Final[Code] = codes.cid6010.VascularCalcificationRadiographicFinding  # 129759000

# What a class of a model's spec marks; classes that are not here mark no finding.
KIND_OF_CLASS: Final[dict[str, FindingKind]] = {
    "mass": FindingKind.MASS,
    "mc": FindingKind.CALCIFICATION_CLUSTER,
    "bac": FindingKind.ARTERIAL_CALCIFICATION,
}

# CID 6043: a classifier's probabilities are an impression of the whole image.
CLASSIFICATION: Final[Code] = _plain(
    codes.cid6043.OverallImpressionRecommendationAnalysis
)  # 111234

PRESENTATION_REQUIRED: Final[Code] = (
    codes.DCM.PresentationRequiredRenderingDeviceIsExpectedToPresent
)
PRESENTATION_OPTIONAL: Final[Code] = codes.DCM.PresentationOptionalRenderingDeviceMayPresent

SIDE: Final[dict[str, Code]] = {  # CID 6022
    "L": codes.cid6022.LeftBreast,
    "R": codes.cid6022.RightBreast,
    "B": codes.cid6022.BothBreasts,
}
VIEWS: Final = codes.cid4014
VIEW_MODIFIERS: Final = codes.cid4015
VIEW_OF_POSITION: Final[dict[str, Code]] = {  # View Position (0018,5101) in words of CID 4014
    "CC": VIEWS.CranioCaudal,
    "MLO": VIEWS.MedioLateralObliqueProjection,
    "ML": VIEWS.MedioLateralProjection,
    "LM": VIEWS.LateroMedial,
    "LMO": VIEWS.LateroMedialOblique,
    "FB": VIEWS.CaudoCranial,
    "SIO": VIEWS.SuperolateralToInferomedialOblique,
    "ISO": VIEWS.InferomedialToSuperolateralOblique,
    "XCCL": VIEWS.CranioCaudalExaggeratedLaterally,
    "XCCM": VIEWS.CranioCaudalExaggeratedMedially,
}

INDIVIDUAL_IMPRESSION: Final[Code] = _plain(codes.DCM.IndividualImpressionRecommendation)  # 111034

# A context group.
Group = Collection


def standard_code(group: Group, value: str, scheme: str, meaning: str) -> Code:
    """The code as the context group has it, retired SNOMED RT values included, else as given."""
    given = Code(value, scheme, meaning)
    return next((code for code in group.concepts.values() if code == given), given)
