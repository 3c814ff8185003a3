"""What is known of the patient and the exposure, as numbers (Ben Miled and Cherif 2025, III.A).

In: a `BreastImage`; age, view and density may each be missing. Out: float32 (8,), the order of
`spec.CLINICAL`. What must hold: nothing known gives zeros, which the network ignores exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.contract import BreastImage
from models.resnet50.spec import AGE_CENTRE_YEARS, AGE_SCALE_YEARS, CLINICAL

# Beyond these an age is a slip of the pen ("000Y", a year of birth), not an age.
MIN_AGE_YEARS, MAX_AGE_YEARS = 15.0, 110.0


def vector(image: BreastImage) -> NDArray[np.float32]:
    """Float32 (8,)."""
    known: dict[str, float] = {}
    age = image.patient_age_years
    if age is not None and MIN_AGE_YEARS <= age <= MAX_AGE_YEARS:
        known |= {"age_known": 1.0, "age": (age - AGE_CENTRE_YEARS) / AGE_SCALE_YEARS}
    known[(image.view or "").lower()] = 1.0
    known["density_" + (image.density or "").lower()] = 1.0
    return np.array([known.get(name, 0.0) for name in CLINICAL], np.float32)
