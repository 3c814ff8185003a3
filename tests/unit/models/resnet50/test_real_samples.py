from __future__ import annotations

import numpy as np

from models.contract import BreastImage
from models.datasets.cases import Case, Truth
from models.resnet50.real_samples import maker, split
from models.resnet50.spec import CLASSES, SPEC


def read() -> BreastImage:
    pixels = np.zeros((200, 150), np.float32)
    pixels[20:180, :100] = np.linspace(0.9, 0.2, 100, dtype=np.float32)
    return BreastImage(pixels, "MG")


CASES = [Case(str(n), "MG", Truth("benign", None), read, group=str(n // 4)) for n in range(400)]


def test_a_patient_stands_on_one_side() -> None:
    """No group is in both parts, every image is in one, and about a fifth is held out."""
    training, validation = split(CASES)
    groups = [{CASES[index].group for index in part} for part in (training, validation)]
    assert not groups[0] & groups[1]
    assert sorted(training + validation) == list(range(400))
    assert 0.1 < len(validation) / 400 < 0.3
    assert split(CASES) == (training, validation)


def test_samples_are_those_of_phantoms() -> None:
    """The same tensor and label as from a phantom."""
    tensor, label = maker(CASES)(0)
    assert tensor.shape == SPEC.inputs[0].shape
    assert label.tolist() == [CLASSES.index("benign")]
