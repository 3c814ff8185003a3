"""What a STOW-RS request promises before its body comes (PS3.18 8.7 and 10.5.1).

In: header fields. Out: the boundary of the multipart body. One kind of body is taken, Part 10
files; metadata with bulk data apart is not, and answers are JSON only.
"""

from __future__ import annotations

from fastapi import HTTPException
from python_multipart.multipart import MAX_BOUNDARY_LENGTH, parse_options_header
from starlette.datastructures import Headers

DICOM_JSON = "application/dicom+json"

_PART_TYPE = b"application/dicom"
_ACCEPTABLE = (b"application/dicom+json", b"application/json", b"application/*", b"*/*")
# RFC 2045 6.1: these leave the bytes as they are.
_IDENTITY_ENCODINGS = ("", "binary", "8bit", "7bit")


def check_head(headers: Headers, max_request_bytes: int) -> bytes:
    """The boundary of the body. Raises HTTPException 400, 406, 411, 413 or 415."""
    _check_accept(headers.get("accept", ""))
    boundary = _boundary(headers.get("content-type", ""))
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise HTTPException(415, "the body must not be encoded")
    length = headers.get("content-length")
    if length is None and "transfer-encoding" not in headers:
        raise HTTPException(411, "neither Content-Length nor Transfer-Encoding")
    # The HTTP parser has seen that the length is a number.
    if max_request_bytes and length is not None and int(length) > max_request_bytes:
        raise HTTPException(413, f"larger than {max_request_bytes} bytes")
    return boundary


def is_dicom_part(headers: dict[str, str]) -> bool:
    """Whether a part is a Part 10 file, as it is; one without Content-Type is what was promised."""
    media_type, _ = parse_options_header(headers.get("content-type"))
    encoding = headers.get("content-transfer-encoding", "").strip().lower()
    return media_type in (b"", _PART_TYPE) and encoding in _IDENTITY_ENCODINGS


def _check_accept(accept: str) -> None:
    wanted = [parse_options_header(part) for part in accept.split(",") if part.strip()]
    if wanted and not any(
        media_type in _ACCEPTABLE and not _is_zero(parameters.get(b"q", b"1"))
        for media_type, parameters in wanted
    ):
        raise HTTPException(406, f"answers are {DICOM_JSON}")


def _is_zero(quality: bytes) -> bool:
    # RFC 9110 12.4.2: up to three decimals.
    return quality.strip() in (b"0", b"0.", b"0.0", b"0.00", b"0.000")


def _boundary(content_type: str) -> bytes:
    media_type, parameters = parse_options_header(content_type)
    # RFC 2387 wants `type`; a sender that leaves it out says the same with each part.
    part_type = parameters.get(b"type", _PART_TYPE).strip().lower()
    if media_type != b"multipart/related" or part_type != _PART_TYPE:
        raise HTTPException(415, 'needs multipart/related; type="application/dicom"')
    boundary = parameters.get(b"boundary", b"")
    if not 0 < len(boundary) <= MAX_BOUNDARY_LENGTH:
        raise HTTPException(400, "Content-Type has no usable boundary")
    return boundary
