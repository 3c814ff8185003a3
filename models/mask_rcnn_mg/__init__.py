"""Mask R-CNN on pseudo-colour mammograms: masses. `MODEL` is what workers use; no torch."""

from models.mask_rcnn_mg.model import MODEL

__all__ = ["MODEL"]
