"""What one call of the program knows: verbosity, secrets, configuration, token."""

from __future__ import annotations

import gc
import os
import sys
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING

import click

from artifact_sync.cli.logs.mask import Mask
from artifact_sync.domain.errors import ConfigError, SystemLimit
from artifact_sync.runtime.logs import configure_now, get_logger
from artifact_sync.runtime.memory import address_space

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from artifact_sync.cli.terminal import LiveTerminal
    from artifact_sync.config import Loaded
    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.errors import Reason
    from artifact_sync.domain.settings import Config, SourceSettings


class Verbosity(IntEnum):
    """The lowest level that is logged on stderr, as a number of ``logging``."""

    QUIET = 40
    NORMAL = 20
    VERBOSE = 10
    """Everything, tracebacks included."""


_LEAST_MEMORY = 288 * 2**20
"""Bytes of address space with which a pass does its work."""


class Session:
    """State of one call that its messages depend on."""

    def __init__(self) -> None:
        self.verbosity = Verbosity.NORMAL
        self.config_file: Path | None = None
        self.wait = True
        """Whether repositories that others work on are waited for."""
        self.mask = Mask()
        self.mask.add(os.environ.get("SOURCECRAFT_TOKEN"))
        self.said: list[tuple[str, Reason]] = []
        """Messages that ask something of a person, as ``explain`` took them."""

    def explain(self, messages: Iterable[tuple[str, Reason]]) -> None:
        """Have the call end with the sections that explain these messages, each once."""
        self.said.extend(messages)

    @cached_property
    def terminal(self) -> LiveTerminal | None:
        """Where progress can be shown; None: not on this stderr."""
        from artifact_sync.cli.terminal import live_terminal  # noqa: PLC0415 - keeps --help quick

        return live_terminal(sys.stderr, os.environ)


def session() -> Session:
    """This call's session. Only within a command, on its thread."""
    return click.get_current_context().ensure_object(Session)


def check_memory() -> None:
    """Check the limit of memory: beyond it libraries hang or abort. ``SystemLimit``."""
    if (limit := address_space()) < _LEAST_MEMORY:
        raise SystemLimit(
            f"a limit of {limit / 2**20:.0f} MiB of memory is too little: raise it (ulimit -v) to"
            f" {_LEAST_MEMORY // 2**20} MiB at least"
        )


def begin_work() -> None:
    """Prepare for work that may take long: set up logging, start the garbage collector."""
    check_memory()
    configure_now()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # what comes and goes with each file is in no cycle
    gc.enable()


def configuration(config_file: Path | None) -> Config:
    """Load the configuration and mask its passwords from now on."""
    found, known = traced_configuration(config_file, session()).config, session()
    if known.wait:
        return found
    from msgspec.structs import replace  # noqa: PLC0415 - keeps --help quick

    return replace(found, wait=False)


def configuration_of_target(file: Path) -> Config:
    """Load the configuration of another mirror, of which our environment says nothing."""
    from artifact_sync import config  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.mirror.layout import layout_problems  # noqa: PLC0415 - likewise

    others = {name: it for name, it in os.environ.items() if not name.startswith(config.PREFIX)}
    found = config.load(config.locate(file, others), others, layout_problems).config
    session().mask.add(_password(found.ledger.url))
    return found


def configuration_beside_daemon(config_file: Path | None, root: Path | None) -> Config:
    """Load the configuration to look at a mirror, with ``--root`` over it.

    Where it is not valid, what is right in it will do, if a daemon runs in the mirror that it
    names: the problems are logged. ``ConfigError``.
    """
    from artifact_sync import config  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.app.locations import root_of  # noqa: PLC0415 - likewise
    from artifact_sync.app.selection import Overrides, with_overrides  # noqa: PLC0415 - likewise
    from artifact_sync.domain.settings import CONTROL_SOCKET, OWN_FOLDER  # noqa: PLC0415 - likewise
    from artifact_sync.mirror.layout import layout_problems  # noqa: PLC0415 - likewise

    overrides = Overrides(root=root)
    try:
        return with_overrides(configuration(config_file), overrides)
    except ConfigError as error:
        path = config.locate(config_file, os.environ)
        found = config.load_what_is_right(path, os.environ, layout_problems)
        found = with_overrides(found, overrides)
        if not os.path.lexists(root_of(found) / OWN_FOLDER / CONTROL_SOCKET):
            raise
        session().mask.add(_password(found.ledger.url))
        for problem in error.problems:
            get_logger(__name__).warning(f"the configuration is not valid: {problem}")
        return found


def traced_configuration(config_file: Path | None, known: Session) -> Loaded:
    """Load the configuration with the origin of each value. May run on another thread."""
    from artifact_sync import config  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.config.ledger_password import read_ledger_password  # noqa: PLC0415 - likewise
    from artifact_sync.mirror.layout import layout_problems  # noqa: PLC0415 - likewise

    path = config.locate(config_file, os.environ)
    loaded = config.load(path, os.environ, layout_problems)
    for url in (loaded.config.ledger.url, loaded.config.source.proxy):
        known.mask.add(_password(url))
    known.mask.add(read_ledger_password(os.environ))
    return loaded


def token(source: SourceSettings, known: Session | None = None) -> Token | None:
    """Read the API token, if there is one, and mask it from now on."""
    from artifact_sync.config.api_token import read_token  # noqa: PLC0415 - keeps --help quick

    found = read_token(source, os.environ)
    (known or session()).mask.add(found.value if found else None)
    return found


def _password(url: str | None) -> str | None:
    """The password in a URL, as it stands there."""
    user_and_password = (url or "").partition("://")[2].rpartition("@")[0]
    return user_and_password.partition(":")[2] or None
