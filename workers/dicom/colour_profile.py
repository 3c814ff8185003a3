"""The ICC profile of colour presentation states (PS3.3 C.11.15): sRGB, the same bytes each time."""

from __future__ import annotations

import struct
from datetime import datetime

from PIL import ImageCms

# ICC.1:2022, table 17: where the header holds device class and creation date.
_DEVICE_CLASS = slice(12, 16)
_CREATED = slice(24, 36)


def srgb_profile(at: datetime) -> bytes:
    """sRGB as an input device profile, which is what the module asks for, created at `at`."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_DEVICE_CLASS] = b"scnr"
    profile[_CREATED] = struct.pack(">6H", at.year, at.month, at.day, at.hour, at.minute, at.second)
    return bytes(profile)
