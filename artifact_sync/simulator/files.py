"""The file store over ASGI: objects, for whoever holds a link."""

from __future__ import annotations

import asyncio
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from starlette.requests import Request

from artifact_sync.simulator import faults
from artifact_sync.simulator.links import LAPSED, LinkRefusal
from artifact_sync.simulator.reply import Reply, error_page, send_reply, spoilt
from artifact_sync.simulator.world import BUCKET, Seen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.types import Receive, Scope, Send

    from artifact_sync.domain.model import ArtifactKey
    from artifact_sync.simulator.content import StoredObject
    from artifact_sync.simulator.world import World

_RANGE = re.compile(r"bytes\s*=\s*(\d*)-(\d*)\s*", re.IGNORECASE)


class _Span(NamedTuple):
    """Bytes from ``start`` to before ``stop``; empty: the range cannot be satisfied."""

    start: int
    stop: int


def _wanted(headers: Mapping[str, str], size: int, validators: Mapping[str, str]) -> _Span | None:
    """The part that a request asks for; None: the whole.

    ``validators`` has ``etag`` and ``last-modified``. A range in another unit, of several parts or
    of no sense is ignored (RFC 9110, 14.2), and so is one whose ``If-Range`` does not hold (13.1.5:
    strong comparison, or exactly the same date).
    """
    match = _RANGE.fullmatch(headers.get("range", ""))
    condition = headers.get("if-range", "")
    holds = condition in ("", validators.get("etag"), validators.get("last-modified"))
    if match is None or not any(match.groups()) or not holds:
        return None
    first, last = match.groups()
    if not first:
        return _Span(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    stop = min(size, int(last) + 1) if last else size
    return _Span(int(first), max(stop, int(first))) if int(first) < size else _Span(size, size)


def _precondition_failed(headers: Mapping[str, str], etag: str) -> bool:
    """Whether ``If-Match`` names other versions only (RFC 9110, 13.1.1)."""
    named = headers.get("if-match", "")
    return bool(named) and named != "*" and etag not in [tag.strip() for tag in named.split(",")]


_WHOLE_ONLY = frozenset({"content-digest", "content-md5", "x-amz-checksum-sha256"})
_NO_SUCH_KEY = LinkRefusal(404, "NoSuchKey", "The specified key does not exist.")
_CODES: Mapping[int, str] = MappingProxyType(
    {
        400: "ExpiredToken",
        403: "AccessDenied",
        404: "NoSuchKey",
        429: "TooManyRequests",
        500: "InternalError",
        503: "SlowDown",
    }
)


class FilesOrigin:
    """ASGI application of the file store."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and count it before its body begins."""
        request = Request(scope)
        path = scope["raw_path"].decode("latin-1")
        stored = self._world.objects.get(path.removeprefix(BUCKET + "/"))
        reply = await self._reply(request, path, stored)
        wanted, name = request.headers.get("range", ""), stored.key.local_path if stored else ""
        seen = Seen("file", request.method, path, reply.status, wanted, name)
        self._world.requests.note(seen)
        await send_reply(reply, self._world.time(), receive, send)

    async def _reply(self, request: Request, path: str, stored: StoredObject | None) -> Reply:
        refusal = self._refusal(request, path)
        if refusal is not None or stored is None:
            return error_page(*(refusal or _NO_SUCH_KEY), path)
        struck = self._world.faults.striking(_subject(stored.key))
        refused = _refused_by_fault(struck, path)
        return spoilt(refused or await self._found(request, stored, struck), struck)

    def _refusal(self, request: Request, path: str) -> LinkRefusal | None:
        """Why a request is refused. Signed links are for GET only."""
        if request.method not in ("GET", "HEAD"):
            return LinkRefusal(405, "MethodNotAllowed", "The specified method is not allowed.")
        query = request.scope["query_string"].decode("latin-1")
        return self._world.signer.judge(request.method, path, query, self._world.time())

    async def _found(
        self, request: Request, stored: StoredObject, struck: Sequence[faults.AnyFault]
    ) -> Reply:
        files = self._world.scenario.files
        headers = await asyncio.to_thread(stored.headers, files)
        if _precondition_failed(request.headers, headers.get("etag", "")):
            return error_page(412, "PreconditionFailed", "A precondition does not hold.")
        size = stored.content.size
        span = _wanted(request.headers, size, headers)
        if span is None or any(isinstance(fault, faults.IgnoreRange) for fault in struck):
            return Reply(200, stored.content, headers, 0, size, rate=files.bandwidth)
        if span.start == span.stop:
            return _unsatisfiable(size)
        # without checksums of the whole's bytes (RFC 9530, 2)
        part = {name: value for name, value in headers.items() if name not in _WHOLE_ONLY}
        return Reply(206, stored.content, part, *span, rate=files.bandwidth)


def _subject(key: ArtifactKey) -> faults.Subject:
    repo = str(key.run_key.repo)
    return faults.Subject("file", "file", repo, key.run, key.cube, key.local_path)


def _refused_by_fault(struck: Sequence[faults.AnyFault], path: str) -> Reply | None:
    for fault in struck:
        if isinstance(fault, faults.Lapse):
            return error_page(*LAPSED, path)
        if isinstance(fault, faults.StatusFault):
            code = _CODES.get(fault.status, "InternalError")
            page = error_page(fault.status, code, "Please try again.", path)
            return page.with_headers(fault.headers())
    return None


def _unsatisfiable(size: int) -> Reply:
    page = error_page(416, "InvalidRange", "The requested range is not satisfiable")
    return page.with_headers({"content-range": f"bytes */{size}"})
