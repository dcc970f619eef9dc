"""Runs the daemon or a worker until signals stop it."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from artifact_sync.cli.interrupt import STOP_SIGNALS, ends_at_second, on_signals
from artifact_sync.cli.session import session, token, traced_configuration
from artifact_sync.domain.errors import ExitCode
from artifact_sync.runtime.event_loop import run_plainly

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from artifact_sync.app.service import ProcessContext, Service
    from artifact_sync.cli.session import Session
    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.settings import Config, LogFormat, SourceSettings

    MakeService = Callable[[Config, ProcessContext], AbstractAsyncContextManager[Service]]

_AT_ONCE = 1.5
"""Seconds after a second signal by which the process has ended, whatever hangs."""


def serve(
    make: MakeService, config_file: Path | None, root: Path | None, log_format: LogFormat | None
) -> int:
    """Run a service to its end; the exit code."""
    from artifact_sync.app.selection import Overrides, with_overrides  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.cli.logs import setup  # noqa: PLC0415 - likewise

    known, file = session(), config_file.absolute() if config_file is not None else None

    def load() -> Config:
        return with_overrides(traced_configuration(file, known).config, Overrides(root=root))

    config = load()
    setup.set_up(known.verbosity, known.mask, log_format=log_format or config.daemon.log_format)
    return run_plainly(_serve(make, config, load, known))


async def _serve(
    make: MakeService, config: Config, load: Callable[[], Config], known: Session
) -> int:
    from artifact_sync.app.service import ProcessContext  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.daemon.systemd import supervisor_of  # noqa: PLC0415 - likewise

    def read_token(source: SourceSettings) -> Token | None:
        return token(source, known)

    process = ProcessContext(supervisor_of(os.environ), load, read_token, os.environ)
    lifetime = _Lifetime()
    _handle_signals(lifetime)
    try:
        async with make(config, process) as lifetime.running:
            await lifetime.running.run()
    except asyncio.CancelledError:
        if not lifetime.given_up:
            raise
        return ExitCode.COMPLETE
    return ExitCode.INTERRUPTED if lifetime.running.killed else ExitCode.COMPLETE


class _Lifetime:
    """The service, or its start, as signals stop and reload it."""

    def __init__(self) -> None:
        self.running: Service | None = None
        self.given_up = False
        """Whether it was stopped during its start."""
        self._task = asyncio.current_task()

    def stop(self) -> None:
        """Stop the service or its start."""
        if self.running is not None:
            self.running.stop()
        elif self._task is not None:
            self.given_up = True
            self._task.cancel()

    def reload(self) -> None:
        """Reload the configuration, once it has started."""
        if self.running is not None:
            self.running.reload()


def _handle_signals(lifetime: _Lifetime) -> None:
    """Stop on SIGTERM and SIGINT, reload on SIGHUP, until the process has ended.

    A second stop ends the process soon, even if it hangs.
    """
    count = ends_at_second(_AT_ONCE)
    actions = dict.fromkeys(STOP_SIGNALS, lifetime.stop)
    if hasattr(signal, "SIGHUP"):
        actions[signal.SIGHUP] = lifetime.reload
    on_signals(actions, lambda number: count() if number in STOP_SIGNALS else None)
