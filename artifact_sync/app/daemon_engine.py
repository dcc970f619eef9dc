"""The daemon's ``Engine``: a mirror and a ledger that stay, and a network that can be replaced."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from artifact_sync.app.assemble_pass import PassShare, pass_context
from artifact_sync.app.assemble_transfers import TransferLimits, zone_of
from artifact_sync.app.network import open_network
from artifact_sync.app.storage import open_storage
from artifact_sync.domain.errors import DiskError, MirrorGone
from artifact_sync.domain.model import RepoName
from artifact_sync.mirror.local.identity import read_id
from artifact_sync.runtime.threads import AbandonableThreads, Threads
from artifact_sync.sync.drain import Drain
from artifact_sync.sync.sync_pass import Pass
from artifact_sync.transfer.bandwidth import BandwidthLimiter
from artifact_sync.transfer.parallel import RangePolicy
from artifact_sync.transfer.slots import AllSlots, Share
from artifact_sync.transfer.staging import StagedNames

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from artifact_sync.app.network import Network
    from artifact_sync.app.storage import Storage
    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.ports import Clock, Ledger, RepositoryLock, WatchedMirror
    from artifact_sync.domain.request import PassRequest
    from artifact_sync.domain.settings import Config, SourceSettings
    from artifact_sync.mirror.layout import Layout
    from artifact_sync.runtime.threads import Offload

    ReadToken = Callable[[SourceSettings], Token | None]
    """Reads the token and has it masked from then on. Blocking. ``ConfigError``."""


_RUNS_OF_A_PASS = 3
"""Runs that one pass works on at a time: each may have thousands of artifacts in memory."""

_CHORES = 4
"""Threads: configuration, token, webhook secrets and metrics may hang, and each holds up one."""


@dataclass(slots=True)
class _Line:
    """A network, which is closed when it has been replaced and nobody uses it any more."""

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
        staged_names: StagedNames,
        observer: Observer,
        read_token: ReadToken,
        chores: AbandonableThreads,
    ) -> None:
        self.config = config
        self.chores = chores
        """Threads for what must not wait for a name lookup, and need not be waited for."""
        self.gate = Drain()
        self._store = store
        self._staged_names = staged_names
        self._observer = observer
        self._read_token = read_token
        self._token: Token | None = None
        self._pace = BandwidthLimiter(config.download.limit, store.clock, zone_of(config.daemon))
        self._slots = AllSlots(config.download.jobs)
        self._ranges = RangePolicy(config.download.ranges)
        self._line: _Line | None = None

    @property
    def mirror(self) -> WatchedMirror:
        """The mirror."""
        return self._store.mirror

    @property
    def ledger(self) -> Ledger:
        """Its ledger."""
        return self._store.ledger

    @property
    def layout(self) -> Layout:
        """Where things go in it."""
        return self._store.layout

    @property
    def lock(self) -> RepositoryLock:
        """Exclusion of passes."""
        return self._store.lock

    @property
    def offload(self) -> Offload:
        """Threads for what blocks."""
        return self._store.offload

    @property
    def clock(self) -> Clock:
        """Time."""
        return self._store.clock

    @asynccontextmanager
    async def begin(
        self, wish: PassRequest, observer: Observer, lock: RepositoryLock
    ) -> AsyncGenerator[Pass]:
        """A pass; see ``Engine``."""
        async with self._connected() as network:
            # of its own: others need not wait for the runs of one that takes for ever
            runs = asyncio.Semaphore(_RUNS_OF_A_PASS)
            slots = Share(self._slots, self._share)
            limits = TransferLimits(slots, self._staged_names, self._ranges, self._pace)
            share = PassShare(lock, runs, lambda: limits, self.gate)
            yield Pass(pass_context(self._store, network, observer, share), wish)

    @property
    def _share(self) -> int:
        """Downloads of one pass at a time: some are left to others, where there are others."""
        jobs, repos = self.config.download.jobs, self.config.repo
        alone = len(repos) == 1 and not RepoName.parse(repos[0].name).is_star
        return jobs if alone else max(jobs - jobs // 4, 1)

    async def repositories(self, org: str) -> AsyncGenerator[RepoName]:
        """Every repository of an organisation; see ``Engine``."""
        async with self._connected() as network, aclosing(network.source.repositories(org)) as all_:
            async for repo in all_:
                yield repo

    async def apply(self, config: Config) -> None:
        """Use another configuration; see ``Engine``."""
        token = await self.chores(self._read_token, config.source)
        await self._connect(config, token)
        self._pace.change(config.download.limit, zone_of(config.daemon))
        self._slots.resize(config.download.jobs)
        self._ranges.most = config.download.ranges

    async def refresh(self) -> bool:
        """Read the token again; see ``Engine``."""
        token = await self.chores(self._read_token, self.config.source)
        same = _value(token) == _value(self._token)
        if not same:
            await self._connect(self.config, token)
        return not same

    def replaced(self) -> bool:
        """Whether a mirror stands there that is not the one that was opened."""
        mirror = self._store.mirror
        with suppress(DiskError):  # what cannot be read is no mirror that could be opened
            try:
                mirror.check()
            except MirrorGone:
                # our own id counts, too: come back as another file system, or copied, it is not
                # the mirror whose lock and ledger this process holds
                return bool(read_id(mirror.root))
        return False

    def allowed(self) -> int | None:
        """Bytes a second that downloads may take now."""
        return self._pace.rate()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._replace(None)

    async def _connect(self, config: Config, token: Token | None) -> None:
        async with AsyncExitStack() as opening:
            coming = open_network(config, token, self._observer, self.chores)
            network = await opening.enter_async_context(coming)
            line = _Line(network, opening.pop_all())
        await self._replace(line)
        self.config, self._token = config, token

    async def _replace(self, line: _Line | None) -> None:
        old, self._line = self._line, line
        if old is not None:
            old.replaced = True
            await old.close_if_idle()

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[Network]:
        """The network of this moment, kept open to the end of the block."""
        line = self._line
        if line is None:
            raise RuntimeError("the engine has not been started")
        line.users += 1
        try:
            yield line.network
        finally:
            await line.leave()


def _value(token: Token | None) -> str | None:
    return token.value if token is not None else None


@asynccontextmanager
async def started(
    config: Config, observer: Observer, read_token: ReadToken
) -> AsyncGenerator[LiveEngine]:
    """An engine, its mirror locked. ``MirrorBusy``, ``DiskError``, ``UsageError``."""
    async with AsyncExitStack() as stack:
        store = await open_storage(config, stack, rehearse=False)
        names = StagedNames(await store.staged())
        chores = AbandonableThreads(stack.enter_context(Threads(_CHORES, "chores")))
        engine = LiveEngine(config, store, names, observer, read_token, chores)
        await engine.apply(config)
        stack.push_async_callback(engine.aclose)
        yield engine
