"""The daemon's side of its Unix socket: ``sync`` and ``status`` that run beside it are answered.

What is said is ``wire``'s, a single connection ``talk``'s, and the ``DaemonApi`` knows the answers.
Nothing that a client sends or leaves undone harms the daemon.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from artifact_sync.config import repository
from artifact_sync.daemon.control.address import bound, offered
from artifact_sync.daemon.control.connection import ClientConnection, ClientGone, ConnectionLimits
from artifact_sync.daemon.control.outbox import Outbox
from artifact_sync.daemon.control.protocol import (
    LONGEST_ANSWER,
    LONGEST_REQUEST,
    Alive,
    Begun,
    DaemonBusy,
    Error,
    Garbled,
    Status,
    SyncRequest,
    event_line,
    line_of,
    result_lines,
)
from artifact_sync.domain.errors import ArtifactSyncError, Interrupted, Reason, UsageError
from artifact_sync.domain.settings import CONTROL_SOCKET
from artifact_sync.runtime.logs import get_logger
from artifact_sync.sync.failures import reasons_of

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter, Task
    from collections.abc import AsyncGenerator, Callable, Iterable
    from pathlib import Path

    from artifact_sync.daemon.api import DaemonApi
    from artifact_sync.domain.events import Event
    from artifact_sync.domain.report import Report

_log = get_logger(__name__)

_CROWDED = "too many ask the daemon at the same time: try again in a while"

_NO_LEDGER = "the ledger gives no answer"

_FLOOD = 8
"""So many times the clients that are answered get at least a refusal."""

_PAUSE = 0.05
"""Seconds between two batches of events, in which bytes add up."""


class Control:
    """Answers on the socket in the mirror's own folder. ``origin``: the service's address now."""

    def __init__(
        self,
        own: Path,
        desk: DaemonApi,
        origin: Callable[[], str],
        limits: ConnectionLimits | None = None,
    ) -> None:
        self._own = own
        self._desk = desk
        self._origin = origin
        self._limits = limits or ConnectionLimits()
        self._talks: set[Task[None]] = set()
        self._works: set[Task[Report]] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[None]:
        """Answer to the end of the block, which must lie within the hold of the mirror's lock.

        Where there can be no socket the log has a line about it. Passes that clients wait for
        should be over, or ending, when the block ends: then their clients still hear of it.
        """
        with ExitStack() as stack:
            server = await self._listen(stack)
            try:
                yield
            finally:
                if server is not None:
                    server.close()
                    stack.close()
                await self._part()

    async def _listen(self, stack: ExitStack) -> asyncio.Server | None:
        if not offered():
            _log.info("no Unix sockets here: sync and status cannot ask this daemon")
            return None
        try:
            listener = await asyncio.to_thread(stack.enter_context, bound(self._own))
            return await asyncio.start_unix_server(
                self._accept, sock=listener, limit=LONGEST_REQUEST
            )
        except OSError as error:
            path, why = str(self._own / CONTROL_SOCKET), error.strerror or str(error)
            _log.warning("no socket: sync and status cannot ask this daemon", path=path, why=why)
            return None

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        if len(self._talks) >= _FLOOD * self._limits.clients:
            writer.transport.abort()
            return
        crowded = len(self._talks) >= self._limits.clients
        talk = ClientConnection(reader, writer, self._limits)
        task = asyncio.create_task(self._attend(talk, crowded=crowded))
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)

    async def _attend(self, talk: ClientConnection, *, crowded: bool) -> None:
        """One client, from its request to the last line of its answer."""
        try:
            await self._answer(talk, crowded=crowded)
        except ClientGone as error:
            _log.debug("a client of the socket has left", why=str(error))
        except asyncio.CancelledError:
            talk.last_word(_error(Interrupted("the daemon has ended")))
        finally:
            talk.close()

    async def _answer(self, talk: ClientConnection, *, crowded: bool) -> None:
        try:
            _admit(talk, crowded=crowded)
            request = await talk.request()
            if isinstance(request, SyncRequest):
                await self._sync(request, talk)
            else:
                await talk.send(await self._status())
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, a client waits for an answer
            await talk.send(_error(error))
            await talk.heard_out()

    async def _status(self) -> bytes:
        try:
            async with asyncio.timeout(self._limits.ledger):
                status = await self._desk.status()
        except (ArtifactSyncError, TimeoutError) as error:  # the rest is known all the same
            live, why = msgspec.to_builtins(self._desk.live()), str(error) or _NO_LEDGER
            status = {"repositories": [], "daemon": live, "error": why}
        line = line_of(Status(status))
        if len(line) > LONGEST_ANSWER:
            raise UsageError("there is more to tell than fits: artifact-sync ls tells it in parts")
        return line

    async def _sync(self, request: SyncRequest, talk: ClientConnection) -> None:
        """Have a pass carried out, which goes on when the client does not."""
        self._check(request)
        if len(self._works) >= self._limits.clients:  # of clients that have left
            raise DaemonBusy(_CROWDED)
        outbox = Outbox(talk.abort)
        work = asyncio.create_task(self._desk.carry_out(request.wish, outbox))
        self._works.add(work)
        work.add_done_callback(partial(self._over, outbox))
        try:
            await talk.send(line_of(Begun(os.getpid())))
            await self._stream(work, outbox, talk)
        finally:
            outbox.close()
        if work.cancelled():
            raise Interrupted("the pass was stopped before it was done")
        for line in result_lines(work.result()):
            await talk.send(line)

    def _check(self, request: SyncRequest) -> None:
        """``UsageError`` for what the command line would refuse itself, or another service's."""
        for settings in request.repos:
            repository(settings.name, {})
        origin = self._origin()
        if request.base_url.rstrip("/") != origin.rstrip("/"):
            raise UsageError(
                f"the daemon mirrors from {origin}, and this configuration has source.base_url"
                f" {request.base_url}: use the daemon's configuration, or another mirror.root"
            )

    def _over(self, outbox: Outbox, work: Task[Report]) -> None:
        outbox.stir()
        self._works.discard(work)
        if not work.cancelled() and (error := work.exception()) is not None:
            _log.debug("a pass for a user could not be carried out", why=str(error))

    async def _stream(self, work: Task[Report], outbox: Outbox, talk: ClientConnection) -> None:
        while not work.done():
            await outbox.stirred(self._limits.alive)
            lines = _lines(outbox.take())
            if lines or not work.done():
                await talk.send(lines or line_of(Alive()))
            await asyncio.wait([work], timeout=_PAUSE)
        await talk.send(_lines(outbox.take()))

    async def _part(self) -> None:
        """Let answers that are on their way come to their end, for a moment; then end them."""
        if self._talks:
            await asyncio.wait(self._talks, timeout=self._limits.parting)
        tasks = [*self._talks, *self._works]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _admit(talk: ClientConnection, *, crowded: bool) -> None:
    """``ArtifactSyncError`` when a client is not to be listened to."""
    user = talk.user
    if user is not None and user not in (0, os.geteuid()):
        _log.warning("another user was refused on the socket", user=user)
        raise UsageError("the daemon answers its own user and root only")
    if crowded:
        raise DaemonBusy(_CROWDED)


def _lines(events: Iterable[Event]) -> bytes:
    told = map(event_line, events)
    return b"".join(line for line in told if line is not None and len(line) <= LONGEST_ANSWER)


def _error(error: Exception) -> bytes:
    """The line of an error. A bug is logged, and its text stays here."""
    if isinstance(error, Garbled):
        return line_of(Error(Reason.USAGE, str(error)))
    reasons = list(reasons_of(error))
    return line_of(Error(reasons[0][0], "; ".join(message for _, message in reasons)))
