"""Training samples from phantoms: what the network sees, and which pixel belongs to which mass.

In: a seed. Out: a sample of `labelled`, through the very preprocessing that serving uses. The
classes of a phantom's masses are withheld: drawn shapes are no lesson in malignancy. Numpy only:
these functions run in the processes of the sample pool.
Seeds: below 1 000 000 to train, from 5 000 000 to validate. Those from 9 000 000 belong to the
acceptance test and are refused here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models.contract import BreastImage, Model
from models.mask_rcnn.labelled import LESION, NORMAL, UNKNOWN, Sample, labelled
from models.mask_rcnn_mg import MODEL as MAMMOGRAPHY
from models.mask_rcnn_us import MODEL as ULTRASOUND
from phantoms.mammogram import mammogram
from phantoms.truth import LesionRequest, Phantom
from phantoms.ultrasound import ultrasound

FIRST_VALIDATION_SEED = 5_000_000
FIRST_ACCEPTANCE_SEED = 9_000_000

_WITH_MASS = 0.6  # of the training images; drawn as patients come, most would hold nothing to learn


def mammography_sample(seed: int) -> Sample:
    """One mammogram; training seeds hold a mass more often than patients do."""
    _refuse_acceptance(seed)
    rng = np.random.default_rng(seed)
    phantom = mammogram(
        seed,
        "L" if rng.random() < 0.5 else "R",
        "CC" if rng.random() < 0.5 else "MLO",
        lesions=_requests(seed, rng),
    )
    return sample_of(phantom, MAMMOGRAPHY)


def ultrasound_sample(seed: int) -> Sample:
    """One ultrasound frame."""
    _refuse_acceptance(seed)
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(384, 640))
    columns = int(rows * rng.uniform(0.9, 1.5))
    return sample_of(ultrasound(seed, (rows, columns)), ULTRASOUND)


SAMPLES: dict[str, Callable[[int], Sample]] = {
    MAMMOGRAPHY.spec.name: mammography_sample,
    ULTRASOUND.spec.name: ultrasound_sample,
}


def sample_of(phantom: Phantom, model: Model) -> Sample:
    """Preprocess a phantom and lay its masses on the same grid."""
    image = BreastImage(
        phantom.pixels,
        phantom.modality,
        phantom.laterality,
        phantom.view,
        phantom.pixel_spacing_mm,
    )
    masses = [
        (lesion.mask, lesion.offset_px) for lesion in phantom.lesions if lesion.kind == "mass"
    ]
    image_class = LESION if masses else UNKNOWN if phantom.lesions else NORMAL
    return labelled(image, masses, model, image_class)


def _requests(seed: int, rng: np.random.Generator) -> list[LesionRequest] | None:
    """Lesions to ask for; None leaves them to the patient."""
    if seed >= FIRST_VALIDATION_SEED or rng.random() >= _WITH_MASS:
        return None
    requests = [LesionRequest("mass") for _ in range(2 if rng.random() < 0.3 else 1)]
    if rng.random() < 0.3:
        requests.append(LesionRequest("calcification_cluster"))
    return requests


def _refuse_acceptance(seed: int) -> None:
    if seed >= FIRST_ACCEPTANCE_SEED:
        raise ValueError(f"seed {seed} belongs to the acceptance test")
