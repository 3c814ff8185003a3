"""The quick walk over a header says what pydicom says, or nothing."""

from __future__ import annotations

import random
from io import BytesIO

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from node.elements import Elements, PixelElement, Wanted, encoding_of, walk, walk_quickly
from node.errors import CannotUnderstandError
from tests.datasets import mammogram
from tests.peers.wire import encoded

EXPLICIT, IMPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
TAGS = {"SOPInstanceUID": 0x00080018, "PatientName": 0x00100010, "Views": 0x00540220}
WANTED = Wanted(TAGS, frozenset((0x00540220,)))


def quick(content: bytes, syntax: str, size_bytes: int | None = None) -> object:
    """What the quick walk finds, as values; None when it leaves that to pydicom."""
    size = len(content) if size_bytes is None else size_bytes
    found = walk_quickly(content, size, encoding_of(syntax), WANTED)
    return None if found is None else values(*found)


def slow(content: bytes, syntax: str) -> object:
    """What pydicom finds."""
    return values(*walk(BytesIO(content), len(content), encoding_of(syntax), WANTED))


def values(elements: Elements, pixels: PixelElement) -> object:
    """The comparable part."""
    # pydicom also gives the character set, wanted or not.
    return {tag: elements[tag] for tag in TAGS.values() if tag in elements}, pixels


def image() -> Dataset:
    """A mammogram without a view code sequence."""
    dataset = mammogram()
    if "ViewCodeSequence" in dataset:
        del dataset.ViewCodeSequence
    return dataset


def test_plain_headers() -> None:
    """Explicit and Implicit VR Little Endian: the same elements, the same end."""
    content = encoded(image())
    assert quick(content, EXPLICIT) == slow(content, EXPLICIT)
    assert quick(content, EXPLICIT) is not None


def test_the_head_suffices() -> None:
    """Pixel data may be cut off when the data set is as long as they say."""
    content = encoded(image())
    assert quick(content[:-1000], EXPLICIT, len(content)) == quick(content, EXPLICIT)
    with pytest.raises(CannotUnderstandError, match="truncated"):
        quick(content[:-1000], EXPLICIT)


@pytest.mark.parametrize("syntax", [BIG_ENDIAN, DEFLATED])
def test_other_encodings_are_pydicom_s(syntax: str) -> None:
    """Nothing is guessed."""
    assert quick(encoded(image()), syntax) is None


def test_sequences_that_are_wanted_are_given_as_they_are_encoded() -> None:
    """Those that are not are stepped over; one of unknown length is pydicom's."""
    dataset = image()
    dataset.AnatomicRegionSequence = Sequence([Dataset()])
    assert quick(encoded(dataset), EXPLICIT) is not None
    dataset.ViewCodeSequence = Sequence([Dataset()])
    found = walk_quickly(encoded(dataset), 1 << 20, encoding_of(EXPLICIT), WANTED)
    assert found is not None
    assert found[0][TAGS["Views"]] == b"\xfe\xff\x00\xe0\0\0\0\0"
    dataset["ViewCodeSequence"].is_undefined_length = True
    assert quick(encoded(dataset), EXPLICIT) is None


# Of a character set that nobody knows; the node has no ear for it.
@pytest.mark.filterwarnings("ignore:Unknown encoding")
def test_damage_is_pydicom_s() -> None:
    """On changed bytes the quick walk agrees with pydicom, or says nothing."""
    content, chosen = encoded(image()), random.Random(7)
    told = 0
    for _ in range(2000):
        damaged = bytearray(content)
        for _ in range(chosen.randint(1, 3)):
            damaged[chosen.randrange(600)] = chosen.randrange(256)
        try:
            found = quick(bytes(damaged), EXPLICIT)
        except CannotUnderstandError:
            with pytest.raises(CannotUnderstandError):
                slow(bytes(damaged), EXPLICIT)
            continue
        if found is not None:
            told += 1
            assert found == slow(bytes(damaged), EXPLICIT)
    assert told > 100
