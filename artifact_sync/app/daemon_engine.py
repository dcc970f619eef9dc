"""The daemon's ``Engine``: one mirror and ledger, and a replaceable network."""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from artifact_sync.app.assemble_pass import PassShare, displaced_keeper, pass_context
from artifact_sync.app.assemble_transfers import TransferLimits, zone_of
from artifact_sync.app.fleet_member import open_member
from artifact_sync.app.forgetting import keeper_of
from artifact_sync.app.network import open_network
from artifact_sync.app.storage import open_storage
from artifact_sync.domain.errors import DAEMON, DiskError, MirrorGone
from artifact_sync.domain.model import RepoName
from artifact_sync.domain.report import Report
from artifact_sync.runtime.threads import AbandonableThreads, Threads
from artifact_sync.sync.context import Drain
from artifact_sync.sync.make_room import RoomMaker
from artifact_sync.sync.organisation import repositories
from artifact_sync.sync.prune_after import PassPruner, PruneLog
from artifact_sync.sync.room import Room
from artifact_sync.sync.sync_pass import Pass
from artifact_sync.sync.urgency import LookSlots
from artifact_sync.transfer.parallel import RangePolicy
from artifact_sync.transfer.same_bytes import Turns
from artifact_sync.transfer.slots import Share, Slots

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from artifact_sync.app.fleet_member import FleetMember
    from artifact_sync.app.network import Network
    from artifact_sync.app.storage import Storage
    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.ports import RepositoryLock, WatchedMirror
    from artifact_sync.domain.request import PassRequest
    from artifact_sync.domain.settings import Config, SourceSettings

    ReadToken = Callable[[SourceSettings], Token | None]
    """Reads the token and masks it in the log from then on. Blocking. ``ConfigError``."""


_RUNS_AT_ONCE = 3
"""Runs of one pass: a daemon has several passes. See ``assemble_pass``."""

_ABANDONABLE = 4
"""Threads for configuration, token, webhook secrets and metrics, each of which may hang."""


@dataclass(slots=True)
class _Connection:
    """A network that is closed once it was replaced and nobody uses it any more."""

    network: Network
    stack: AsyncExitStack
    users: int = 0
    replaced: bool = False

    async def leave(self) -> None:
        self.users -= 1
        await self.close_if_idle()

    async def close_if_idle(self) -> None:
        if self.replaced and not self.users:
            await self.stack.aclose()


class LiveEngine:
    """``daemon.engine.Engine`` on the real parts. Made by ``started``."""

    def __init__(
        self,
        config: Config,
        store: Storage,
        staged_names: set[str],
        observer: Observer,
        read_token: ReadToken,
        threads: AbandonableThreads,
    ) -> None:
        self.config = config
        self.threads = threads
        """Threads for blocking calls that nobody need wait for."""
        self.drain = Drain()
        self.mirror: WatchedMirror = store.mirror
        self.ledger, self.layout, self.lock = store.ledger, store.layout, store.lock
        self.offload, self.clock = store.offload, store.clock
        self._store = store
        self._staged_names = staged_names
        self._observer = observer
        self._read_token = read_token
        self._token: Token | None = None
        zone = zone_of(config.daemon)
        self._limiter = store.limits.bandwidth(config.download.limit, zone)
        self._slots = Slots(config.download.jobs)
        self._ranges = RangePolicy(config.download.ranges)
        self._turns = Turns()
        self._keeper = displaced_keeper(store)
        self._room = Room(self._remover)
        self._pruner = PassPruner(store.clock, lambda: zone_of(self.config.daemon))
        self._connection: _Connection | None = None
        self.member: FleetMember | None = None
        """This process among others; None: it has the mirror for itself."""

    @asynccontextmanager
    async def begin(
        self, request: PassRequest, observer: Observer, lock: RepositoryLock
    ) -> AsyncGenerator[Pass]:
        """A pass; see ``Engine``."""
        async with self._connected() as network:
            # one semaphore a pass, so that a pass that takes for ever holds up no other
            bounded = any(self._room.bounds(it) for it in _names(request))
            runs = LookSlots(1 if bounded else _RUNS_AT_ONCE)  # the newest first
            slots = Share(self._slots, self._share)
            limits = TransferLimits(
                slots, self._staged_names, self._ranges, self._limiter, self._turns
            )
            prune = partial(self._prune, network, lock)
            room = self._room
            share = PassShare(lock, runs, lambda: limits, self._keeper, self.drain, room, prune)
            yield Pass(pass_context(self._store, network, observer, share), request)

    async def _prune(
        self, network: Network, lock: RepositoryLock, reports: Mapping[RepoName, Report]
    ) -> None:
        """Prune after a pass, unless this machine's clock is known to be wrong."""
        if network.comparison.differs:
            return
        store = msgspec.structs.replace(self._store, lock=lock)
        make = partial(keeper_of, store, self.config)
        await self._pruner.after(self.config, make, reports)

    async def prune_by_schedule(self, lock: RepositoryLock) -> bool:
        """Prune what is due by ``keep.schedule``, as after a pass; whether anything has gone."""
        scheduled = self.config.keep.schedule or any(
            it.keep is not None and it.keep.schedule for it in self.config.repo
        )
        if not scheduled or self._store.comparison.differs:
            return False
        reports = {repo: Report() for repo in await self.ledger.repositories()}
        store = msgspec.structs.replace(self._store, lock=lock)
        make = partial(keeper_of, store, self.config)
        return await self._pruner.after(self.config, make, reports)

    def _remover(self, room: Room) -> RoomMaker:
        keeper = keeper_of(self._store, self.config, PruneLog())
        return RoomMaker(room, self.config, keeper)

    @property
    def _share(self) -> int:
        """Downloads of one pass at a time: with several repositories, some are left to others."""
        jobs, repos = self.config.download.jobs, self.config.repo
        alone = len(repos) == 1 and not RepoName.parse(repos[0].name).is_star
        return jobs if alone else max(jobs - jobs // 4, 1)

    async def repositories(self, org: str) -> AsyncGenerator[RepoName]:
        """Every repository of an organisation; see ``Engine``."""
        async with (
            self._connected() as network,
            aclosing(repositories(network.source, self.ledger, self._observer, org)) as found,
        ):
            async for repo in found:
                yield repo

    async def apply(self, config: Config) -> None:
        """Use another configuration; see ``Engine``."""
        token = await self.threads(self._read_token, config.source)
        await self._connect(config, token)
        self._limiter.change(config.download.limit, zone_of(config.daemon))
        self._slots.resize(config.download.jobs)
        self._ranges.most = config.download.ranges

    async def refresh(self) -> bool:
        """Read the token again; see ``Engine``."""
        token = await self.threads(self._read_token, self.config.source)
        same = _value(token) == _value(self._token)
        if not same:
            await self._connect(self.config, token)
        return not same

    def replaced(self) -> bool:
        """Whether another mirror is at the root now; see ``Engine``."""
        with suppress(DiskError):  # an unreadable mirror could not be opened
            try:
                self.mirror.check()
            except MirrorGone:
                # also with the same id: another file system, or a copy, is not the mirror whose
                # lock and ledger this process holds
                return bool(self._store.id.read_id())
        return False

    def allowed(self) -> int | None:
        """Bytes a second that downloads may take now."""
        return self._limiter.rate()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._replace(None)

    async def _connect(self, config: Config, token: Token | None) -> None:
        async with AsyncExitStack() as opening:
            known = (self.threads, self._store.comparison, self._store.limits)
            connecting = open_network(config, token, self._observer, *known)
            network = await opening.enter_async_context(connecting)
            connection = _Connection(network, opening.pop_all())
        await self._replace(connection)
        self.config, self._token = config, token

    async def _replace(self, new: _Connection | None) -> None:
        old, self._connection = self._connection, new
        if old is not None:
            old.replaced = True
            await old.close_if_idle()

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[Network]:
        """The present network, kept open to the end of the block."""
        connection = self._connection
        if connection is None:
            raise RuntimeError("the engine has not been started")
        connection.users += 1
        try:
            yield connection.network
        finally:
            await connection.leave()


def _names(request: PassRequest) -> list[RepoName]:
    return [RepoName.parse(it.name) for it in request.repos]


def _value(token: Token | None) -> str | None:
    return token.value if token is not None else None


@asynccontextmanager
async def started(
    config: Config, observer: Observer, read_token: ReadToken
) -> AsyncGenerator[LiveEngine]:
    """An engine, its mirror locked. ``MirrorBusy``, ``DiskError``, ``UsageError``."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            open_storage(config, rehearse=False, command=DAEMON)
        )
        await store.offload(store.prepare)
        names = await store.staged()
        threads = AbandonableThreads(stack.enter_context(Threads(_ABANDONABLE, "abandonable")))
        engine = LiveEngine(config, store, names, observer, read_token, threads)
        await engine.apply(config)
        engine.member = await open_member(config, store, stack)
        stack.push_async_callback(engine.aclose)
        yield engine
