"""A mammogram as a Digital Mammography X-Ray Image object (PS3.3 A.26).

In: a `Phantom` of modality MG. Out: the For Presentation object (as displayed, with a VOI) or the
For Processing one (linear in exposure, no VOI) of the same exposure.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.sr.codedict import codes
from pydicom.uid import (
    UID,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
)
from pydicom.valuerep import DSfloat

from phantoms.headers import ImagePlace, breast_region, code_item, new_image, set_pixels
from phantoms.identity import StudyIdentity, derived_uid
from phantoms.truth import Phantom

Photometric = Literal["MONOCHROME1", "MONOCHROME2"]
VoiFunction = Literal["LINEAR", "SIGMOID"]

# Names of the two series in UIDs.
PRESENTATION_SERIES, PROCESSING_SERIES = "presentation", "processing"

PRESENTATION_BITS = 12
PROCESSING_BITS = 14

# The window that shows a For Presentation image as it is meant; the other two are harder and
# softer, as mammography systems offer them. It spans 410 to 3686 of 4095.
WINDOW_CENTERS = (2048, 2148, 1948)
WINDOW_WIDTHS = (3277, 2600, 3900)
SIGMOID_WIDTH = 1400

# Row direction, then column direction. Displayed with the chest wall on the outside of the pair:
# a right breast has it at the right, so its rows run towards posterior (PS3.3 C.7.6.1.1.1).
PATIENT_ORIENTATION = {
    ("R", "CC"): ["P", "L"],
    ("L", "CC"): ["A", "R"],
    ("R", "MLO"): ["P", "FL"],
    ("L", "MLO"): ["A", "FR"],
}


def presentation_object(
    phantom: Phantom,
    identity: StudyIdentity,
    place: ImagePlace,
    photometric: Photometric,
    voi: VoiFunction,
) -> FileDataset:
    """For Presentation: 12 bits, contrast settled, VOI that restores `phantom.pixels`."""
    sop_class_uid = DigitalMammographyXRayImageStorageForPresentation
    dataset = _new_mammogram(phantom, identity, place, sop_class_uid)
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.DerivationDescription = "Logarithm, rim compensation, detail enhancement, sigmoid"
    dataset.AcquisitionDeviceProcessingDescription = "PHANTOM"
    dataset.SourceImageSequence = [_source(identity, place)]
    stored = _presentation_values(phantom.pixels, voi)
    _set_photometric(dataset, stored, PRESENTATION_BITS, photometric)
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = -1 if photometric == "MONOCHROME2" else 1
    _set_voi(dataset, photometric, voi)
    return dataset


def processing_object(phantom: Phantom, identity: StudyIdentity, place: ImagePlace) -> FileDataset:
    """For Processing: 14 bits, linear in exposure, MONOCHROME1 so that dense tissue shows white.

    Raises ValueError when the phantom has no raw signal.
    """
    if phantom.raw is None:
        raise ValueError("this phantom has no raw detector signal")
    sop_class_uid = DigitalMammographyXRayImageStorageForProcessing
    dataset = _new_mammogram(phantom, identity, place, sop_class_uid)
    dataset.PresentationIntentType = "FOR PROCESSING"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    stored = np.round(phantom.raw * (2**PROCESSING_BITS - 1)).astype(np.uint16)
    set_pixels(dataset, stored, PROCESSING_BITS)
    dataset.PhotometricInterpretation = "MONOCHROME1"
    dataset.PresentationLUTShape = "INVERSE"
    dataset.PixelIntensityRelationship = "LIN"
    dataset.PixelIntensityRelationshipSign = 1
    return dataset


def _source(identity: StudyIdentity, place: ImagePlace) -> Dataset:
    """Reference to the For Processing object of the same exposure, whether it is sent or not."""
    source = Dataset()
    source.ReferencedSOPClassUID = DigitalMammographyXRayImageStorageForProcessing
    source.ReferencedSOPInstanceUID = identity.sop_instance_uid(PROCESSING_SERIES, place.image)
    source.PurposeOfReferenceCodeSequence = [
        code_item(codes.DCM.SourceImageForImageProcessingOperation)
    ]
    source.SpatialLocationsPreserved = "YES"
    return source


def _presentation_values(pixels: NDArray[np.float32], voi: VoiFunction) -> NDArray[np.uint16]:
    """Stored values that the first window maps back to `pixels` (PS3.3 C.11.2.1)."""
    if voi == "SIGMOID":
        clipped = np.clip(pixels.astype(np.float64), 0.004, 0.996)
        stored = WINDOW_CENTERS[0] + SIGMOID_WIDTH / 4.0 * np.log(clipped / (1.0 - clipped))
    else:
        width = WINDOW_WIDTHS[0] - 1
        stored = WINDOW_CENTERS[0] - 0.5 + (pixels.astype(np.float64) - 0.5) * width
    return np.asarray(np.round(stored), np.uint16)


def _set_photometric(
    dataset: Dataset, stored: NDArray[np.uint16], bits: int, photometric: Photometric
) -> None:
    """Store the values as they are, or turned over with the photometric interpretation."""
    inverted = photometric == "MONOCHROME1"
    set_pixels(dataset, (2**bits - 1 - stored) if inverted else stored, bits)
    dataset.PhotometricInterpretation = photometric
    dataset.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"


def _set_voi(dataset: Dataset, photometric: Photometric, voi: VoiFunction) -> None:
    """VOI LUT (C.11.2); the centres turn over with the stored values."""
    top = 2**PRESENTATION_BITS
    turned = photometric == "MONOCHROME1"
    centers = [top - center if turned else center for center in WINDOW_CENTERS]
    if voi == "SIGMOID":
        scale = SIGMOID_WIDTH / WINDOW_WIDTHS[0]
        widths = [round(width * scale) for width in WINDOW_WIDTHS]
    else:
        widths = list(WINDOW_WIDTHS)
    dataset.WindowCenter, dataset.WindowWidth = centers, widths
    dataset.WindowCenterWidthExplanation = ["NORMAL", "HARDER", "SOFTER"]
    dataset.VOILUTFunction = voi


def _new_mammogram(
    phantom: Phantom, identity: StudyIdentity, place: ImagePlace, sop_class_uid: UID
) -> FileDataset:
    """What both objects of one exposure have in common."""
    dataset = new_image(identity, place, sop_class_uid, "MG")
    dataset.AcquisitionUID = derived_uid("acquisition", identity.study_instance_uid, place.image)
    dataset.IrradiationEventUID = derived_uid("event", identity.study_instance_uid, place.image)
    _view(dataset, phantom)
    _detector(dataset, phantom)
    _exposure(dataset)
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.CalibrationImage = "NO"
    dataset.AcquisitionContextSequence = []
    return dataset


def _view(dataset: Dataset, phantom: Phantom) -> None:
    """DX Anatomy Imaged (C.8.11.2), DX Positioning (C.8.11.5), Mammography Image (C.8.11.7)."""
    assert phantom.view is not None
    code = (
        codes.CID4014.CranioCaudal
        if phantom.view == "CC"
        else codes.CID4014.MedioLateralObliqueProjection
    )
    view = code_item(code)
    view.ViewModifierCodeSequence = []
    dataset.ViewCodeSequence = [view]
    dataset.ImageLaterality = phantom.laterality
    dataset.PatientOrientation = PATIENT_ORIENTATION[phantom.laterality, phantom.view]
    dataset.AnatomicRegionSequence = [breast_region()]
    dataset.OrganExposed = "BREAST"
    dataset.BreastImplantPresent = "NO"
    dataset.PartialView = "NO"
    dataset.PositionerType = "MAMMOGRAPHIC"
    oblique = 45 if phantom.laterality == "R" else -45
    dataset.PositionerPrimaryAngle = 0 if phantom.view == "CC" else oblique
    dataset.PositionerSecondaryAngle = 0
    dataset.DistanceSourceToDetector = 660
    dataset.DistanceSourceToPatient = 660
    dataset.EstimatedRadiographicMagnificationFactor = 1
    dataset.BodyPartThickness = 55
    dataset.CompressionForce = 100


def _detector(dataset: Dataset, phantom: Phantom) -> None:
    """DX Detector (C.8.11.4)."""
    spacing = [DSfloat(value, auto_format=True) for value in phantom.pixel_spacing_mm]
    lengths_mm = np.multiply(phantom.pixels.shape, phantom.pixel_spacing_mm)
    size_mm = [round(float(length)) for length in lengths_mm]
    dataset.ImagerPixelSpacing = spacing
    dataset.DetectorType = "DIRECT"
    dataset.DetectorConfiguration = "AREA"
    dataset.DetectorDescription = "Simulated"
    dataset.DetectorID = "PHANTOM"
    dataset.DetectorElementPhysicalSize = spacing
    dataset.DetectorElementSpacing = spacing
    dataset.DetectorActiveShape = "RECTANGLE"
    dataset.DetectorActiveDimensions = size_mm
    dataset.FieldOfViewShape = "RECTANGLE"
    dataset.FieldOfViewDimensions = size_mm
    dataset.FieldOfViewOrigin = [0, 0]
    dataset.FieldOfViewRotation = "0"  # an enumerated value, not a number: "0.0" is refused
    dataset.FieldOfViewHorizontalFlip = "NO"
    dataset.DetectorTemperature = 25
    dataset.DetectorConditionsNominalFlag = "YES"


def _exposure(dataset: Dataset) -> None:
    """X-Ray Generation, Filtration, Grid and Acquisition Dose: typical values, nothing measured."""
    dataset.KVP = 29
    dataset.ExposureTime = 900
    dataset.XRayTubeCurrent = 100
    dataset.Exposure = 90
    dataset.ExposureInuAs = 90000
    dataset.ExposureControlMode = "AUTOMATIC"
    dataset.ExposureStatus = "NORMAL"
    dataset.AnodeTargetMaterial = "TUNGSTEN"
    dataset.FocalSpots = DSfloat(0.3)
    dataset.FilterType = "STRIP"
    dataset.FilterMaterial = "RHODIUM"
    dataset.Grid = ["FIXED", "PARALLEL"]
    dataset.OrganDose = DSfloat(0.0125)
    dataset.EntranceDoseInmGy = DSfloat(4.5)
