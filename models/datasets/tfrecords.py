"""TFRecord files of tf.train.Example, without TensorFlow.

In: a file. Out: where its records lie, and their features. What must hold: a record whose checksum
is wrong is an error, not an image. Framing: length (u64, little endian), masked CRC-32C of the
length, data, masked CRC-32C of the data; the mask turns the sum right by 15 bits and adds a
constant.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message import DecodeError

from models.datasets.tables import DataSetError

Features = dict[str, list[bytes] | list[float] | list[int]]

_LENGTH = struct.Struct("<QI")
_SUM = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8


@dataclass(frozen=True, slots=True)
class Record:
    """A record's data lie at `offset`, `size` bytes."""

    path: Path
    offset: int
    size: int


def records(path: Path) -> Iterator[Record]:
    """Every record, without its data. Raises DataSetError for a damaged or truncated file."""
    end = path.stat().st_size
    with path.open("rb") as file:
        while head := file.read(_LENGTH.size):
            offset = file.tell()
            if len(head) < _LENGTH.size:
                raise DataSetError(f"{path} is truncated at byte {offset}")
            size, checksum = _LENGTH.unpack(head)
            if masked_crc(head[:8]) != checksum:
                raise DataSetError(f"{path} is no TFRecord file, or damaged before byte {offset}")
            if offset + size + _SUM.size > end:
                raise DataSetError(f"{path} is truncated: its last record is not whole")
            yield Record(path, offset, size)
            file.seek(offset + size + _SUM.size)


def read_features(record: Record) -> Features:
    """Features of the tf.train.Example. Raises DataSetError."""
    with record.path.open("rb") as file:
        file.seek(record.offset)
        data = file.read(record.size)
        (checksum,) = _SUM.unpack(file.read(_SUM.size))
    if masked_crc(data) != checksum:
        raise DataSetError(f"{record.path}: the record at byte {record.offset} is damaged")
    example = _EXAMPLE()
    try:
        example.ParseFromString(data)
    except DecodeError as error:
        raise DataSetError(f"{record.path}: no tf.train.Example at {record.offset}") from error
    return {entry.key: _values(entry.value) for entry in example.features.feature}


def masked_crc(data: bytes) -> int:
    """CRC-32C as TFRecord files store it."""
    crc = int(google_crc32c.value(data))
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def _values(feature: Any) -> list[bytes] | list[float] | list[int]:
    kind = feature.WhichOneof(_ONE_OF)
    return [] if kind is None else list(getattr(feature, kind).value)


# The published example.proto and feature.proto: name, number, type, repeated. A map field is, on
# the wire, a repeated message of key and value.
_MESSAGES: dict[str, tuple[tuple[str, int, int | str, bool], ...]] = {
    "BytesList": (("value", 1, FieldDescriptorProto.TYPE_BYTES, True),),
    "FloatList": (("value", 1, FieldDescriptorProto.TYPE_FLOAT, True),),
    "Int64List": (("value", 1, FieldDescriptorProto.TYPE_INT64, True),),
    "Feature": (
        ("bytes_list", 1, "BytesList", False),
        ("float_list", 2, "FloatList", False),
        ("int64_list", 3, "Int64List", False),
    ),
    "Entry": (
        ("key", 1, FieldDescriptorProto.TYPE_STRING, False),
        ("value", 2, "Feature", False),
    ),
    "Features": (("feature", 1, "Entry", True),),
    "Example": (("features", 1, "Features", False),),
}
_ONE_OF = "kind"  # of the three lists of a Feature
_PACKAGE = "sentinode.example"


def _message_class() -> Any:
    """tf.train.Example as a protobuf class, in a pool of its own."""
    file = FileDescriptorProto(name="example.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            described = message.field.add(name=field, number=number)
            described.label = _REPEATED if repeated else _OPTIONAL
            if isinstance(kind, int):
                described.type = kind
            else:
                described.type = FieldDescriptorProto.TYPE_MESSAGE
                described.type_name = f".{_PACKAGE}.{kind}"
            if name == "Feature":
                described.oneof_index = 0
        if name == "Feature":
            message.oneof_decl.add(name=_ONE_OF)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Example"))


_REPEATED, _OPTIONAL = FieldDescriptorProto.LABEL_REPEATED, FieldDescriptorProto.LABEL_OPTIONAL
_EXAMPLE = _message_class()
