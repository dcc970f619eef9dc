"""Serves the control socket for the command line.

Nothing that a client sends or fails to send harms the daemon.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from artifact_sync.config import repository
from artifact_sync.daemon.control.address import BoundSocket, is_supported, peer
from artifact_sync.daemon.control.protocol import (
    LONGEST_ANSWER,
    LONGEST_REQUEST,
    Alive,
    Begun,
    DaemonBusy,
    Error,
    ForgetRequest,
    Garbled,
    PinRequest,
    PruneRequest,
    RememberRequest,
    RepairRequest,
    Status,
    StatusRequest,
    SyncRequest,
    UnpinRequest,
    VerifiedRequest,
    event_line,
    line_of,
    read_request,
    result_lines,
)
from artifact_sync.domain.errors import (
    ArtifactSyncError,
    DiskError,
    Interrupted,
    Reason,
    UsageError,
)
from artifact_sync.domain.events import BytesArrived, DownloadBegan, RepoEnded, RunPlanned
from artifact_sync.domain.forget_rules import ForgetRule, ForgetScope
from artifact_sync.domain.model import RepoName, RunKey
from artifact_sync.domain.settings import CONTROL_SOCKET
from artifact_sync.domain.status import StatusAnswer
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.tasks import running_beside
from artifact_sync.sync.failures import reasons_of

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter, Task
    from collections.abc import AsyncGenerator, Callable, Iterable
    from pathlib import Path

    from artifact_sync.daemon.api import DaemonApi
    from artifact_sync.daemon.control.protocol import Request, Work
    from artifact_sync.domain.events import Event
    from artifact_sync.domain.model import ArtifactKey
    from artifact_sync.domain.report import Report

_DISCARD = 1.0
"""Seconds to wait for the request of a client that was refused already."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits on clients, in seconds if not said otherwise."""

    clients: int = 32
    """Clients at the same time."""
    request: float = 10.0
    """To receive the whole request."""
    send: float = 300.0
    """Until a client has taken what was sent; it may be suspended for a while."""
    ledger: float = 5.0
    """For the ledger's part of the status."""
    shutdown: float = 2.0
    """For answers under way when the daemon ends."""
    keepalive: float = 10.0
    """Without events, after which ``Alive`` is sent."""
    look: float = 3.0
    """Between two looks whether the socket still has its name."""


class ClientGone(Exception):
    """The client has disconnected, or does not send or read in time."""


class ClientConnection:
    """A connection. Awaiting its methods raises ``ClientGone``."""

    def __init__(
        self, reader: StreamReader, writer: StreamWriter, limits: ConnectionLimits
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self._has_request = False
        writer.transport.set_write_buffer_limits(0)  # drain waits until the client has read

    @property
    def user(self) -> int | None:
        """The user id of the client's process; None: unknown."""
        return peer(self._writer.get_extra_info("socket"))

    async def request(self) -> Request:
        """Read the client's request. ``Garbled``."""
        async with _within(self._limits.request, "it asks nothing"):
            line = await self._line()
        self._has_request = True
        return read_request(line)

    async def _line(self) -> bytes:
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            raise Garbled(f"a request has at most {LONGEST_REQUEST} bytes") from None
        except asyncio.IncompleteReadError as error:
            if not error.partial:
                raise ClientGone("it asked nothing") from None
            raise Garbled("the request ends in the midst of its line") from None

    async def discard_request(self) -> None:
        """Read a request that was refused unread: closing before would lose the answer."""
        if not self._has_request:
            with suppress(ClientGone):
                async with _within(_DISCARD, "it asks nothing"):
                    await self._reader.read(1)

    async def send(self, lines: bytes) -> None:
        """Send, and wait until the client has read it."""
        self._writer.write(lines)
        async with _within(self._limits.send, "it does not read"):
            await self._writer.drain()

    def send_nowait(self, line: bytes) -> None:
        """Send without waiting."""
        self._writer.write(line)

    def abort(self) -> None:
        """Disconnect at once."""
        self._writer.transport.abort()

    def close(self) -> None:
        """Disconnect; what the client has not read is lost."""
        self._writer.close()
        if self._writer.transport.get_write_buffer_size():
            self.abort()


@asynccontextmanager
async def _within(seconds: float, problem: str) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise ClientGone(problem) from None
    except ConnectionError as error:
        raise ClientGone(str(error) or "the connection broke") from None


_LONG = 1000
"""Length from which bytes are only counted if the queue has an entry to add them to."""

_MOST_EVENTS = 10_000
"""Events after which a client counts as too slow."""


class Outbox:
    """An ``Observer`` that queues events. Waiting ``BytesArrived`` of one file are added up.

    ``overflow`` is called once when the queue is full; the queue is closed then.
    """

    def __init__(self, overflow: Callable[[], None], most: int = _MOST_EVENTS) -> None:
        self._overflow = overflow
        self._most = most
        self._events: list[Event] = []
        self._bytes: dict[ArtifactKey, tuple[int, int]] = {}
        """Index and count of the entry to which further bytes of a file are added."""
        self._wake = asyncio.Event()
        self._closed = False

    def notify(self, event: Event) -> None:
        """Queue an event."""
        if self._closed or isinstance(event, (RunPlanned, RepoEnded)):
            return
        if isinstance(event, BytesArrived):
            self._count(event)
        else:
            self._keep(event)
        self._wake.set()

    def close(self) -> None:
        """Drop the queue and all later events."""
        self._closed = True
        self.take()

    def wake(self) -> None:
        """Let ``wait`` return."""
        self._wake.set()

    async def wait(self, seconds: float) -> None:
        """Wait until there is something to take, at most so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    def take(self) -> list[Event]:
        """Empty the queue and return its events in order."""
        events, self._events = self._events, []
        self._bytes.clear()
        self._wake.clear()
        return events

    def _count(self, event: BytesArrived) -> None:
        at, before = self._bytes.get(event.key, (len(self._events), 0))
        if not before:
            if at >= _LONG:
                return
            self._events.append(event)
        total = before + event.count
        self._events[at] = BytesArrived(event.key, total)
        self._bytes[event.key] = at, total

    def _keep(self, event: Event) -> None:
        if isinstance(event, DownloadBegan):  # observers count from its offset again
            self._bytes.pop(event.key, None)
        self._events.append(event)
        if len(self._events) > self._most:
            self.close()
            self._overflow()


_log = get_logger(__name__)

_CROWDED = "too many ask the daemon at the same time: try again in a while"

_NO_LEDGER = "the ledger gives no answer"

_REFUSED = 8
"""Clients that get a refusal, as a multiple of those that are served; more are disconnected."""

_PAUSE = 0.05
"""Seconds between two batches of events, in which bytes add up."""


class ControlServer:
    """Serves the socket in the mirror's own folder.

    ``base_url`` returns the address of the service that passes use now. ``check_mirror`` raises
    ``DiskError`` when another mirror is there, in which nothing may be bound. Blocking.
    """

    def __init__(
        self,
        own: Path,
        daemon: DaemonApi,
        base_url: Callable[[], str],
        limits: ConnectionLimits | None = None,
        check_mirror: Callable[[], None] = lambda: None,
    ) -> None:
        self._own = own
        self._check_mirror = check_mirror
        self._daemon = daemon
        self._base_url = base_url
        self._limits = limits or ConnectionLimits()
        self._bound: BoundSocket | None = None
        self._server: asyncio.Server | None = None
        self._unbound: str | None = None
        """Why there is no socket, as the log says it; None: it has never been tried."""
        self._clients: set[Task[None]] = set()
        self._passes: set[Task[Report]] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[None]:
        """Serve to the end of the block, in which the mirror must be locked.

        The socket is bound again when its name is gone. Where there can be none, this is logged.
        Passes that clients wait for should be over, or ending, when the block ends: then their
        clients still hear of it.
        """
        if not is_supported():
            _log.info("no Unix sockets here: sync and status cannot ask this daemon")
            yield
            return
        await self._listen()
        try:
            async with running_beside(self._keep_bound()):
                yield
        finally:
            await self._close_socket()
            await self._finish()

    async def _keep_bound(self) -> None:
        """Bind the socket again when its name is gone, or another's."""
        while True:
            await asyncio.sleep(self._limits.look)
            if self._bound is None or not await asyncio.to_thread(self._bound.has_name):
                await self._close_socket()
                await self._listen()

    async def _listen(self) -> None:
        path = str(self._own / CONTROL_SOCKET)
        try:
            self._bound = await asyncio.to_thread(self._bind)
            self._server = await asyncio.start_unix_server(
                self._accept, sock=self._bound.listener, limit=LONGEST_REQUEST
            )
        except (OSError, DiskError) as error:
            await self._close_socket()
            why = getattr(error, "strerror", None) or str(error)
            if why != self._unbound:
                _log.warning(
                    "no socket: sync and status cannot ask this daemon", path=path, why=why
                )
            self._unbound = why
            return
        if self._unbound is not None:
            _log.warning("the socket was gone and is bound again", path=path)
        self._unbound = ""

    def _bind(self) -> BoundSocket:
        self._check_mirror()
        return BoundSocket(self._own)

    async def _close_socket(self) -> None:
        server, bound = self._server, self._bound
        self._server = self._bound = None
        if server is not None:
            server.close()
        if bound is not None:
            await asyncio.to_thread(bound.close)

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        if len(self._clients) >= _REFUSED * self._limits.clients:
            writer.transport.abort()
            return
        crowded = len(self._clients) >= self._limits.clients
        client = ClientConnection(reader, writer, self._limits)
        task = asyncio.create_task(self._serve(client, crowded=crowded))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    async def _serve(self, client: ClientConnection, *, crowded: bool) -> None:
        try:
            await self._answer(client, crowded=crowded)
        except ClientGone as error:
            _log.debug("a client of the socket has left", why=str(error))
        except asyncio.CancelledError:
            client.send_nowait(_error(Interrupted("the daemon has ended")))
        finally:
            client.close()

    async def _answer(self, client: ClientConnection, *, crowded: bool) -> None:
        try:
            _admit(client, crowded=crowded)
            request = await client.request()
            if isinstance(request, StatusRequest):
                await client.send(await self._status())
            else:
                await self._carry_out(request, client)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, a client waits for an answer
            await client.send(_error(error))
            await client.discard_request()

    async def _status(self) -> bytes:
        try:
            async with asyncio.timeout(self._limits.ledger):
                status = await self._daemon.status()
        except (ArtifactSyncError, TimeoutError) as error:  # the daemon's own state is known
            live, why = self._daemon.live(), str(error) or _NO_LEDGER
            status = msgspec.to_builtins(StatusAnswer(repositories=[], daemon=live, error=why))
        line = line_of(Status(status))
        if len(line) > LONGEST_ANSWER:
            raise UsageError(
                "the status is too long to be sent: artifact-sync ls shows it in parts"
            )
        return line

    async def _carry_out(self, request: Work, client: ClientConnection) -> None:
        """Run a pass, which goes on when the client leaves, and send its events and report."""
        self._check(request)
        if len(self._passes) >= self._limits.clients:  # also for clients that have left
            raise DaemonBusy(_CROWDED)
        outbox = Outbox(client.abort)
        work = asyncio.create_task(self._work(request, outbox))
        self._passes.add(work)
        work.add_done_callback(partial(self._pass_ended, outbox))
        try:
            await client.send(line_of(Begun(os.getpid())))
            await self._stream(work, outbox, client)
        finally:
            outbox.close()
        if work.cancelled():
            raise Interrupted("the pass was stopped before it was done")
        for line in result_lines(work.result()):
            await client.send(line)

    async def _work(self, request: Work, observer: Outbox) -> Report:
        if isinstance(request, SyncRequest):
            return await self._daemon.carry_out(request.pass_request, observer)
        repo = RepoName.parse(request.repo)
        if isinstance(request, VerifiedRequest):
            return await self._daemon.note_verified(repo, request.files)
        if isinstance(request, RepairRequest):
            return await self._daemon.repair(repo, request.runs, observer)
        if isinstance(request, ForgetRequest | RememberRequest):
            return await self._let_go(
                request, ForgetScope(repo, request.run, request.glob), observer
            )
        return await self._keep(request, repo, observer)

    async def _let_go(
        self, request: ForgetRequest | RememberRequest, scope: ForgetScope, observer: Outbox
    ) -> Report:
        if isinstance(request, ForgetRequest):
            return await self._daemon.forget(ForgetRule(scope, deletes=request.delete), observer)
        return await self._daemon.remember(scope, observer)

    async def _keep(
        self, request: PruneRequest | PinRequest | UnpinRequest, repo: RepoName, observer: Outbox
    ) -> Report:
        if isinstance(request, PruneRequest):
            return await self._daemon.prune(repo, request.runs, observer, agreed=request.agreed)
        run = RunKey(repo, request.run)
        if isinstance(request, PinRequest):
            return await self._daemon.pin(run, request.reason, observer)
        return await self._daemon.unpin(run, observer)

    def _check(self, request: Work) -> None:
        """``UsageError`` for names that the command line would refuse, or for another service."""
        if isinstance(request, SyncRequest):
            for settings in request.repos:
                repository(settings.name, {})
        else:
            repository(request.repo, {})
        if isinstance(request, VerifiedRequest):
            return  # the files are this mirror's, wherever they came from
        base_url = self._base_url()
        if request.base_url.rstrip("/") != base_url.rstrip("/"):
            raise UsageError(
                f"the daemon mirrors from {base_url}, and this configuration has source.base_url"
                f" {request.base_url}: use the daemon's configuration, or another mirror.root"
            )

    def _pass_ended(self, outbox: Outbox, work: Task[Report]) -> None:
        outbox.wake()
        self._passes.discard(work)
        if not work.cancelled() and (error := work.exception()) is not None:
            _log.debug("a pass for a user could not be carried out", why=str(error))

    async def _stream(self, work: Task[Report], outbox: Outbox, client: ClientConnection) -> None:
        while not work.done():
            await outbox.wait(self._limits.keepalive)
            lines = _lines(outbox.take())
            if lines or not work.done():
                await client.send(lines or line_of(Alive()))
            await asyncio.wait([work], timeout=_PAUSE)
        await client.send(_lines(outbox.take()))

    async def _finish(self) -> None:
        if self._clients:
            await asyncio.wait(self._clients, timeout=self._limits.shutdown)
        tasks = [*self._clients, *self._passes]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _admit(client: ClientConnection, *, crowded: bool) -> None:
    """``ArtifactSyncError`` when a client is not to be served."""
    user = client.user
    if user is not None and user not in (0, os.geteuid()):
        _log.warning("another user was refused on the socket", user=user)
        raise UsageError("the daemon answers its own user and root only")
    if crowded:
        raise DaemonBusy(_CROWDED)


def _lines(events: Iterable[Event]) -> bytes:
    lines = map(event_line, events)
    return b"".join(line for line in lines if line is not None and len(line) <= LONGEST_ANSWER)


def _error(error: Exception) -> bytes:
    """The line of an error. A bug is logged, and its text is not sent."""
    if isinstance(error, Garbled):
        return line_of(Error(Reason.USAGE, str(error)))
    reasons = list(reasons_of(error))
    return line_of(Error(reasons[0][0], "; ".join(message for _, message in reasons)))
