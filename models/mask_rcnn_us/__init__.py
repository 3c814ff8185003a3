"""Mask R-CNN on breast ultrasound: masses. `MODEL` is what workers use; no torch."""

from models.mask_rcnn_us.model import MODEL

__all__ = ["MODEL"]
