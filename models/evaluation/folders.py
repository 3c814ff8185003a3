"""Moved to `models.datasets.folders`."""

from models.datasets.folders import UnknownLayoutError, read_folder
from models.datasets.pictures import read_picture

__all__ = ["UnknownLayoutError", "read_folder", "read_picture"]
