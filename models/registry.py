"""Every model that a worker can run, by the name under which Triton serves it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from models.contract import Model
from models.mask_rcnn_mg.model import MODEL as MAMMOGRAM_MASK_RCNN
from models.mask_rcnn_us.model import MODEL as ULTRASOUND_MASK_RCNN
from models.mtu_net.model import MTUNetModel
from models.resnet50.model import ResNet50Model

_ALL: tuple[Model, ...] = (
    MAMMOGRAM_MASK_RCNN,
    ULTRASOUND_MASK_RCNN,
    MTUNetModel(),
    ResNet50Model(),
)

MODELS: Mapping[str, Model] = MappingProxyType({model.spec.name: model for model in _ALL})


class UnknownModelError(LookupError):
    """No model has this name; the text lists those that exist."""


def get_model(name: str) -> Model:
    """The model that Triton serves as `name`. Raises UnknownModelError."""
    try:
        return MODELS[name]
    except KeyError:
        known = ", ".join(sorted(MODELS))
        raise UnknownModelError(f"there is no model {name}; known are {known}") from None
