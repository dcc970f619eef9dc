"""A daemon's web on a real socket, with a daemon that only notes what it is asked."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from artifact_sync.domain.report import Report
from artifact_sync.domain.settings import WebSettings
from artifact_sync.domain.status import DaemonState
from artifact_sync.web.app import application
from artifact_sync.web.context import WebContext, WebLimits
from artifact_sync.web.metrics import Gauges, Metrics
from artifact_sync.web.server import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from artifact_sync.daemon.api import DaemonApi
    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.request import PassRequest
    from artifact_sync.web.deadlines import ConnectionDeadlines

SECRET = b"whsec-0123456789"
HOOK = "/hooks/sourcecraft"


_STATE = DaemonState(pid=1, version="1.2.3", since="2026-11-24T00:00:00+00:00")


@dataclass
class RecordingDaemon:
    """Says what it was told to say and writes down who was woken."""

    repos: frozenset[str] = frozenset({"acme/app"})
    state: DaemonState = _STATE
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    woken: list[tuple[str, str | None]] = field(default_factory=list)

    def live(self) -> DaemonState:
        return self.state

    async def status(self) -> dict[str, Any]:
        return {"repositories": [], "daemon": {"pid": self.state.pid}}

    async def unready(self) -> tuple[str, ...]:
        return self.reasons

    def missed(self) -> tuple[str, ...]:
        return self.notes

    def wake(self, repo: RepoName, run: str | None = None) -> bool:
        if str(repo) not in self.repos:
            return False
        self.woken.append((str(repo), run))
        return True

    async def carry_out(self, request: PassRequest, observer: Observer) -> Report:  # noqa: ARG002
        return Report()


@dataclass
class FakeClock:
    """Time that stands still until somebody turns it on."""

    seconds: float = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)


@dataclass
class Trial:
    """A running web, and a raw client for it."""

    origin: str
    daemon: Any
    clock: FakeClock
    metrics: Metrics
    secret_file: Path

    @property
    def port(self) -> int:
        return int(self.origin.rsplit(":", 1)[1])

    def counted(self, outcome: str) -> int:
        return self.metrics.counts["webhook_events"][(outcome,)]

    async def raw(self, request: bytes, *, eof: bool = False) -> Raw:
        """Send bytes as they are; how the server answers and closes is the caller's to read."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        if eof:
            writer.write_eof()
        return Raw(reader, writer)


@dataclass
class Raw:
    """A connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, header fields by lower-case names, and body of the next answer."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        length = int(headers.get("content-length", "0"))
        return int(first.split(" ")[1]), headers, await self.reader.readexactly(length)

    async def closed(self, within: float = 10) -> bytes:
        """What still comes before the server closes; times out when it does not."""
        try:
            return await asyncio.wait_for(self.reader.read(), within)
        except ConnectionError:
            return b""


def signed(body: bytes, secret: bytes = SECRET) -> str:
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


def run_complete(
    run: str | None = "7", *, event: str | None = "e1", org: str = "acme", repo: str = "app"
) -> bytes:
    return json.dumps(
        {
            "header": {"id": event, "type": "run.complete"},
            "repository": {"slug": repo, "organization": {"slug": org}},
            "run": {"slug": run},
        }
    ).encode()


def request(
    body: bytes, headers: Mapping[str, str] | None = None, *, signature: str | None = None
) -> bytes:
    """A whole request for the hook, signed unless told how."""
    fields = {"Host": "x", "Content-Length": str(len(body)), **(headers or {})}
    fields["X-Src-Signature"] = signed(body) if signature is None else signature
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {HOOK} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body


@asynccontextmanager
async def web(
    folder: Path,
    *,
    daemon: DaemonApi | None = None,
    limits: WebLimits | None = None,
    kind: type[ConnectionDeadlines] | None = None,
    gauges: Gauges | None = None,
    secret: bytes | None = SECRET,
) -> AsyncIterator[Trial]:
    """A web with one secret (None: no file of secrets is named) and a body limit of 1 MiB."""
    file = folder / "webhook-secret"
    if secret is not None:
        file.write_bytes(secret + b"\n")
        file.chmod(0o600)
    settings = WebSettings(listen="127.0.0.1:0", secret_files=(file,) if secret else ())
    clock = FakeClock()
    context = WebContext(
        daemon or RecordingDaemon(),
        Metrics(clock),
        clock,
        lambda: settings,
        {},
        gauges or Gauges(),
        limits or WebLimits(),
    )
    async with serving(lambda: settings, application(context), context.limits, kind) as origin:
        yield Trial(origin, context.daemon, clock, context.metrics, file)
