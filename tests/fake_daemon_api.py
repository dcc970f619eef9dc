"""A ``DaemonApi`` that says what it was told to say, and a control that serves it."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from artifact_sync.daemon.control.server import ConnectionLimits, ControlServer
from artifact_sync.domain.report import Report
from artifact_sync.domain.request import PassRequest
from artifact_sync.domain.settings import RepoSettings
from artifact_sync.domain.status import DaemonState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from artifact_sync.daemon.api import DaemonApi
    from artifact_sync.domain.events import Event, Observer
    from artifact_sync.domain.model import RepoName

URL = "https://api.example"
REQUEST = PassRequest((RepoSettings(name="acme/rocket"),))
STATE = DaemonState(pid=7, version="1", since="2026-01-02T03:04:05+00:00")
QUICK = ConnectionLimits(request=0.2, send=5, ledger=0.2, shutdown=0.2, keepalive=0.05)


@dataclass
class FakeDaemonApi:
    """Sends events, waits until it may go on, and gives a report or an error."""

    events: Sequence[Event] = ()
    report: Report = field(default_factory=Report)
    error: BaseException | None = None
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    requests: list[PassRequest] = field(default_factory=list)
    observers: list[Observer] = field(default_factory=list)
    finished: int = 0
    waits: bool = False
    """A pass goes on until ``go_on``."""
    mute: bool = False
    """The status does not come before ``go_on``."""

    def live(self) -> DaemonState:
        return STATE

    async def status(self) -> dict[str, Any]:
        if self.mute:
            await self.go_on.wait()
        if self.error is not None:
            raise self.error
        return {"repositories": [], "daemon": msgspec.to_builtins(STATE)}

    async def unready(self) -> Sequence[str]:
        return ()

    def missed(self) -> Sequence[str]:
        return ()

    def wake(self, repo: RepoName, run: str | None = None) -> bool:
        del repo, run
        return False

    async def carry_out(self, request: PassRequest, observer: Observer) -> Report:
        self.requests.append(request)
        self.observers.append(observer)
        for event in self.events:
            observer.notify(event)
        if self.waits:
            await self.go_on.wait()
        if self.error is not None:
            raise self.error
        self.finished += 1
        return self.report


@asynccontextmanager
async def served(
    own: Path, daemon: DaemonApi, limits: ConnectionLimits = QUICK
) -> AsyncIterator[Path]:
    """The daemon, asked in this folder; the socket's path. The folder is made."""
    await asyncio.to_thread(lambda: own.mkdir(mode=0o700, parents=True, exist_ok=True))
    async with ControlServer(own, daemon, lambda: URL, limits).serving():
        yield own / "daemon.sock"


async def wait_for(happens: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for what is about to happen on this loop."""
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it never happened"
        await asyncio.sleep(0.005)
