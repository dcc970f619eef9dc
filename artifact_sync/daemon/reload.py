"""Reloads a changed configuration, or keeps the old one and says why."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from artifact_sync.config.difference import Changes, compare, kept
from artifact_sync.domain.errors import ArtifactSyncError, ConfigError
from artifact_sync.domain.status import ConfigState
from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
    from pathlib import Path

    from artifact_sync.daemon.systemd import Supervisor
    from artifact_sync.domain.ports import Clock
    from artifact_sync.domain.settings import Config
    from artifact_sync.runtime.threads import AbandonableThreads

_log = get_logger(__name__)

_LOOK, _SETTLE = 1.0, 0.25
"""Seconds between two looks at the files, and until they count as written.

The system's reports (inotify) would need a watch on every folder and link on the way to a file, and
miss network file systems.
"""

_GRACE = 0.5
"""Seconds to wait before a missing or invalid file is read again: it may be being written."""


async def file_changes(
    paths: Callable[[], Sequence[Path]], threads: AbandonableThreads, clock: Clock
) -> AsyncGenerator[None]:
    """Yield once at the beginning, and then whenever the files have changed.

    The first stands for changes before the watch. A change is reported within two seconds, once the
    files stay as they are from one look to the next; several are reported once. ``paths`` is called
    on a thread.
    """

    def look() -> list[_Facts]:
        return [_facts(path) for path in paths()]

    reported = before = await threads(look)
    yield
    while True:
        await clock.sleep(_LOOK)
        now = await threads(look)
        while now != before:
            await clock.sleep(_SETTLE)
            before, now = now, await threads(look)
        if now != reported:
            yield
            reported = now


_Facts = tuple[str, tuple[int, ...] | str]
"""A path, and its inode's numbers or why it cannot be read."""


def _facts(path: Path) -> _Facts:
    """What differs when a file was written, replaced or linked anew, or its mode was changed."""
    try:
        seen = path.stat()
    except OSError as error:
        return str(path), error.strerror or type(error).__name__
    numbers = seen.st_dev, seen.st_ino, seen.st_mode, seen.st_size
    return str(path), (*numbers, seen.st_mtime_ns, seen.st_ctime_ns)


class ReloadTarget(Protocol):
    """What a reload acts on."""

    async def load_config(self) -> Config:
        """Read the configuration. ``ConfigError``."""

    async def apply_config(self, config: Config, changes: Changes) -> None:
        """Use a configuration from now on; an error keeps the old one."""

    async def refresh_token(self) -> None:
        """Read the token again, from where the configuration in use says."""


class Reloader:
    """Applies a changed configuration, or keeps the old one with a reason."""

    def __init__(
        self, target: ReloadTarget, supervisor: Supervisor, clock: Clock, current: Config
    ) -> None:
        self.current = current
        """The configuration in use."""
        self._target = target
        self._supervisor = supervisor
        self._clock = clock
        self._lock = asyncio.Lock()
        self._loaded_at = clock.now()
        self._problems: tuple[str, ...] = ()
        self._token_problems: tuple[str, ...] = ()
        self._pending = Changes()

    @property
    def state(self) -> ConfigState:
        """The configuration's part of the status."""
        return ConfigState(
            path=str(self.current.path) if self.current.path is not None else None,
            loaded_at=self._loaded_at.isoformat(timespec="seconds"),
            problems=self._problems + self._token_problems,
            restart_needed=tuple(self._pending.restart),
        )

    async def run(self, changed: AsyncIterator[None]) -> None:
        """Reload at each change."""
        async for _ in changed:
            await self.reload(asked=False)

    async def reload(self, *, asked: bool) -> None:
        """Read file and token, and apply differences; one reload at a time.

        ``asked``: by SIGHUP, so that supervisor and log hear of it even when nothing has changed.
        Problems are logged and in ``state``, never raised.
        """
        async with self._lock:
            if asked:
                self._supervisor.reloading()
            try:
                await self._reload(asked=asked)
            finally:
                if asked:
                    self._supervisor.ready(self._outcome)

    async def _reload(self, *, asked: bool) -> None:
        new = await self._read()
        if new is not None:
            await self._take(new, asked=asked)
        await self._refresh_token()

    async def _read(self) -> Config | None:
        """The configuration in the file; None, logged, when it is not valid."""
        try:
            return await self._load()
        except ConfigError:
            await self._clock.sleep(_GRACE)  # an editor may be writing it
        try:
            return await self._load()
        except ConfigError as error:
            self._refuse(error.problems)
        return None

    async def _load(self) -> Config:
        """Read the file. ``ConfigError`` whatever goes wrong."""
        try:
            return await self._target.load_config()
        except ConfigError:
            raise
        except Exception as error:
            path = self.current.path
            problems = [f"{path}: cannot be read: {why}" for why in _why(error)]
            raise ConfigError(problems, path) from error

    async def _take(self, new: Config, *, asked: bool) -> None:
        changes = compare(self.current, new)
        self._log_pending(changes, asked=asked)
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
            await self._target.apply_config(config, changes)
        except Exception as error:  # noqa: BLE001 - the daemon goes on with what it has
            self._refuse([f"it cannot be put into effect: {why}" for why in _why(error)])
        else:
            self.current, self._loaded_at = config, self._clock.now()
            self._accept()
            for key, change in changes.live.items():
                _log.info("the configuration has changed", key=key, change=change)
        finally:
            if not asked:
                self._supervisor.ready(self._outcome)

    async def _refresh_token(self) -> None:
        try:
            await self._target.refresh_token()
        except Exception as error:  # noqa: BLE001 - the daemon goes on with the token that it has
            self._note_token(_why(error))
        else:
            self._note_token([])

    def _note_token(self, problems: Sequence[str]) -> None:
        """Log problems with the token's file when they are new, and when they are over."""
        before, self._token_problems = self._token_problems, tuple(problems)
        if before and not problems:
            _log.info("the token can be read again")
        if before != self._token_problems:
            for problem in problems:
                _log.error("the token cannot be read, the old one stays", problem=problem)

    def _refuse(self, problems: Sequence[str]) -> None:
        before, self._problems = self._problems, tuple(problems)
        if before != self._problems:
            for problem in problems:
                _log.error("the new configuration is not used, the old one stays", problem=problem)

    def _accept(self) -> None:
        if self._problems:
            _log.info("the configuration is valid again", path=str(self.current.path))
        self._problems = ()

    def _log_pending(self, changes: Changes, *, asked: bool) -> None:
        """Log what needs a restart: when it is new, and whenever a reload was asked for."""
        before, self._pending = self._pending, Changes(restart=changes.restart)
        if asked or before != self._pending:
            for key, change in changes.restart.items():
                _log.warning(
                    "this takes effect when artifact-sync is restarted", key=key, change=change
                )

    @property
    def _outcome(self) -> str:
        """The outcome in one line, for systemd."""
        wrong = self._problems or self._token_problems
        return "configuration not usable, see the log" if wrong else "configuration loaded"


def _why(error: Exception) -> list[str]:
    """The lines of an error; of a foreign one only its type, since its text may hold a secret."""
    if isinstance(error, ArtifactSyncError):
        return str(error).splitlines()
    _log.debug("the error in full", exc_info=error)
    return [f"an internal error ({type(error).__name__})"]
