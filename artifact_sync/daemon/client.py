"""The command line's side of the daemon's socket: asking for a pass, and for the status.

What is said is ``wire``'s. Nothing here decides what a command does without a daemon.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from artifact_sync.daemon.place import connected, offered
from artifact_sync.daemon.wire import (
    LONGEST_ANSWER,
    Alive,
    Begun,
    Error,
    Failures,
    Garbled,
    Result,
    Status,
    read_answer,
    status_request,
    sync_request,
)
from artifact_sync.errors import (
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
from artifact_sync.events import Noticed

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import AsyncGenerator, Callable, Mapping
    from pathlib import Path

    from artifact_sync.daemon.wire import Answer
    from artifact_sync.events import Observer
    from artifact_sync.model import Failure
    from artifact_sync.report import Report
    from artifact_sync.sync import Wish

_HINT = "its log tells more; run the command again"


class NoDaemon(ArtifactSyncError):
    """Nobody answers at the mirror's socket, or there is none."""


class DaemonLost(ArtifactSyncError):
    """The daemon did not answer to the end. What it has mirrored until then is there."""

    reason = Reason.UNFINISHED


class DaemonBusy(ArtifactSyncError):
    """The daemon has too many clients already."""

    reason = Reason.BUSY


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
"""The errors by which the daemon's are told again here; any other one is an ``ArtifactSyncError``."""


@dataclass(frozen=True, slots=True)
class Patience:
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

    wish: Wish
    base_url: str
    """The service that is meant; a daemon of another one refuses."""
    begun: Callable[[int], None] = lambda _: None
    """Called with the daemon's process id once it has taken it on."""


async def asked(
    own: Path, errand: Errand, observer: Observer, patience: Patience | None = None
) -> Report:
    """Have the daemon of the mirror with this own folder carry out a pass; the pass's report.

    ``NoDaemon``, ``DaemonLost``, ``UsageError`` (another user's daemon, too), or what kept the pass
    from beginning. When this is cancelled, the daemon goes on with the pass all the same.
    """
    line, failures = sync_request(errand.wish, errand.base_url), list[Failure]()
    exchange = _Exchange(own, patience or Patience(), observer)
    async with aclosing(exchange.answers(line)) as answers:
        async for said in answers:
            match said:
                case Begun(pid):
                    errand.begun(pid)
                case Failures():
                    failures.extend(said.values)
                case Result():
                    return said.report(failures)
                case Error(reason, message):
                    raise _KINDS.get(reason, ArtifactSyncError)(message)
                case Alive() | Status():
                    pass
                case _:
                    observer.notify(said)
    raise DaemonLost(f"the daemon ended before it had answered: {_HINT}")


async def asked_status(own: Path, patience: Patience | None = None) -> dict[str, Any] | None:
    """The object of ``status --json`` as the daemon knows it; None: there is no daemon.

    It has ``error`` beside when the daemon's ledger could not be read. ``DaemonLost``,
    ``UsageError``, or what the daemon says.
    """
    allowed = patience or Patience()
    exchange = _Exchange(own, allowed, _Nobody())
    try:
        async with asyncio.timeout(allowed.status):
            async with aclosing(exchange.answers(status_request())) as answers:
                async for said in answers:
                    match said:
                        case Status(status):
                            return status
                        case Error(reason, message):
                            raise _KINDS.get(reason, ArtifactSyncError)(message)
    except NoDaemon:
        return None
    except TimeoutError:
        raise DaemonLost(f"the daemon gives no answer within {allowed.status:.0f} s") from None
    raise DaemonLost(f"the daemon ended before it had answered: {_HINT}")
