"""A strict STOW-RS origin server: one transfer syntax, refusals as a test says, and a token."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import pydicom
from pydicom.uid import ExplicitVRLittleEndian


@dataclass
class StrictWeb:
    """What it has seen, and how it answers."""

    port: int = 0
    token: str | None = None
    # What it says of another syntax than Explicit VR Little Endian: an HTTP status, and a Failure
    # Reason in the body or None.
    refusal: tuple[int, int | None] = (415, None)
    # What it says of every store instead, e.g. (409, 0xA700).
    always: tuple[int, int | None] | None = None
    # What it sends back to every store, byte for byte: status, header fields, body.
    raw: tuple[int, dict[str, str], bytes] | None = None
    # Transfer syntaxes of all requests, in their order.
    seen: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The DICOMweb root."""
        return f"http://127.0.0.1:{self.port}/dicom-web"

    def answer(self, body: bytes) -> tuple[int, dict[str, Any] | None]:
        """HTTP status and body of one request with one instance."""
        begin, end = body.index(b"\r\n\r\n") + 4, body.rindex(b"\r\n--")
        dataset = pydicom.dcmread(BytesIO(body[begin:end]), stop_before_pixels=True)
        syntax, uid = dataset.file_meta.TransferSyntaxUID, str(dataset.SOPInstanceUID)
        self.seen.append(str(syntax))
        said = self.always or (None if syntax == ExplicitVRLittleEndian else self.refusal)
        if said is None:
            self.kept.append(uid)
            return 200, {"00081199": {"vr": "SQ", "Value": [_item(uid)]}}
        status, reason = said
        if reason is None:
            return status, None
        failed = _item(uid) | {"00081197": {"vr": "US", "Value": [reason]}}
        return status, {"00081198": {"vr": "SQ", "Value": [failed]}}


@contextmanager
def running_web(web: StrictWeb) -> Iterator[StrictWeb]:
    """Run it on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if web.token and self.headers["Authorization"] != f"Bearer {web.token}":
                self._say(401, None)
            elif web.raw:
                self._send(*web.raw)
            else:
                self._say(*web.answer(body))

        def _say(self, status: int, content: dict[str, Any] | None) -> None:
            text = b"" if content is None else json.dumps(content).encode()
            self._send(status, {"Content-Type": "application/dicom+json"}, text)

        def _send(self, status: int, fields: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in fields.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        web.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield web
        server.shutdown()


def _item(uid: str) -> dict[str, Any]:
    return {"00081155": {"vr": "UI", "Value": [uid]}}
