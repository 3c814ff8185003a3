"""What a request may say of itself before its body is read."""

from __future__ import annotations

import pytest
from fastapi import HTTPException
from starlette.datastructures import Headers

from node.stow.media import check_head, is_dicom_part

_GOOD = {
    "content-type": 'multipart/related; type="application/dicom"; boundary="a b"',
    "content-length": "100",
}


def head(**changes: str | None) -> Headers:
    """A good head with some fields changed; None leaves one out."""
    fields = _GOOD | {name.replace("_", "-"): value for name, value in changes.items()}
    return Headers({name: value for name, value in fields.items() if value is not None})


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary="a b"', b"a b"),
        ("Multipart/Related;boundary=x;type=application/dicom", b"x"),
        ('multipart/related; TYPE="Application/DICOM"; BOUNDARY=x; start="<1>"', b"x"),
        ("multipart/related; boundary=--x", b"--x"),
    ],
)
def test_boundary(content_type: str, boundary: bytes) -> None:
    """Parameters come in any order and case, quoted or not."""
    assert check_head(head(content_type=content_type), 0) == boundary


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"content_type": None}, 415),
        ({"content_type": "application/dicom"}, 415),
        ({"content_type": "multipart/form-data; boundary=x"}, 415),
        ({"content_type": 'multipart/related; type="application/dicom+json"; boundary=x'}, 415),
        ({"content_type": 'multipart/related; type="application/dicom+xml"; boundary=x'}, 415),
        ({"content_type": 'multipart/related; type="application/dicom"'}, 400),
        ({"content_type": "multipart/related; boundary=" + "x" * 300}, 400),
        ({"content_encoding": "gzip"}, 415),
        ({"content_length": None}, 411),
        ({"content_length": "1001"}, 413),
        ({"accept": "application/dicom+xml"}, 406),
        ({"accept": "application/dicom+json;q=0, text/html"}, 406),
    ],
)
def test_refused_heads(changes: dict[str, str | None], status: int) -> None:
    """Each has the status of PS3.18 8.5 or RFC 9110 before a byte of the body is read."""
    with pytest.raises(HTTPException) as refused:
        check_head(head(**changes), 1000)
    assert refused.value.status_code == status


@pytest.mark.parametrize(
    "changes",
    [
        {"content_length": "1000"},
        {"content_length": None, "transfer_encoding": "chunked"},
        {"content_encoding": "identity"},
        {"accept": "*/*"},
        {"accept": "application/*;q=0.1"},
        {"accept": "application/dicom+xml, application/dicom+json;q=0.5"},
        {"accept": "application/json"},
    ],
)
def test_accepted_heads(changes: dict[str, str | None]) -> None:
    """What real clients say."""
    assert check_head(head(**changes), 1000) == b"a b"


def test_no_limit() -> None:
    """0 takes any length."""
    assert check_head(head(content_length=str(1 << 40)), 0)


def test_parts() -> None:
    """A part is a Part 10 file unless it says otherwise."""
    assert is_dicom_part({})
    assert is_dicom_part({"content-type": "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"})
    assert is_dicom_part(
        {"content-type": "Application/DICOM", "content-transfer-encoding": "Binary"}
    )
    assert not is_dicom_part({"content-type": "application/dicom+json"})
    assert not is_dicom_part({"content-type": "image/jpeg"})
    assert not is_dicom_part(
        {"content-type": "application/dicom", "content-transfer-encoding": "base64"}
    )
