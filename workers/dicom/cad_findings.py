"""The findings of the Mammography CAD report (PS3.16 TID 4003, 4006, 4009 to 4011, 4021).

In: a finding, the algorithm that made it, the place of its image in the Image Library. Out: one
Individual Impression/Recommendation per finding. What must hold: coordinates are those of the
stored finding; sizes stand there only in mm; a score is certainty, never probability of cancer.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from highdicom.sr import ContentItem
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dictionary
from pydicom.sr.coding import Code

from models.contract import FindingKind
from workers.dicom import cad_codes, codes
from workers.dicom.cad_algorithms import Algorithm, image_identifier
from workers.dicom.content_items import (
    CONCEPT_MODIFIER,
    CONTAINS,
    INFERRED_FROM,
    OBSERVATION_CONTEXT,
    PROPERTIES,
    SELECTED_FROM,
    by_reference,
    code,
    container,
    coordinates,
    number,
    text,
    uid,
)
from workers.dicom.graphic_data import closed
from workers.dicom.measurement import finding_name
from workers.dicom.numbers import rounded
from workers.findings import Finding

_DCM = dictionary.DCM


def impression(
    found: Finding, algorithm: Algorithm, image_number: int, presented_from: float
) -> ContentItem:
    """TID 4003 with one TID 4006.

    `presented_from`: the score from which a workstation is expected to show the finding.
    """
    intent = rendering_intent(found, presented_from)
    return container(
        INFERRED_FROM,
        cad_codes.INDIVIDUAL_IMPRESSION,
        code(CONCEPT_MODIFIER, _DCM.RenderingIntent, intent),
        _single_image_finding(found, algorithm, image_number, intent),
    )


def rendering_intent(found: Finding, presented_from: float) -> Code:
    """CID 6034: required at the operating point and above, optional below."""
    if found.score >= presented_from:
        return cad_codes.PRESENTATION_REQUIRED
    return cad_codes.PRESENTATION_OPTIONAL


def _single_image_finding(
    found: Finding, algorithm: Algorithm, image_number: int, intent: Code
) -> ContentItem:
    """TID 4006, in the order of its rows."""
    return code(
        CONTAINS,
        _DCM.SingleImageFinding,
        cad_codes.SINGLE_IMAGE_FINDING[found.kind],
        code(CONCEPT_MODIFIER, _DCM.RenderingIntent, intent),
        text(OBSERVATION_CONTEXT, _DCM.TrackingIdentifier, finding_name(found)),
        uid(OBSERVATION_CONTEXT, _DCM.TrackingUniqueIdentifier, found.tracking_uid),
        *algorithm.identification(),
        number(PROPERTIES, codes.CERTAINTY, round(100 * found.score, 2), codes.PERCENT),
        *_geometry(found, image_number),
        *_description(found),
        *_calculated(found),
    )


def _geometry(found: Finding, image_number: int) -> list[ContentItem]:
    """TID 4021: centre, and the closed outline that is also in the other results."""
    # The image is named by its place in the Image Library.
    selected_from = by_reference(SELECTED_FROM, image_identifier(image_number))
    outline = closed(found.contour_px)
    return [
        coordinates(PROPERTIES, _DCM.Center, "POINT", np.array([centre_px(found)]), selected_from),
        coordinates(PROPERTIES, _DCM.Outline, "POLYLINE", outline, selected_from),
    ]


def centre_px(found: Finding) -> tuple[float, float]:
    """A point (column, row) of the finding's largest part: its centroid.

    Where a bent part does not cover its centroid, the nearest pixel that it covers: a mark beside
    an artery would point at nothing. Coordinates as PS3.3 C.18.6.
    """
    part = _largest_part(found)
    moments = cv2.moments(part, binaryImage=True)
    column, row = moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
    if not part[round(row), round(column)]:
        covered = cv2.findNonZero(part)[:, 0]
        nearest = int(np.argmin(np.hypot(covered[:, 1] - row, covered[:, 0] - column)))
        column, row = (float(value) for value in covered[nearest])
    # Centroids count from the centre of the first pixel, DICOM from its outer corner.
    return found.offset_px[1] + column + 0.5, found.offset_px[0] + row + 0.5


def _largest_part(found: Finding) -> NDArray[np.uint8]:
    """The mask without its smaller parts."""
    mask = found.mask.astype(np.uint8)
    if len(found.outlines_px) == 1:
        return mask
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return np.asarray(labels == largest, dtype=np.uint8)


def _description(found: Finding) -> Iterator[Dataset]:
    """TID 4009 for a calcified artery, else sizes: TID 4010 and 4011 with TID 1400 and 1401."""
    if found.kind is FindingKind.ARTERIAL_CALCIFICATION:
        yield code(PROPERTIES, _DCM.CalcificationType, cad_codes.VASCULAR)
        return
    for name, value, unit in (
        (codes.LONG_AXIS, found.long_axis_mm, codes.MILLIMETER),
        (codes.SHORT_AXIS, found.short_axis_mm, codes.MILLIMETER),
        (codes.AREA, found.area_mm2, codes.SQUARE_MILLIMETER),
    ):
        if value is not None:
            yield number(PROPERTIES, name, rounded(value), unit)


def _calculated(found: Finding) -> Iterator[Dataset]:
    """TID 4006 row 22: how much of the artery's picture is calcified (CID 6142)."""
    if found.kind is FindingKind.ARTERIAL_CALCIFICATION and found.area_mm2 is not None:
        method = code(CONCEPT_MODIFIER, _DCM.Derivation, _DCM.TwoDimensionalMethod)
        area, unit = codes.AREA_OF_VASCULAR_CALCIFICATION, codes.SQUARE_MILLIMETER
        yield number(PROPERTIES, area, rounded(found.area_mm2), unit, method)
