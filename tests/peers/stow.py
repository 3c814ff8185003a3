"""Senders of STOW-RS: bodies written by hand, whole or broken, and a socket that breaks off."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any

import httpx
from pydicom.dataset import FileDataset

BOUNDARY = "a-boundary-1"
CONTENT_TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
_HEAD = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
CLOSING = f"--{BOUNDARY}--\r\n".encode()


def part10(dataset: FileDataset) -> bytes:
    """The data set as a Part 10 file."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def parts(contents: Iterable[bytes]) -> Iterator[bytes]:
    """The body of a request, one part for each file; it is longer than memory where they are."""
    for content in contents:
        yield _HEAD
        yield content
        yield b"\r\n"
    yield CLOSING


def body(*contents: bytes) -> bytes:
    """The same, whole."""
    return b"".join(parts(contents))


def post(
    port: int, content: Any, study_uid: str = "", path: str = "/dicom-web/studies", **headers: str
) -> httpx.Response:
    """Store. Header fields are given as keywords: `content_type`, `accept`, ..."""
    fields = {"content-type": CONTENT_TYPE} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    url = f"http://127.0.0.1:{port}{path}" + (f"/{study_uid}" if study_uid else "")
    return httpx.post(url, content=content, headers=fields, timeout=60, trust_env=False)


def items(answer: httpx.Response, tag: str) -> list[dict[str, Any]]:
    """The items of a sequence of the response module, their values by tag."""
    found = answer.json().get(tag, {}).get("Value", [])
    return [
        {name: element.get("Value", [None])[0] for name, element in item.items()} for item in found
    ]


def stored(answer: httpx.Response) -> list[str]:
    """SOP Instance UIDs of the Referenced SOP Sequence."""
    return [item["00081155"] for item in items(answer, "00081199")]


def failed(answer: httpx.Response) -> dict[str, int]:
    """Failure Reason by SOP Instance UID, of the Failed SOP Sequence."""
    return {item["00081155"]: item["00081197"] for item in items(answer, "00081198")}


def others(answer: httpx.Response) -> list[int]:
    """Failure Reasons of the Other Failures Sequence."""
    return [item["00081197"] for item in items(answer, "0008119A")]


def volume(dataset: FileDataset, pixel_bytes: int) -> Iterator[bytes]:
    """The body of a request with one instance whose pixel data has this even length, of noise."""
    del dataset.PixelData
    yield _HEAD
    yield part10(dataset) + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, pixel_bytes)
    block = os.urandom(1 << 20)
    for begin in range(0, pixel_bytes, len(block)):
        yield block[: pixel_bytes - begin]
    yield b"\r\n" + CLOSING


def begun(port: int, content: bytes, length: int, token: str = "") -> socket.socket:
    """A connection on which a request of `length` bytes began with these."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    head = (
        "POST /dicom-web/studies HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {length}\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    )
    connection.sendall(head.encode() + content)
    return connection
