"""Pictures are readable PNGs, the same for the same input, and say what they are for."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.contract import BreastImage, FindingKind
from tests.results import disc, finding
from workers.pictures.png import contact_sheet, overlay_picture

MASS_COLOUR = (255, 176, 0)


def image(rows: int = 600, columns: int = 450, grey: float = 0.4) -> BreastImage:
    return BreastImage(np.full((rows, columns), grey, np.float32), "MG", "L", "CC")


def opened(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"))


def close_to(pixels: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    distance = np.abs(pixels.astype(int) - colour).max(axis=2)
    return np.asarray(distance < 24)


def test_the_contour_lies_on_the_edge_of_the_mask() -> None:
    """Coloured pixels ring the disc at its radius, in picture coordinates."""
    mask = disc(100)
    picture = opened(overlay_picture(image(), [finding(mask, (200, 150))]))
    scale = 2.0  # 600 rows enlarge to 1200, the most that an image is enlarged
    rows, columns = np.nonzero(close_to(picture[:1200], MASS_COLOUR))
    radius = np.hypot(rows + 0.5 - 250 * scale, columns + 0.5 - 200 * scale)
    ring = radius[radius < 120]
    assert ring.size > 600
    assert np.abs(ring - 50 * scale).max() < 4


def test_large_images_shrink_and_small_ones_grow() -> None:
    """The longest side of the image is at most 1400 px and at most doubled."""
    assert opened(overlay_picture(image(2800, 2000), [])).shape[:2] == (1476, 1000)
    assert opened(overlay_picture(image(300, 500), [])).shape[:2] == (676, 1000)


@pytest.mark.parametrize("shape", [(1, 1), (4000, 3), (3, 4000)])
def test_odd_shapes_still_make_a_picture(shape: tuple[int, int]) -> None:
    """No image is too thin for its footer."""
    assert opened(overlay_picture(image(*shape), [])).shape[1] >= 758


def test_the_same_input_gives_the_same_bytes() -> None:
    """Pictures can be written again without changing."""
    findings = [finding(), finding(kind=FindingKind.CALCIFICATION_CLUSTER, score=0.5, number=2)]
    assert overlay_picture(image(), findings) == overlay_picture(image(), findings)


def test_every_kind_has_its_own_colour_and_legend() -> None:
    """Adding a finding of another kind changes footer and image."""
    none = opened(overlay_picture(image(), []))
    seen = []
    for kind in FindingKind:
        picture = opened(overlay_picture(image(), [finding(kind=kind)]))
        assert (picture[1200:] != none[1200:]).any()
        colours, counts = np.unique(picture[1200:].reshape(-1, 3), axis=0, return_counts=True)
        bright = [
            tuple(c) for c, n in zip(colours, counts, strict=True) if n > 100 and np.ptp(c) > 90
        ]
        seen.append(bright[0])
    assert len(set(seen)) == len(FindingKind)


def test_a_tiny_finding_is_framed() -> None:
    """Three pixels of calcification are visible in a full-size mammogram."""
    tiny = finding(np.ones((3, 3), bool), (1000, 1000), kind=FindingKind.CALCIFICATION_CLUSTER)
    plain = opened(overlay_picture(image(4000, 3000), []))
    marked = opened(overlay_picture(image(4000, 3000), [tiny]))
    area = (marked[330:371, 330:371] != plain[330:371, 330:371]).any(axis=2)
    assert area.sum() > 60


def test_crowded_labels_stay_inside() -> None:
    """Thirty findings in one corner draw without leaving the picture."""
    crowd = [
        finding(disc(12), (5 + 3 * n, 5 + 2 * n), number=n + 1, score=1 - n / 40) for n in range(30)
    ]
    assert opened(overlay_picture(image(), crowd)).shape == (1276, 900, 3)


def test_the_sheet_holds_every_picture() -> None:
    """Four pictures make two rows of two; three leave one place black."""
    pictures = [overlay_picture(image(grey=grey), []) for grey in (0.2, 0.4, 0.6, 0.8)]
    four, three = opened(contact_sheet(pictures)), opened(contact_sheet(pictures[:3]))
    assert four.shape == three.shape == (2 * 1276 + 60, 2 * 900 + 60, 3)
    assert four[-700, -400].min() > 180
    assert three[-700, -400].max() == 0


def test_an_empty_sheet_is_an_error() -> None:
    """There is no picture of nothing."""
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])
