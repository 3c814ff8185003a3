"""A presentation state repeats the image's own grey scale."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from tests.results import header
from workers.dicom.display import aspect_ratio, copy_grayscale


def _table(descriptor: list[int], values: list[int]) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", descriptor)
    item.add_new("LUTData", "OW", np.array(values, "<u2").tobytes())
    return item


def _state(source: Dataset, frame_number: int = 1) -> Dataset:
    state = Dataset()
    copy_grayscale(state, source, frame_number)
    return state


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        ({"PhotometricInterpretation": "MONOCHROME1"}, "INVERSE"),
        (
            {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
            "INVERSE",
        ),
        ({"PresentationLUTShape": "INVERSE"}, "INVERSE"),
        ({"PresentationLUTShape": "IDENTITY"}, "IDENTITY"),
        ({}, "IDENTITY"),
    ],
)
def test_polarity_becomes_the_presentation_lut_shape(changes: dict[str, str], shape: str) -> None:
    """Under a presentation state MONOCHROME1 alone would be forgotten."""
    assert _state(header(**changes)).PresentationLUTShape == shape


def test_what_the_image_has_not_is_not_invented() -> None:
    """No window, no rescale: none in the state."""
    state = _state(header())
    assert [element.keyword for element in state] == ["PresentationLUTShape"]


def test_the_first_window_is_kept_with_its_function() -> None:
    """One alternative, so that no viewer has to choose."""
    source = header(
        WindowCenter=[2000, 900], WindowWidth=[3000, 200], VOILUTFunction="SIGMOID", RescaleSlope=2
    )
    state = _state(source)
    item = state.SoftcopyVOILUTSequence[0]
    assert (item.WindowCenter, item.WindowWidth) == (2000, 3000)
    assert item.VOILUTFunction == "SIGMOID"
    assert (state.RescaleSlope, state.RescaleIntercept, state.RescaleType) == (2, 0, "US")


@pytest.mark.parametrize("width", [None, 0, -5, ""])
def test_a_window_without_width_is_none(width: int | str | None) -> None:
    """An unusable window stays behind."""
    source = header()
    source.WindowCenter = 100
    if width is not None:
        source.WindowWidth = width
    assert "SoftcopyVOILUTSequence" not in _state(source)


def test_a_table_wins_over_a_window() -> None:
    """As for the models, which see what the device drew by hand."""
    source = header(WindowCenter=100, WindowWidth=200)
    source.VOILUTSequence = [_table([4, 0, 12], [0, 10, 100, 4095]), _table([2, 0, 8], [0, 1])]
    source.ModalityLUTSequence = [_table([2, 0, 12], [5, 6])]
    state = _state(source)
    item = state.SoftcopyVOILUTSequence[0]
    assert "WindowCenter" not in item
    assert len(item.VOILUTSequence) == 1
    # Entries of 12 bits are stretched to 16, the only length but 8 that a state may have.
    assert item.VOILUTSequence[0].LUTDescriptor == [4, 0, 16]
    entries = np.frombuffer(item.VOILUTSequence[0].LUTData, "<u2")
    assert entries.tolist() == [0, 160, 1600, 65535]
    assert state.ModalityLUTSequence[0].LUTData == np.array([5, 6], "<u2").tobytes()
    assert "RescaleSlope" not in state


@pytest.mark.parametrize(("signed", "vr"), [(0, "US"), (1, "SS")])
def test_undecided_tables_are_decided_by_the_image(signed: int, vr: str) -> None:
    """The state has no Pixel Representation of its own to decide by."""
    source = header(PixelRepresentation=signed)
    item = _table([2, 0, 12], [0, 4095])
    item["LUTDescriptor"].VR, item["LUTData"].VR = "US or SS", "US or OW"
    source.VOILUTSequence = [item]
    copied = _state(source).SoftcopyVOILUTSequence[0].VOILUTSequence[0]
    decided = {copied[keyword].VR for keyword in ("LUTDescriptor", "LUTData")}
    assert decided == {vr, "OW"}
    assert item["LUTDescriptor"].VR == "US or SS", "the source is not touched"


def test_a_frame_has_its_own_window() -> None:
    """Functional groups of an enhanced image: those of the analysed frame."""
    source = header()
    source.PerFrameFunctionalGroupsSequence = [Dataset(), Dataset()]
    for frame, center in zip(source.PerFrameFunctionalGroupsSequence, (10, 20), strict=True):
        window = Dataset()
        window.WindowCenter, window.WindowWidth = center, 50
        frame.FrameVOILUTSequence = [window]
    assert _state(source, 2).SoftcopyVOILUTSequence[0].WindowCenter == 20


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [1, 1]),
        ({"PixelAspectRatio": ["4", "3"]}, [4, 3]),
        ({"ImagerPixelSpacing": [0.07, 0.07]}, [1, 1]),
        ({"ImagerPixelSpacing": [0.05, 0.1]}, [50, 100]),
        ({"PixelSpacing": [0, 0.1], "ImagerPixelSpacing": None}, [1, 1]),
        ({"PixelSpacing": [0.1, 10], "ImagerPixelSpacing": None}, [1, 1]),
    ],
)
def test_pixels_that_are_not_square_are_shown_so(
    changes: dict[str, list[float] | None], expected: list[int]
) -> None:
    """Height to width; a ratio that no detector has is not believed."""
    assert aspect_ratio(header(**changes)) == expected
