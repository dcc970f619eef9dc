"""``artifact-sync daemon``: run the background service."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, get_args

import click

from artifact_sync.cli.interrupt import STOP_SIGNALS, ends_at_second, on_signals
from artifact_sync.cli.options import common, root
from artifact_sync.cli.session import session, token, traced_configuration
from artifact_sync.domain.errors import ExitCode
from artifact_sync.domain.settings import LogFormat
from artifact_sync.runtime.event_loop import run_plainly

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from artifact_sync.app.assemble_daemon import DaemonService
    from artifact_sync.cli.session import Session
    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.settings import Config, SourceSettings

_AT_ONCE = 1.5
"""Seconds after a second signal by which the process has ended, whatever hangs."""


@click.command(
    epilog="""\b
Examples:
  artifact-sync daemon --config /etc/artifact-sync/config.toml
  artifact-sync daemon --config ./mirror.toml --log-format json

\b
SIGTERM and SIGINT: files in flight may finish, then it ends; once more: at once.
SIGHUP: the configuration is read again, which also happens when its file changes.
The folder systemd/ of the source has units for it.""",
)
@root
@click.option(
    "--log-format",
    type=click.Choice(get_args(LogFormat)),
    help="Overrides daemon.log_format.",
)
@common
def command(*, config_file: Path | None, root: Path | None, log_format: LogFormat | None) -> int:
    """Keep the mirrors current, until it is stopped.

    Looks at each [[repo]] of the configuration when it is due. Stays in the foreground; a service
    manager puts it into the background. While it runs, sync and status ask it.
    """
    from artifact_sync.app.selection import Overrides, with_overrides  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.cli.logs import setup  # noqa: PLC0415 - likewise

    known, file = session(), config_file.absolute() if config_file is not None else None

    def load() -> Config:
        return with_overrides(traced_configuration(file, known).config, Overrides(root=root))

    config = load()
    setup.set_up(known.verbosity, known.mask, log_format=log_format or config.daemon.log_format)
    return run_plainly(_serve(config, load, known))


async def _serve(config: Config, load: Callable[[], Config], known: Session) -> int:
    from artifact_sync.app.assemble_daemon import ProcessContext, service  # noqa: PLC0415 - likewise
    from artifact_sync.daemon.systemd import supervisor_of  # noqa: PLC0415 - keeps --help quick

    def read_token(source: SourceSettings) -> Token | None:
        return token(source, known)

    process = ProcessContext(supervisor_of(os.environ), load, read_token, os.environ)
    lifetime = _Lifetime()
    _handle_signals(lifetime)
    try:
        async with service(config, process) as lifetime.running:
            await lifetime.running.run()
    except asyncio.CancelledError:
        if not lifetime.given_up:
            raise
        return ExitCode.COMPLETE
    return ExitCode.INTERRUPTED if lifetime.running.killed else ExitCode.COMPLETE


class _Lifetime:
    """The service, or its start, as signals stop and reload it."""

    def __init__(self) -> None:
        self.running: DaemonService | None = None
        self.given_up = False
        """Whether it was stopped during its start."""
        self._task = asyncio.current_task()

    def stop(self) -> None:
        """Stop the daemon or its start."""
        if self.running is not None:
            self.running.stop()
        elif self._task is not None:
            self.given_up = True
            self._task.cancel()

    def reload(self) -> None:
        """Reload the configuration, once the daemon has started."""
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
