"""Taking up a configuration that has changed, or keeping the old one and saying why.

When the files may have changed is told by ``files``; what differs is ``changes``'.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from artifact_sync.config.difference import Changes, compare, kept
from artifact_sync.domain.errors import ArtifactSyncError, ConfigError
from artifact_sync.domain.status import ConfigState
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.threads import AbandonableThreads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from artifact_sync.daemon.systemd import Supervisor
    from artifact_sync.domain.ports import Clock
    from artifact_sync.domain.settings import Config

_log = get_logger(__name__)

_GRACE = 0.5
"""Seconds that a file which is gone or makes no sense has to be written to its end."""

_Problems = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Actions:
    """What a reload does."""

    load: Callable[[], Config]
    """Read the configuration. Blocking. ``ConfigError``."""
    apply: Callable[[Config, Changes], Awaitable[None]]
    """Use this configuration from now on; when it raises, the old one is still in use."""
    refresh: Callable[[], Awaitable[None]]
    """Read the token again, from where the configuration in use says."""
    chores: AbandonableThreads = field(default_factory=AbandonableThreads)
    """What ``load`` is called by."""


class Reload:
    """Keeps the configuration in use the one in the file. On one event loop."""

    def __init__(
        self, actions: Actions, supervisor: Supervisor, clock: Clock, current: Config
    ) -> None:
        self.current = current
        """The configuration in use."""
        self._actions = actions
        self._supervisor = supervisor
        self._clock = clock
        self._turn = asyncio.Lock()
        self._loaded_at = clock.now()
        self._problems: _Problems = ()
        self._token_problems: _Problems = ()
        self._pending = Changes()

    @property
    def state(self) -> ConfigState:
        """What is in use, and what is wrong with what is in the file."""
        return ConfigState(
            path=str(self.current.path) if self.current.path is not None else None,
            loaded_at=self._loaded_at.isoformat(timespec="seconds"),
            problems=self._problems + self._token_problems,
            restart_needed=tuple(change.key for change in self._pending.restart),
        )

    async def run(self, changed: AsyncIterator[None]) -> None:
        """Reload at each change, for as long as changes come."""
        async for _ in changed:
            await self.again(asked=False)

    async def again(self, *, asked: bool) -> None:
        """Read the file, and the token, and take up what differs; one reload after the other.

        ``asked``: somebody waits for it (SIGHUP), so the supervisor hears of it, and the log says
        so, even when nothing has changed. What is wrong is logged and in ``state``, never raised.
        """
        async with self._turn:
            if asked:
                self._supervisor.reloading()
            try:
                await self._again(asked=asked)
            finally:
                if asked:
                    self._supervisor.ready(self._outcome)

    async def _again(self, *, asked: bool) -> None:
        new = await self._read()
        if new is not None:
            await self._take_up(new, asked=asked)
        await self._refresh()

    async def _read(self) -> Config | None:
        """The configuration in the file; None, and it is told, when it is not valid."""
        try:
            return await self._load()
        except ConfigError:
            await self._clock.sleep(_GRACE)  # an editor may be at it
        try:
            return await self._load()
        except ConfigError as error:
            self._refuse(error.problems)
        return None

    async def _load(self) -> Config:
        """Read the file. ``ConfigError`` whatever goes wrong."""
        try:
            return await self._actions.chores(self._actions.load)
        except ConfigError:
            raise
        except Exception as error:
            path = self.current.path
            problems = [f"{path}: cannot be read: {why}" for why in _why(error)]
            raise ConfigError(problems, path) from error

    async def _take_up(self, new: Config, *, asked: bool) -> None:
        changes = compare(self.current, new)
        self._tell_pending(changes, asked=asked)
        if changes.live:
            await self._apply(kept(self.current, new), changes, asked=asked)
            return
        self._accept()
        if asked and not changes:
            _log.info("nothing has changed in the configuration", path=str(self.current.path))

    async def _apply(self, config: Config, changes: Changes, *, asked: bool) -> None:
        if not asked:
            self._supervisor.reloading()
        try:
            await self._actions.apply(config, changes)
        except Exception as error:  # noqa: BLE001 - the daemon goes on with what it has
            self._refuse([f"it cannot be put into effect: {why}" for why in _why(error)])
        else:
            self.current, self._loaded_at = config, self._clock.now()
            self._accept()
            for change in changes.live:
                _log.info("the configuration has changed", key=change.key, change=change.what)
        finally:
            if not asked:
                self._supervisor.ready(self._outcome)

    async def _refresh(self) -> None:
        try:
            await self._actions.refresh()
        except Exception as error:  # noqa: BLE001 - the daemon goes on with the token that it has
            self._note_token(_why(error))
        else:
            self._note_token([])

    def _note_token(self, problems: Sequence[str]) -> None:
        """What is wrong with the token's file; told when it is new, and when it is over."""
        before, self._token_problems = self._token_problems, tuple(problems)
        if before and not problems:
            _log.info("the token can be read again")
        if before != self._token_problems:
            for problem in problems:
                _log.error("the token cannot be read, the old one stays", problem=problem)

    def _refuse(self, problems: Sequence[str]) -> None:
        """Keep the old configuration; the same problems are logged once."""
        before, self._problems = self._problems, tuple(problems)
        if before != self._problems:
            for problem in problems:
                _log.error("the new configuration is not used, the old one stays", problem=problem)

    def _accept(self) -> None:
        """What is in the file is valid."""
        if self._problems:
            _log.info("the configuration is valid again", path=str(self.current.path))
        self._problems = ()

    def _tell_pending(self, changes: Changes, *, asked: bool) -> None:
        """Say what takes effect after a restart, once, and again to whoever asks."""
        before, self._pending = self._pending, Changes(restart=changes.restart)
        if asked or before != self._pending:
            for change in changes.restart:
                _log.warning(
                    "this takes effect when artifact-sync is restarted",
                    key=change.key,
                    change=change.what,
                )

    @property
    def _outcome(self) -> str:
        """A line for people."""
        wrong = self._problems or self._token_problems
        return "configuration not usable, see the log" if wrong else "configuration loaded"


def _why(error: Exception) -> list[str]:
    """An error in words; of one that is not ours only its kind, since it may hold a secret."""
    if isinstance(error, ArtifactSyncError):
        return str(error).splitlines()
    _log.debug("the error in full", exc_info=error)
    return [f"an internal error ({type(error).__name__})"]
