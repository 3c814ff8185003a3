"""From a finished object to its bytes: what stands in it several times is encoded once.

In: a data set as the encoders leave it. Out: a Part 10 file, byte for byte the one that
`Dataset.save_as` gives. A report repeats a few hundred coded concepts, content items and values
thousands of times; where the encoders put one and the same item in many places, its bytes are
shared here. pydicom writes the elements and the file around them; sequences reach it encoded, as
those of a file that it has read and not looked into.
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Final

from pydicom.charset import convert_encodings
from pydicom.config import settings
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import correct_ambiguous_vr_element, write_data_element
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import AMBIGUOUS_VR, VR

# PS3.5 7.1.2 and 7.5: tag, VR, reserved, length of a sequence; tag, length of an item; their ends.
_SEQUENCE: Final = struct.Struct("<HH2s2xI")
_ITEM: Final = struct.Struct("<4sI")
_ITEM_TAG: Final = b"\xfe\xff\x00\xe0"
_ITEM_END: Final = b"\xfe\xff\x0d\xe0\x00\x00\x00\x00"
_SEQUENCE_END: Final = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
_UNDEFINED_LENGTH: Final = 0xFFFFFFFF
_CHARACTER_SET: Final = Tag("SpecificCharacterSet")
# Types of values that are the same if they are equal, and then have the same bytes.
_REPEATED: Final = (str, int, UID)
# pydicom copies a value before it writes it, unless it reads it from a stream; and then in one
# piece, because the file in memory grows with every piece, and may be copied each time.
_LARGE_BYTES: Final = 1 << 20
settings.buffered_read_size = 1 << 30


def part10(dataset: Dataset) -> bytes:
    """The object as a Part 10 file."""
    buffer = BytesIO()
    ready = dataset
    if dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian:
        ready = _with_encoded_sequences(dataset)
    ready.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _with_encoded_sequences(dataset: Dataset) -> Dataset:
    """The same object for writing alone; `dataset` itself keeps its sequences."""
    elements = _Encoder(dataset, []).root()
    ready = Dataset({element.tag: element for element in elements})
    ready.file_meta = dataset.file_meta
    ready.preamble = getattr(dataset, "preamble", None)
    # Else pydicom would decode the sequences again.
    ready.set_original_encoding(False, True, convert_encodings(dataset.get("SpecificCharacterSet")))
    return ready


class _Encoder:
    """Encodes one object. Items are known by identity: they live as long as the object.

    `within`: the data sets around `dataset`, closest first.
    """

    def __init__(self, dataset: Dataset, within: list[Dataset]) -> None:
        self._dataset = dataset
        self._character_set = dataset.get("SpecificCharacterSet")
        self._items: dict[int, bytes] = {}
        self._elements: dict[tuple[int, str, object], bytes] = {}
        # The data set at hand and those around it, closest first.
        self._within = list(within)

    def root(self) -> list[DataElement | RawDataElement]:
        """The elements of the object: sequences encoded, large values as streams."""
        self._within.insert(0, self._dataset)
        return [self._for_pydicom(element) for element in self._dataset]

    def _for_pydicom(self, element: DataElement) -> DataElement | RawDataElement:
        self._decide_vr(element)
        if element.VR == VR.SQ:
            content = self._content(element)
            length = _UNDEFINED_LENGTH if element.is_undefined_length else len(content)
            return RawDataElement(element.tag, VR.SQ, length, content, 0, False, True)
        if isinstance(element.value, bytes) and len(element.value) > _LARGE_BYTES:
            return DataElement(element.tag, element.VR, BytesIO(element.value))
        return element

    def _decide_vr(self, element: DataElement) -> None:
        """ "US or SS" and its like: other elements decide, of this data set or one around it."""
        if element.VR in AMBIGUOUS_VR:
            correct_ambiguous_vr_element(element, self._within[0], True, self._within)

    def _content(self, sequence: DataElement) -> bytes:
        return b"".join(map(self._item, sequence.value))

    def _item(self, item: Dataset) -> bytes:
        content = self._items.get(id(item))
        if content is None:
            # An item may have a character set of its own (PS3.3 C.12.1.1.2).
            encoder = _Encoder(item, self._within) if _CHARACTER_SET in item else self
            content = self._items[id(item)] = encoder._encoded_item(item)
        return content

    def _encoded_item(self, item: Dataset) -> bytes:
        self._within.insert(0, item)
        # Group lengths are retired (PS3.5 7.2); pydicom leaves them out too.
        content = b"".join(self._element(each) for each in item if each.tag.element != 0)
        del self._within[0]
        if item.is_undefined_length_sequence_item:
            return b"".join((_ITEM.pack(_ITEM_TAG, _UNDEFINED_LENGTH), content, _ITEM_END))
        return _ITEM.pack(_ITEM_TAG, len(content)) + content

    def _element(self, element: DataElement) -> bytes:
        self._decide_vr(element)
        if element.VR == VR.SQ:
            return self._encoded_sequence(element)
        value = element.value
        if type(value) not in _REPEATED:
            return self._encoded_element(element)
        key = (element.tag, element.VR, value)
        content = self._elements.get(key)
        if content is None:
            content = self._elements[key] = self._encoded_element(element)
        return content

    def _encoded_sequence(self, element: DataElement) -> bytes:
        content, end = self._content(element), b""
        length = len(content)
        if element.is_undefined_length:
            length, end = _UNDEFINED_LENGTH, _SEQUENCE_END
        head = _SEQUENCE.pack(element.tag.group, element.tag.element, b"SQ", length)
        return b"".join((head, content, end))

    def _encoded_element(self, element: DataElement) -> bytes:
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_data_element(buffer, element, self._character_set)
        return buffer.getvalue()
