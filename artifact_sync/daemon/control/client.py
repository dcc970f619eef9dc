"""The command line's side of the daemon's socket: asking for a pass, and for the status.

What is said is ``wire``'s. Nothing here decides what a command does without a daemon.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from artifact_sync.daemon.control.address import connected, offered
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
    read_answer,
    status_request,
    sync_request,
)
from artifact_sync.domain.errors import (
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
    from collections.abc import AsyncGenerator, Callable, Mapping
    from pathlib import Path
    from socket import socket

    from artifact_sync.daemon.control.protocol import Answer
    from artifact_sync.domain.events import Event, Observer
    from artifact_sync.domain.model import Failure
    from artifact_sync.domain.report import Report
    from artifact_sync.domain.request import PassRequest

_LOG = "its log tells more"
_HINT = f"{_LOG}; run the command again"

_PAUSE = 0.05
"""Seconds between two tries to be let in."""


class NoDaemon(ArtifactSyncError):
    """Nobody answers at the mirror's socket, or there is none."""


class DaemonLost(ArtifactSyncError):
    """The daemon did not answer to the end. What it has mirrored until then is there."""

    reason = Reason.UNFINISHED


_KINDS: Mapping[Reason, Callable[[str], ArtifactSyncError]] = MappingProxyType(
    {
        Reason.USAGE: UsageError,
        Reason.BUSY: DaemonBusy,
        Reason.CREDENTIALS: CredentialsRefused,
        Reason.NOT_FOUND: NotFound,
        Reason.UNREACHABLE: Unreachable,
        Reason.BAD_ANSWER: BadAnswer,
        Reason.DISK: DiskError,
        Reason.NO_SPACE: NoSpace,
        Reason.INTERRUPTED: Interrupted,
    }
)
"""By which errors the daemon's are told again here; any other is an ``ArtifactSyncError``."""


@dataclass(frozen=True, slots=True)
class ClientTimeouts:
    """Seconds that the daemon may let us wait."""

    connecting: float = 5.0
    silence: float = 30.0
    """Without a line; it says every ten seconds that it is there."""
    silences: int = 10
    """How many of those in a row mean that it will not answer any more."""
    status: float = 10.0
    """For the whole status."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What the daemon is asked to do."""

    wish: PassRequest
    base_url: str
    """The service that is meant; a daemon of another one refuses."""
    begun: Callable[[int], None] = lambda _: None
    """Called with the daemon's process id once it has taken it on."""


async def asked(
    own: Path, errand: Errand, observer: Observer, patience: ClientTimeouts | None = None
) -> Report:
    """Have the daemon of the mirror with this own folder carry out a pass; the pass's report.

    ``NoDaemon``, ``DaemonLost``, ``UsageError`` (another user's daemon, too), or what kept the pass
    from beginning. When this is cancelled, the daemon goes on with the pass all the same.
    """
    failures: list[Failure] = []
    exchange = _Exchange(own, patience or ClientTimeouts(), observer)
    async with aclosing(exchange.answers(sync_request(errand.wish, errand.base_url))) as answers:
        async for said in answers:
            match said:
                case Begun(pid):
                    errand.begun(pid)
                case Failures():
                    failures.extend(said.failures)
                case Result():
                    return said.report(failures)
                case Error(reason, message):
                    raise _KINDS.get(reason, ArtifactSyncError)(message)
                case Alive() | Status():
                    pass
                case _:
                    observer.notify(said)
    raise DaemonLost(f"the daemon ended before it had answered: {_HINT}")


async def asked_status(own: Path, patience: ClientTimeouts | None = None) -> dict[str, Any] | None:
    """The object of ``status --json`` as the daemon knows it; None: there is no daemon.

    It has ``error`` beside when the daemon's ledger could not be read. ``DaemonLost``,
    ``UsageError``, or what the daemon says.
    """
    allowed = patience or ClientTimeouts()
    exchange = _Exchange(own, allowed, _Nobody())
    try:
        async with asyncio.timeout(allowed.status):
            return await _status(exchange)
    except NoDaemon:
        return None
    except TimeoutError:
        raise DaemonLost(f"the daemon gives no answer within {allowed.status:.0f} s") from None


async def _status(exchange: _Exchange) -> dict[str, Any]:
    async with aclosing(exchange.answers(status_request())) as answers:
        async for said in answers:
            match said:
                case Status(status):
                    return status
                case Error(reason, message):
                    raise _KINDS.get(reason, ArtifactSyncError)(message)
                case _:
                    pass
    raise DaemonLost(f"the daemon ended before it had answered: {_HINT}")


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One request and its answer."""

    own: Path
    patience: ClientTimeouts
    observer: Observer
    """Is told, too, when the daemon has been silent for long."""

    async def answers(self, request: bytes) -> AsyncGenerator[Answer]:
        """The lines of the answer, as values, until the daemon has hung up."""
        reader, writer = await self._connection()
        try:
            if not writer.is_closing():  # uvloop raises where asyncio writes nothing
                writer.write(request)
            while line := await self._line(reader):
                yield read_answer(line)
        except Garbled as error:
            raise DaemonLost(
                f"the daemon's answer cannot be understood ({error}): if it is of another version"
                " of artifact-sync, restart it"
            ) from error
        finally:
            writer.close()

    async def _connection(self) -> tuple[StreamReader, StreamWriter]:
        if not offered():
            raise NoDaemon("this system has no Unix sockets")
        try:
            async with asyncio.timeout(self.patience.connecting):
                client = await self._connected()
        except TimeoutError:
            raise DaemonLost(f"the daemon takes no calls, it may hang: {_HINT}") from None
        except PermissionError:
            raise UsageError(await asyncio.to_thread(_whose, self.own)) from None
        except OSError as error:
            raise NoDaemon(f"no daemon answers in {self.own}: {error.strerror or error}") from None
        return await asyncio.open_unix_connection(sock=client, limit=LONGEST_ANSWER)

    async def _connected(self) -> socket:
        while True:
            try:
                return await asyncio.to_thread(connected, self.own)
            except BlockingIOError:  # many ask at the same moment
                await asyncio.sleep(_PAUSE)

    async def _line(self, reader: StreamReader) -> bytes:
        """The next line; empty at the end."""
        for silence in range(self.patience.silences):
            try:
                async with asyncio.timeout(self.patience.silence):
                    return await _line_of(reader)
            except TimeoutError:
                if not silence:
                    self.observer.notify(Noticed(f"the daemon is silent, and may hang: {_LOG}"))
        raise DaemonLost(f"the daemon has been silent for too long, it may hang: {_HINT}")


async def _line_of(reader: StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise DaemonLost(f"the daemon ended in the midst of its answer: {_HINT}") from None
        return b""
    except asyncio.LimitOverrunError:
        raise DaemonLost("the daemon's answer has a line that is too long") from None
    except ConnectionError as error:
        raise DaemonLost(f"the daemon was lost ({error.strerror}): {_HINT}") from None


def _whose(own: Path) -> str:
    """What to say to somebody who may not use the socket."""
    return f"the daemon of {own.parent} runs as {_owner(own)}: run the command as that user"


def _owner(own: Path) -> str:
    try:
        user = own.stat().st_uid
    except OSError:
        return "another user"
    try:
        import pwd  # noqa: PLC0415 - no such module on Windows

        return pwd.getpwuid(user).pw_name
    except (ImportError, KeyError):
        return f"user {user}"


class _Nobody:
    """Watches nothing."""

    def notify(self, event: Event) -> None:
        """Let it pass."""
