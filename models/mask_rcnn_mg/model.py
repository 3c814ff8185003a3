"""The mammography Mask R-CNN as a worker sees it: masses in one mammogram."""

from __future__ import annotations

from models.contract import Model
from models.mask_rcnn.model import MaskRCNNModel
from models.mask_rcnn_mg.preprocess import preprocess
from models.mask_rcnn_mg.spec import SPEC

MODEL: Model = MaskRCNNModel(SPEC, preprocess)
