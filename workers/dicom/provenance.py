"""Where a result comes from: what every result object says in the same way, whatever its kind."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import highdicom
from pydicom.dataset import Dataset

from workers.dicom import equipment
from workers.dicom.equipment import ModelIdentity
from workers.dicom.inheritance import inherit, requested_procedure, stamp_creation


def state_origin(
    result: highdicom.SOPClass, source: Dataset, models: Collection[ModelIdentity], at: datetime
) -> None:
    """Write patient and study of `source`, the time `at` (aware), and the device into `result`."""
    inherit(result, source)
    stamp_creation(result, at)
    equipment.identify(result, source, models, at)


def refer_to_order(result: Dataset, source: Dataset) -> None:
    """Name the order of `source` in a report (PS3.3 C.17.2), if it names one."""
    request = requested_procedure(source)
    if request is not None:
        result.ReferencedRequestSequence = [request]
