"""Moved to `models.datasets.cases`."""

from models.datasets.cases import Case, Label, Lesion, Truth

__all__ = ["Case", "Label", "Lesion", "Truth"]
