"""Small forms of the pages: read whole, within a limit of bytes and time."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

# A name, a password of 128 characters and a way back, all percent-encoded.
_FORM_BYTES = 8192
_FORM_SECONDS = 10.0
_HTML_FORM = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a small form. Raises HTTPException 400, 408, 413 or 415."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != _HTML_FORM:
        raise HTTPException(415, "send the form of the page")
    body = b""
    try:
        async with asyncio.timeout(_FORM_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > _FORM_BYTES:
                    raise HTTPException(413, "this is more than the form can hold")
    except ClientDisconnect as error:
        raise HTTPException(400, "the form broke off") from error  # nobody reads it
    except TimeoutError as error:
        raise HTTPException(408, "the form did not arrive in time") from error
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=10)
    except ValueError as error:
        raise HTTPException(400, "this form cannot be read") from error
    return {key: values[0] for key, values in fields.items()}
