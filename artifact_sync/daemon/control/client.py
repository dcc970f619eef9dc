"""Asks the daemon for a pass or its status."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from artifact_sync.daemon.control.address import connect_control_socket, is_supported
from artifact_sync.daemon.control.protocol import (
    LONGEST_ANSWER,
    Alive,
    Begun,
    DaemonBusy,
    Error,
    Failures,
    Garbled,
    Result,
    Status,
    forget_request,
    pin_request,
    prune_requests,
    read_answer,
    remember_request,
    repair_request,
    status_request,
    sync_request,
    unpin_request,
    verified_requests,
)
from artifact_sync.daemon.progress import EventFanout
from artifact_sync.domain.errors import (
    DAEMON,
    ArtifactSyncError,
    BadAnswer,
    CredentialsRefused,
    DiskError,
    Interrupted,
    NoSpace,
    NotFound,
    Reason,
    Unreachable,
    UsageError,
)
from artifact_sync.domain.events import Noticed

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from pathlib import Path
    from socket import socket

    from artifact_sync.daemon.control.protocol import Answer
    from artifact_sync.domain.errors import MirrorBusy
    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.forget_rules import ForgetScope
    from artifact_sync.domain.model import ArtifactRow, Failure, RepoName, RunKey
    from artifact_sync.domain.report import Report
    from artifact_sync.domain.request import PassRequest
    from artifact_sync.sync.prune_plan import RepoPlan

_LOG = "its log tells more"
_HINT = f"{_LOG}; run the command again"
_ENDED = f"the daemon ended before it had answered: {_HINT}"

_TRIES = 5
"""Further tries, a second apart, while the daemon's socket is missing."""

_PAUSE = 0.05
"""Seconds between two tries to connect while the backlog is full."""


class NoDaemon(ArtifactSyncError):
    """Nothing listens at the mirror's socket, or there is none."""


class DaemonLost(ArtifactSyncError):
    """The connection ended early. What was mirrored until then stays."""

    reason = Reason.UNFINISHED


_SERVICE = (CredentialsRefused, NotFound, Unreachable, BadAnswer)
_ERRORS = (UsageError, DaemonBusy, *_SERVICE, DiskError, NoSpace, Interrupted)
_ERROR_OF: Mapping[Reason, type[ArtifactSyncError]] = {error.reason: error for error in _ERRORS}
"""The error to raise for each of the daemon's reasons; ``ArtifactSyncError`` for any other."""


@dataclass(frozen=True, slots=True)
class ClientTimeouts:
    """How long to wait for the daemon, in seconds."""

    connect: float = 5.0
    silence: float = 30.0
    """Without a line; the daemon sends one every ten seconds at least."""
    silences: int = 10
    """How many of those in a row mean that no answer will come."""
    status: float = 10.0
    """For the whole status."""


async def tries(busy: MirrorBusy) -> AsyncGenerator[None]:
    """Yield once; with a daemon, until its socket should be bound again."""
    yield
    for _ in range(_TRIES if DAEMON in busy.owner and is_supported() else 0):
        await asyncio.sleep(1)
        yield


class DaemonClient:
    """Client of the daemon of a mirror. One connection a call."""

    def __init__(self, own: Path, timeouts: ClientTimeouts | None = None) -> None:
        self._own = own
        self._timeouts = timeouts or ClientTimeouts()

    async def sync(
        self,
        request: PassRequest,
        base_url: str,
        observer: Observer,
        begun: Callable[[int], None] = lambda _: None,
    ) -> Report:
        """Have the daemon run a pass. Cancelling this does not stop it.

        ``base_url`` is the service that is meant; a daemon of another one refuses. ``begun`` is
        called with the daemon's process id once it has accepted the request. ``NoDaemon``,
        ``DaemonLost``, ``UsageError`` (also for another user's daemon), or what kept the pass from
        beginning.
        """
        return await self._report(sync_request(request, base_url), observer, begun)

    async def repair(
        self, repo: RepoName, runs: Sequence[str], base_url: str, observer: Observer
    ) -> Report:
        """Have the daemon repair runs of a repository, and its links ``latest``; as ``sync``."""
        return await self._report(repair_request(repo, runs, base_url), observer, lambda _: None)

    async def forget(
        self, scope: ForgetScope, base_url: str, observer: Observer, *, delete: bool
    ) -> None:
        """Have the daemon let go of a scope; as ``sync``."""
        request = forget_request(scope, base_url, delete=delete)
        await self._report(request, observer, lambda _: None)

    async def prune(
        self, plan: RepoPlan, base_url: str, observer: Observer, *, agreed: bool
    ) -> None:
        """Have the daemon prune what is to go by a plan; as ``sync``."""
        for request in prune_requests(plan, base_url, agreed=agreed):
            await self._report(request, observer, lambda _: None)

    async def pin(self, run: RunKey, reason: str, base_url: str, observer: Observer) -> None:
        """Have the daemon pin a run; as ``sync``."""
        await self._report(pin_request(run, reason, base_url), observer, lambda _: None)

    async def unpin(self, run: RunKey, base_url: str, observer: Observer) -> None:
        """Have the daemon take a pin away; as ``sync``."""
        await self._report(unpin_request(run, base_url), observer, lambda _: None)

    async def note_verified(self, rows: Sequence[ArtifactRow]) -> None:
        """Have the daemon note that files were found as these rows tell; as ``sync``."""
        for request in verified_requests(rows):
            await self._report(request, EventFanout([]), lambda _: None)

    async def remember(self, scope: ForgetScope, base_url: str, observer: Observer) -> None:
        """Have the daemon take back what was let go; as ``sync``."""
        await self._report(remember_request(scope, base_url), observer, lambda _: None)

    async def _report(
        self, request: bytes, observer: Observer, begun: Callable[[int], None]
    ) -> Report:
        failures: list[Failure] = []
        async with aclosing(self._answers(request, observer)) as answers:
            async for answer in answers:
                match answer:
                    case Begun(pid):
                        begun(pid)
                    case Failures():
                        failures.extend(answer.failures)
                    case Result():
                        return answer.report(failures)
                    case Error(reason, message):
                        raise _error(reason, message)
                    case Alive() | Status():
                        pass
                    case _:
                        observer.notify(answer)
        raise DaemonLost(_ENDED)

    async def status(self) -> dict[str, Any] | None:
        """The object of ``status --json`` from the daemon; None: there is no daemon.

        It has ``error`` in addition when the daemon's ledger could not be read. ``DaemonLost``,
        ``UsageError``, or what the daemon reports.
        """
        seconds = self._timeouts.status
        try:
            async with asyncio.timeout(seconds):
                return await self._status()
        except NoDaemon:
            return None
        except TimeoutError:
            raise DaemonLost(
                f"the daemon gives no answer within {seconds:.0f} s: {_HINT}"
            ) from None

    async def _status(self) -> dict[str, Any]:
        async with aclosing(self._answers(status_request(), EventFanout([]))) as answers:
            async for answer in answers:
                match answer:
                    case Status(status):
                        return status
                    case Error(reason, message):
                        raise _error(reason, message)
                    case _:
                        pass
        raise DaemonLost(_ENDED)

    async def _answers(self, request: bytes, observer: Observer) -> AsyncGenerator[Answer]:
        """Send a request and yield the lines of its answer, decoded.

        The observer gets a notice when the daemon has been silent for long.
        """
        reader, writer = await self._connection()
        try:
            if not writer.is_closing():  # uvloop raises where asyncio writes nothing
                writer.write(request)
            while line := await self._line(reader, observer):
                yield read_answer(line)
        except Garbled as error:
            raise DaemonLost(
                f"the daemon's answer cannot be understood ({error}): if it is of another version"
                " of artifact-sync, restart it"
            ) from error
        finally:
            writer.close()

    async def _connection(self) -> tuple[StreamReader, StreamWriter]:
        if not is_supported():
            raise NoDaemon("this system has no Unix sockets")
        try:
            async with asyncio.timeout(self._timeouts.connect):
                client = await self._connected()
        except TimeoutError:
            raise DaemonLost(f"the daemon takes no calls, it may hang: {_HINT}") from None
        except PermissionError:
            raise UsageError(await asyncio.to_thread(_not_permitted, self._own)) from None
        except OSError as error:
            raise NoDaemon(f"no daemon answers in {self._own}: {error.strerror or error}") from None
        return await asyncio.open_unix_connection(sock=client, limit=LONGEST_ANSWER)

    async def _connected(self) -> socket:
        while True:
            try:
                return await asyncio.to_thread(connect_control_socket, self._own)
            except BlockingIOError:  # many connect at the same moment
                await asyncio.sleep(_PAUSE)

    async def _line(self, reader: StreamReader, observer: Observer) -> bytes:
        """The next line; empty at the end."""
        for silence in range(self._timeouts.silences):
            try:
                async with asyncio.timeout(self._timeouts.silence):
                    return await _line_of(reader)
            except TimeoutError:
                if not silence:
                    observer.notify(Noticed(f"the daemon is silent, and may hang: {_LOG}"))
        raise DaemonLost(f"the daemon has been silent for too long, it may hang: {_HINT}")


def _error(reason: Reason, message: str) -> ArtifactSyncError:
    return _ERROR_OF.get(reason, ArtifactSyncError)(message)


async def _line_of(reader: StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise DaemonLost(f"the daemon ended in the midst of its answer: {_HINT}") from None
        return b""
    except asyncio.LimitOverrunError:
        words = "the daemon's answer has a line that is too long: restart the daemon"
        raise DaemonLost(words) from None
    except ConnectionError as error:
        raise DaemonLost(f"the daemon was lost ({error.strerror}): {_HINT}") from None


def _not_permitted(own: Path) -> str:
    try:
        owner = own.owner()
    except KeyError:  # the user has no name
        owner = f"user {own.stat().st_uid}"
    except OSError:
        owner = "another user"
    return f"the daemon of {own.parent} runs as {owner}: run the command as that user"
