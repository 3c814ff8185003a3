"""The ultrasound Mask R-CNN as a worker sees it: masses in one ultrasound frame."""

from __future__ import annotations

from models.contract import Model
from models.mask_rcnn.model import MaskRCNNModel
from models.mask_rcnn_us.preprocess import preprocess
from models.mask_rcnn_us.spec import SPEC

MODEL: Model = MaskRCNNModel(SPEC, preprocess)
