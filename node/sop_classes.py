"""Which storage SOP classes are accepted (PS3.4 annex B.5)."""

from __future__ import annotations

from typing import Literal

from pydicom.uid import UID
from pynetdicom import AllStoragePresentationContexts

# What a breast imaging unit sends; the rest of `all` is kept and never analysed.
_BREAST = (
    "DigitalMammographyXRayImageStorageForPresentation",
    "DigitalMammographyXRayImageStorageForProcessing",
    "BreastTomosynthesisImageStorage",
    "BreastProjectionXRayImageStorageForPresentation",
    "BreastProjectionXRayImageStorageForProcessing",
    "ComputedRadiographyImageStorage",
    "DigitalXRayImageStorageForPresentation",
    "DigitalXRayImageStorageForProcessing",
    "UltrasoundImageStorage",
    "UltrasoundMultiFrameImageStorage",
    "EnhancedUSVolumeStorage",
    "SecondaryCaptureImageStorage",
    "MultiFrameGrayscaleByteSecondaryCaptureImageStorage",
    "MultiFrameGrayscaleWordSecondaryCaptureImageStorage",
    "MultiFrameTrueColorSecondaryCaptureImageStorage",
    "SegmentationStorage",
    "BasicTextSRStorage",
    "EnhancedSRStorage",
    "ComprehensiveSRStorage",
    "Comprehensive3DSRStorage",
    "MammographyCADSRStorage",
    "XRayRadiationDoseSRStorage",
    "KeyObjectSelectionDocumentStorage",
    "GrayscaleSoftcopyPresentationStateStorage",
    "ColorSoftcopyPresentationStateStorage",
    "BlendingSoftcopyPresentationStateStorage",
    "EncapsulatedPDFStorage",
)


def storage_classes(which: Literal["all", "breast"]) -> list[UID]:
    """SOP Class UIDs, sorted."""
    found = [
        UID(context.abstract_syntax)
        for context in AllStoragePresentationContexts
        if context.abstract_syntax is not None
    ]
    return sorted(uid for uid in found if which == "all" or uid.keyword in _BREAST)
