"""Which storage presentation contexts a C-GET asks for, by modality.

With C-GET the archive stores on our association, so every SOP class that may come must be proposed
beforehand, and an association has 128 presentation contexts (PS3.8 9.3.2.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydicom.uid import (
    JPEG2000,
    BreastProjectionXRayImageStorageForPresentation,
    BreastProjectionXRayImageStorageForProcessing,
    BreastTomosynthesisImageStorage,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    EnhancedUSVolumeStorage,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    MRImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
)

from node.calling import UNCOMPRESSED, Context

MOST_CONTEXTS = 126  # 128 less those of C-FIND and C-GET

STORAGE_BY_MODALITY: dict[str, tuple[str, ...]] = {
    "MG": (
        DigitalMammographyXRayImageStorageForPresentation,
        DigitalMammographyXRayImageStorageForProcessing,
        BreastTomosynthesisImageStorage,
        BreastProjectionXRayImageStorageForPresentation,
        BreastProjectionXRayImageStorageForProcessing,
        SecondaryCaptureImageStorage,
    ),
    "US": (
        UltrasoundImageStorage,
        UltrasoundMultiFrameImageStorage,
        EnhancedUSVolumeStorage,
        SecondaryCaptureImageStorage,
    ),
    "MR": (MRImageStorage, EnhancedMRImageStorage, SecondaryCaptureImageStorage),
    "CT": (CTImageStorage, EnhancedCTImageStorage, SecondaryCaptureImageStorage),
    "CR": (ComputedRadiographyImageStorage,),
    "DX": (DigitalXRayImageStorageForPresentation, DigitalXRayImageStorageForProcessing),
}

# Compressed syntaxes get a context each, so that an archive can send an object as it keeps it
# instead of decoding it.
_COMPRESSED = (
    JPEGLosslessSV1,
    JPEG2000Lossless,
    JPEG2000,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    RLELossless,
)


def storage_contexts(modalities: Iterable[str]) -> list[Context]:
    """(SOP class, transfer syntaxes) of every context that these modalities need."""
    classes = dict.fromkeys(uid for name in modalities for uid in STORAGE_BY_MODALITY[name])
    syntaxes: list[Sequence[str]] = [UNCOMPRESSED, *((syntax,) for syntax in _COMPRESSED)]
    return [(uid, offered) for uid in classes for offered in syntaxes]
