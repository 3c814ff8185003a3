"""An ultrasound image as an Ultrasound Image object (PS3.3 A.6), with its region calibrated."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UltrasoundImageStorage

from phantoms.headers import ImagePlace, breast_region, new_image, set_pixels
from phantoms.identity import StudyIdentity
from phantoms.truth import Phantom

CENTIMETRE = 3  # Physical Units, PS3.3 C.8.5.5.1.15


def ultrasound_object(phantom: Phantom, identity: StudyIdentity, place: ImagePlace) -> FileDataset:
    """Grey B-mode image of 8 bits."""
    dataset = new_image(identity, place, UltrasoundImageStorage, "US")
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "BREAST", "0001"]
    dataset.ImageLaterality = phantom.laterality
    dataset.AnatomicRegionSequence = [breast_region()]
    dataset.PatientOrientation = []
    dataset.UltrasoundColorDataPresent = 0
    dataset.TransducerType = "LINEAR"
    set_pixels(dataset, np.round(phantom.pixels * 255.0).astype(np.uint8), 8)
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.SequenceOfUltrasoundRegions = [_region(phantom)]
    return dataset


def _region(phantom: Phantom) -> Dataset:
    """The whole image as one 2D tissue region (US Region Calibration, C.8.5.5)."""
    rows, columns = phantom.pixels.shape
    region = Dataset()
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 0, 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = columns - 1, rows - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = CENTIMETRE
    region.PhysicalDeltaX = phantom.pixel_spacing_mm[1] / 10.0
    region.PhysicalDeltaY = phantom.pixel_spacing_mm[0] / 10.0
    region.ReferencePixelX0, region.ReferencePixelY0 = 0, 0
    region.RegionSpatialFormat = 1  # 2D
    region.RegionDataType = 1  # tissue
    region.RegionFlags = 0
    return region
