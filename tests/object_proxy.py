"""A proxy before an object store that does harm, and checks the sums of what passes.

No store at hand refuses a wrong checksum, so this does, as S3 would.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    Harm = Callable[["Asked"], str | None]

_ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>no</Message></Error>"
_RULE = (
    b"<LifecycleConfiguration><Rule><Status>Enabled</Status><AbortIncompleteMultipartUpload>"
    b"<DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>"
    b"</LifecycleConfiguration>"
)
_OF_STATUS = {
    "403": "AccessDenied",
    "409": "ConditionalRequestConflict",
    "412": "PreconditionFailed",
    "429": "SlowDown",
    "500": "InternalError",
    "503": "SlowDown",
}
_OF_CODE = {"ExpiredToken": 400, "PermanentRedirect": 301, "RequestTimeTooSkewed": 403}
_HOP = {"connection", "transfer-encoding", "content-length"}


@dataclass
class Asked:
    """A request on its way."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def is_listing(self) -> bool:
        return self.method == "GET" and "list-type=2" in self.path

    @property
    def sums_hold(self) -> bool:
        """Whether the body is what its headers say."""
        said = {
            "x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(self.body).digest()),
            "content-md5": base64.b64encode(hashlib.md5(self.body).digest()),  # noqa: S324
            "x-amz-content-sha256": hashlib.sha256(self.body).hexdigest().encode(),
        }
        return all(self.headers.get(name, it.decode()) == it.decode() for name, it in said.items())


@dataclass
class ObjectProxy:
    """``harm``: says of each request what becomes of it; None: nothing.

    A status, a code of ``_OF_CODE``, ``stall``, ``corrupt`` (the body on its way there), ``cut``
    (the answer), ``lost`` (the answer, after the store has done it) or ``old`` (a listing as it was
    at first).
    """

    upstream: str
    harm: Harm = lambda _: None
    asked: list[Asked] = field(default_factory=list)
    unsummed: list[str] = field(default_factory=list)
    """Writes of content whose request held no SHA-256."""
    done: list[tuple[str, str]] = field(default_factory=list)
    """What was done to which path."""
    listings: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)

    pace: float = 0.0
    """Bytes a second that come to the store, as far as a client can tell; 0: no limit."""

    silence: float = 120.0
    """Seconds for which a request that is stalled gets no answer."""

    def __post_init__(self) -> None:
        self.released = threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def __getattr__(self, name: str) -> object:
                if not name.startswith("do_"):
                    raise AttributeError(name)
                return lambda: proxy.answer(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request of a client."""
        size = int(handler.headers.get("content-length") or 0)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        asked = Asked(handler.command, handler.path, headers, handler.rfile.read(size))
        if self.pace:
            self.released.wait(size / self.pace)
        self.pass_on(asked, handler)

    def pass_on(self, asked: Asked, handler: BaseHTTPRequestHandler) -> None:
        harm = self.harm(asked)
        self.asked.append(asked)
        if harm is not None:
            self.done.append((harm, asked.path))
        if harm == "stall":
            self.released.wait(self.silence)
            handler.close_connection = True
            return
        if harm in _OF_STATUS:
            _send(handler, int(harm), {}, _ERROR.format(_OF_STATUS[harm]).encode())
            return
        if harm == "rule":
            _send(handler, 200, {}, _RULE)
            return
        if harm in _OF_CODE:
            _send(handler, _OF_CODE[harm], {}, _ERROR.format(harm).encode())
            return
        if harm == "corrupt" and asked.body:
            asked.body = bytes([asked.body[0] ^ 1]) + asked.body[1:]
        if not asked.sums_hold:
            _send(handler, 400, {}, _ERROR.format("BadDigest").encode())
            return
        writes = asked.method == "PUT" and "x-amz-copy-source" not in asked.headers
        if writes and "x-amz-checksum-sha256" not in asked.headers:
            self.unsummed.append(asked.path)
        status, headers, body = self._answered(asked, old=harm == "old")
        if harm in {"cut", "lost"}:
            _cut(handler, status, headers, body if harm == "cut" else None)
            return
        _send(handler, status, headers, body)

    def _answered(self, asked: Asked, *, old: bool) -> tuple[int, dict[str, str], bytes]:
        if old and asked.path in self.listings:
            return self.listings[asked.path]
        connection = HTTPConnection(urlsplit(self.upstream).netloc, timeout=60)
        try:
            connection.request(asked.method, asked.path, asked.body, asked.headers)
            answer = connection.getresponse()
            headers = {
                name: value for name, value in answer.getheaders() if name.lower() not in _HOP
            }
            if asked.method == "HEAD" and answer.headers["content-length"]:
                headers["Content-Length"] = answer.headers["content-length"]
            found = answer.status, headers, answer.read()
        finally:
            connection.close()
        if asked.is_listing:
            self.listings.setdefault(asked.path, found)
        return found


def _send(
    handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes
) -> None:
    try:
        handler.send_response_only(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if "Content-Length" not in headers:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)
    except OSError:
        handler.close_connection = True


def _cut(
    handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes | None
) -> None:
    """Break the answer off in its midst; without a body before its first byte."""
    handler.close_connection = True
    if body:
        half = body[: len(body) // 2]
        _send(handler, status, {**headers, "Content-Length": str(len(body))}, half)
