"""From a finished object to its bytes: what stands in it several times is encoded once.

In: a data set as the encoders leave it. Out: a Part 10 file, byte for byte the one that
`Dataset.save_as` gives. Reports repeat a few hundred coded concepts and content items thousands of
times, and where the encoders put one and the same item in many places, its bytes are shared here.
pydicom writes every element and the file around them; sequences reach it encoded, as those of a
file that it has read and not looked into.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final

from pydicom.charset import convert_encodings
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import correct_ambiguous_vr_element, write_data_element
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import AMBIGUOUS_VR, VR

# PS3.5 7.5: tags of an item and of its end, and the length of one that goes on until its end.
_ITEM: Final = b"\xfe\xff\x00\xe0"
_ITEM_END: Final = b"\xfe\xff\x0d\xe0\x00\x00\x00\x00"
_UNDEFINED_LENGTH: Final = 0xFFFFFFFF
# pydicom copies a value before it writes it, unless it reads it from a stream.
_LARGE_BYTES: Final = 1 << 20


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
    encodings = convert_encodings(dataset.get("SpecificCharacterSet"))
    ready = Dataset(_Elements(encodings).of(dataset))
    ready.file_meta = dataset.file_meta
    ready.preamble = getattr(dataset, "preamble", None)
    # Else pydicom would decode the sequences again.
    ready.set_original_encoding(False, True, encodings)
    return ready


class _Elements:
    """What is written of one object. Items are known by identity: they live as long as it does."""

    def __init__(self, encodings: list[str]) -> None:
        self._encodings = encodings
        self._items: dict[int, bytes] = {}
        # The data set at hand and those around it, closest first.
        self._within: list[Dataset] = []

    def of(self, dataset: Dataset) -> dict[BaseTag, DataElement | RawDataElement]:
        """Elements in the order of their tags: sequences encoded, large values as streams."""
        self._within.insert(0, dataset)
        elements = {element.tag: self._encoded(element) for element in dataset}
        del self._within[0]
        return elements

    def _encoded(self, element: DataElement) -> DataElement | RawDataElement:
        if element.VR == VR.SQ:
            content = b"".join(map(self._item, element.value))
            length = _UNDEFINED_LENGTH if element.is_undefined_length else len(content)
            return RawDataElement(element.tag, VR.SQ, length, content, 0, False, True)
        if element.VR in AMBIGUOUS_VR:
            # "US or SS" and its like: other elements decide, of this data set or one around it.
            correct_ambiguous_vr_element(element, self._within[0], True, self._within)
        if isinstance(element.value, bytes) and len(element.value) > _LARGE_BYTES:
            return DataElement(element.tag, element.VR, BytesIO(element.value))
        return element

    def _item(self, item: Dataset) -> bytes:
        content = self._items.get(id(item))
        if content is None:
            content = self._items[id(item)] = self._encode(item)
        return content

    def _encode(self, item: Dataset) -> bytes:
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        for element in self.of(item).values():
            write_data_element(buffer, element, self._encodings)
        content = buffer.getvalue()
        if item.is_undefined_length_sequence_item:
            return b"".join((_ITEM, _UNDEFINED_LENGTH.to_bytes(4, "little"), content, _ITEM_END))
        return b"".join((_ITEM, len(content).to_bytes(4, "little"), content))
