"""Which storage SOP classes are accepted (PS3.4 annex B.5, B.6)."""

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
    "UltrasoundImageStorageRetired",
    "UltrasoundMultiFrameImageStorageRetired",
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

# Image classes that are retired: what old devices send has to be kept, as all that is not analysed.
_RETIRED = (
    "1.2.840.10008.5.1.4.1.1.3",  # ultrasound multi-frame
    "1.2.840.10008.5.1.4.1.1.5",  # nuclear medicine
    "1.2.840.10008.5.1.4.1.1.6",  # ultrasound
    "1.2.840.10008.5.1.4.1.1.12.3",  # X-ray angiographic bi-plane
    "1.2.840.10008.5.1.4.1.1.77.1",  # VL, trial
    "1.2.840.10008.5.1.4.1.1.77.2",  # VL multi-frame, trial
)


def storage_classes(which: Literal["all", "breast"]) -> list[UID]:
    """SOP Class UIDs, sorted."""
    found = [
        UID(context.abstract_syntax)
        for context in AllStoragePresentationContexts
        if context.abstract_syntax is not None
    ]
    found += map(UID, _RETIRED)
    return sorted(uid for uid in found if which == "all" or uid.keyword in _BREAST)
