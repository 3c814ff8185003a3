from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import onnx
import pytest

from models.datasets.folders import read_folder, read_layout
from models.datasets.tables import DataSetError
from models.datasets.tfrecords import masked_crc, read_features, records

SIDE = 20


def varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def field(number: int, data: bytes) -> bytes:
    """A length-delimited field of the protobuf wire format."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def example(label: int, image: bytes) -> bytes:
    """tf.train.Example by hand: features > map entry (key, feature) > list > values."""
    features = {
        "label": field(3, field(1, varint(label))),
        "label_normal": field(3, field(1, varint(int(label > 0)))),
        "image": field(1, field(1, image)),
    }
    entries = [field(1, field(1, k.encode()) + field(2, v)) for k, v in features.items()]
    return field(1, b"".join(entries))


def framed(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    sums = (struct.pack("<I", masked_crc(part)) for part in (length, data))
    return length + next(sums) + data + next(sums)


def write_set(path: Path, labels: list[int]) -> list[bytes]:
    images = [bytes(np.full(SIDE * SIDE, 10 * n + 5, np.uint8)) for n in range(len(labels))]
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [framed(example(*pair)) for pair in zip(labels, images, strict=True)]
    path.write_bytes(b"".join(frames))
    return images


def test_the_checksum_is_that_of_the_format() -> None:
    """CRC-32C of nine digits is 0xE3069283 (RFC 3720); the mask is the format's."""
    crc = 0xE3069283
    expected = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert masked_crc(b"123456789") == expected


def test_patches_with_labels(tmp_path: Path) -> None:
    """Each record is a case; only patches without finding have known lesions: none."""
    images = write_set(tmp_path / "training10_0" / "training10_0.tfrecords", [0, 1, 4])
    write_set(tmp_path / "test10.tfrecords", [2])
    layout, cases = read_layout(tmp_path)
    assert layout == "ddsm"
    train = [case for case in cases if case.fold == "train"]
    assert [case.truth.label for case in train] == ["normal", "benign", "malignant"]
    assert [case.truth.lesions for case in train] == [(), None, None]
    assert [case.fold for case in cases].count("test") == 1
    pixels = train[2].read().pixels
    assert pixels.shape == (SIDE, SIDE)
    assert pixels[0, 0] == pytest.approx(images[2][0] / 255)


def test_floats_and_several_values(tmp_path: Path) -> None:
    """Packed integers and floats come as lists."""
    numbers = field(3, field(1, varint(7) + varint(300)))
    reals = field(2, field(1, struct.pack("<2f", 0.5, -2.0)))
    entries = [
        field(1, field(1, name) + field(2, value))
        for name, value in ((b"numbers", numbers), (b"reals", reals), (b"none", b""))
    ]
    path = tmp_path / "a.tfrecords"
    path.write_bytes(framed(field(1, b"".join(entries))))
    (record,) = records(path)
    assert read_features(record) == {"numbers": [7, 300], "reals": [0.5, -2.0], "none": []}


def test_damage_is_told(tmp_path: Path) -> None:
    """A flipped bit, a cut end, another file: never an image."""
    path = tmp_path / "a.tfrecords"
    write_set(path, [1])
    whole = path.read_bytes()
    (record,) = records(path)
    path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    with pytest.raises(DataSetError, match="is damaged"):
        read_features(record)
    path.write_bytes(whole[:-2])
    with pytest.raises(DataSetError, match="not whole"):
        list(records(path))
    path.write_bytes(onnx.ModelProto(producer_name="something else").SerializeToString() * 3)
    with pytest.raises(DataSetError, match="no TFRecord file"):
        list(records(path))


def test_arrays_are_the_test_fold(tmp_path: Path) -> None:
    """Patches and labels of the set's test files; labels may lie one folder above."""
    (tmp_path / "test10_data").mkdir()
    patches = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((3, 9, 9, 1), np.uint8)
    np.save(tmp_path / "test10_data" / "test10_data.npy", patches)
    with pytest.raises(DataSetError, match=r"test10_labels\.npy.*is missing"):
        read_folder(tmp_path)
    np.save(tmp_path / "test10_labels.npy", np.array([0, 2, 4]))
    cases = read_folder(tmp_path)
    assert [case.truth.label for case in cases] == ["normal", "benign", "malignant"]
    assert {case.fold for case in cases} == {"test"}
    pixels = cases[2].read().pixels
    assert (pixels.shape, pixels[0, 0]) == ((9, 9), pytest.approx(2 / 255))
    np.save(tmp_path / "test10_labels.npy", np.array([0, 2]))
    with pytest.raises(DataSetError, match="2 labels for 3 patches"):
        read_folder(tmp_path)
