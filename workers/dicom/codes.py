"""The coded concepts of the result objects, in one place.

Names come from `pydicom.sr.codedict`, so that a mistyped code fails at import; the comment behind
each says which context group of PS3.16 offers it. Where DICOM has no code, the private scheme
`99SENTINODE` has one; an object that uses it says so in its Coding Scheme Identification Sequence.
"""

from __future__ import annotations

from typing import Final

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from models.contract import FindingKind

PRIVATE_SCHEME: Final = "99SENTINODE"
PRIVATE_SCHEME_NAME: Final = "Sentinode research codes"

FINDING_TYPE: Final[dict[FindingKind, Code]] = {
    FindingKind.MASS: codes.SCT.Mass,  # 4147007
    FindingKind.CALCIFICATION_CLUSTER: codes.SCT.CalcificationCluster,  # 129769006, CID 6014
    # 129759000, CID 6010: the radiographic finding, not 237897009 (the disorder).
    FindingKind.ARTERIAL_CALCIFICATION: codes.SCT.VascularCalcificationRadiographicFinding,
}
# What people read; the code meanings above say "vascular".
FINDING_LABEL: Final[dict[FindingKind, str]] = {
    FindingKind.MASS: "Mass",
    FindingKind.CALCIFICATION_CLUSTER: "Calcification cluster",
    FindingKind.ARTERIAL_CALCIFICATION: "Arterial calcification",
}
FINDING_CATEGORY: Final[Code] = codes.SCT.MorphologicallyAbnormalStructure  # 49755003, CID 7150
ALGORITHM_FAMILY: Final[Code] = codes.DCM.ArtificialIntelligence  # 123110, CID 7162

BREAST: Final[Code] = codes.SCT.Breast  # 76752008, CID 4031
LATERALITY: Final[dict[str, Code]] = {
    "L": codes.SCT.Left,  # 7771000, CID 244
    "R": codes.SCT.Right,  # 24028007, CID 244
}
VIEW: Final[dict[str, Code]] = {  # CID 4014
    "CC": codes.SCT.CranioCaudal,
    "MLO": codes.SCT.MedioLateralObliqueProjection,
    "ML": codes.SCT.MedioLateralProjection,
    "LM": codes.SCT.LateroMedial,
    "XCCL": codes.SCT.CranioCaudalExaggeratedLaterally,
    "XCCM": codes.SCT.CranioCaudalExaggeratedMedially,
}
PROCEDURE_MAMMOGRAPHY: Final[Code] = codes.SCT.Mammography  # 71651007
PROCEDURE_ULTRASOUND: Final[Code] = codes.SCT.UltrasonographyOfBreast  # 47079000
IMAGE_VIEW: Final[Code] = codes.DCM.ImageView  # 111031
# 363679005, the one code of CID 100 that covers breast imaging; the modalities stand below it.
IMAGING_PROCEDURE: Final[Code] = codes.SCT.ImagingProcedure
MODALITY: Final[Code] = codes.DCM.Modality  # 121139
# CID 29, for the modalities that breast images come with.
MODALITIES: Final[dict[str, Code]] = {
    code.value: code
    for code in (
        codes.DCM.Mammography,
        codes.DCM.Ultrasound,
        codes.DCM.ComputedRadiography,
        codes.DCM.DigitalRadiography,
        codes.DCM.RadiographicImaging,
    )
}

AREA: Final[Code] = codes.SCT.Area  # CID 7469
LONG_AXIS: Final[Code] = codes.SCT.LongAxis  # CID 7470
SHORT_AXIS: Final[Code] = codes.SCT.ShortAxis  # CID 7470
AREA_OF_VASCULAR_CALCIFICATION: Final[Code] = codes.DCM.AreaOfVascularCalcification  # 112196
NUMBER_OF_LESIONS: Final[Code] = codes.SCT.NumberOfLesions  # 246206008
TOTAL: Final[Code] = codes.SCT.Total  # 255619001, CID 7464
REFERENCED_SEGMENT: Final[Code] = codes.DCM.ReferencedSegment  # 121191
# 0 % to 100 %: what the device itself thinks of its mark (PS3.16 CID 6048).
CERTAINTY: Final[Code] = codes.DCM.CertaintyOfFinding
PROBABILITY_OF_CANCER: Final[Code] = codes.DCM.ProbabilityOfCancer  # CID 6048
MILLIMETER: Final[Code] = codes.UCUM.Millimeter
SQUARE_MILLIMETER: Final[Code] = codes.UCUM.SquareMillimeter
PERCENT: Final[Code] = codes.UCUM.Percent
FINDING: Final[Code] = codes.DCM.Finding  # 121071
# Names of rows, with the meanings that PS3.16 gives them.
CATEGORY: Final[Code] = Code("276214006", "SCT", "Finding category")  # TID 1501, row 3a
SOURCE: Final[Code] = Code("260753009", "SCT", "Source")
NO_UNITS: Final[Code] = codes.UCUM.NoUnits
PIXELS: Final[Code] = Code("{pixels}", "UCUM", "pixels")

# PS3.16 TID 1500, row 12.
QUALITATIVE_EVALUATIONS: Final[Code] = Code("C0034375", "UMLS", "Qualitative Evaluations")
SUMMARY_OF_ANALYSES: Final[Code] = codes.DCM.SummaryOfAnalyses
SUCCEEDED: Final[Code] = codes.DCM.Succeeded  # CID 6042
PARTIALLY_SUCCEEDED: Final[Code] = codes.DCM.PartiallySucceeded  # CID 6042
FAILED: Final[Code] = codes.DCM.Failed  # CID 6042
NOT_ATTEMPTED: Final[Code] = codes.DCM.NotAttempted  # CID 6042
PROCESSING_SUMMARY: Final[Code] = codes.DCM.CADProcessingAndFindingsSummary

# PS3.16 CID 6047.
_ALL_WITH_FINDINGS: Final[Code] = codes.cid6047.AllAlgorithmsSucceededWithFindings
_ALL_WITHOUT_FINDINGS: Final[Code] = codes.cid6047.AllAlgorithmsSucceededWithoutFindings
_SOME_WITH_FINDINGS: Final[Code] = codes.cid6047.NotAllAlgorithmsSucceededWithFindings
_SOME_WITHOUT_FINDINGS: Final[Code] = codes.cid6047.NotAllAlgorithmsSucceededWithoutFindings
_NONE_SUCCEEDED: Final[Code] = codes.cid6047.NoAlgorithmsSucceededWithoutFindings

# Class names that mean cancer, whatever the model calls them.
_CANCER_CLASSES: Final = frozenset({"cancer", "malignant"})


def probability_of(class_name: str) -> Code:
    """The concept name of the probability that an image belongs to `class_name`."""
    if class_name in _CANCER_CLASSES:
        return PROBABILITY_OF_CANCER
    value = f"P_{class_name.upper()}"[:16]  # Code Value is SH: 16 characters
    return Code(value, PRIVATE_SCHEME, f"Probability of {class_name.replace('_', ' ')}"[:64])


def processing_summary(*, succeeded: int, failed: int, with_findings: bool) -> Code:
    """One of PS3.16 CID 6047; "without findings" alone only when nothing failed."""
    if failed == 0:
        return _ALL_WITH_FINDINGS if with_findings else _ALL_WITHOUT_FINDINGS
    if succeeded == 0:
        return _NONE_SUCCEEDED
    return _SOME_WITH_FINDINGS if with_findings else _SOME_WITHOUT_FINDINGS


def run_summary(*, succeeded: int, failed: int) -> Code:
    """One of PS3.16 CID 6042 for that many runs."""
    if failed == 0:
        return SUCCEEDED
    return FAILED if succeeded == 0 else PARTIALLY_SUCCEEDED
