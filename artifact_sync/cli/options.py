"""Options that commands share, and what one call of the program knows. No command's own options."""

from __future__ import annotations

import functools
import gc
import os
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from artifact_sync.cli.logs.mask import Mask
from artifact_sync.runtime.logs import configure_later, configure_now

if TYPE_CHECKING:
    from collections.abc import Callable

    from artifact_sync.config import Loaded
    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.settings import Config, SourceSettings

P = ParamSpec("P")
R = TypeVar("R")


class Verbosity(IntEnum):
    """How much is said on stderr."""

    QUIET = -1
    """Errors only."""
    NORMAL = 0
    VERBOSE = 1
    """Everything, tracebacks included."""


LEVELS = (40, 20, 10)
"""What is logged when quiet, normal and verbose: ``logging``'s numbers, which need no import."""


class Session:
    """What one call of the program has learned and its last words depend on."""

    def __init__(self) -> None:
        self.verbosity = Verbosity.NORMAL
        self.config_file: Path | None = None
        self.mask = Mask()
        self.mask.add(os.environ.get("SOURCECRAFT_TOKEN"))


def session() -> Session:
    """This call's session; to be asked within a command."""
    return click.get_current_context().ensure_object(Session)


def _remembered(ctx: click.Context, _: click.Parameter, value: Path | None) -> Path | None:
    """``--config`` may stand before the command, too."""
    return value or ctx.ensure_object(Session).config_file


config_file = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    callback=_remembered,
    help="The configuration. Else $ARTIFACT_SYNC_CONFIG, the user's, the site's.",
)
"""``--config FILE`` → ``config_file: Path | None``, for ``configuration``."""


def _root(_: click.Context, param: click.Parameter, value: str | None) -> Path | None:
    """A script's unset variable must not become the working directory."""
    if value == "":
        raise click.BadParameter("it is empty; name the mirror's folder", param=param)
    return Path(value) if value is not None else None


root = click.option(
    "--root",
    callback=_root,
    metavar="DIR",
    help="The mirror's folder. Overrides mirror.root.",
)
"""``--root DIR`` → ``root: Path | None``."""

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
"""``--json`` → ``as_json: bool``."""


def _set_verbosity(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if not value or ctx.resilient_parsing:
        return
    wanted = Verbosity.QUIET if param.name == "quiet" else Verbosity.VERBOSE
    known = ctx.ensure_object(Session)
    if known.verbosity not in (Verbosity.NORMAL, wanted):
        raise click.UsageError("-v and -q contradict each other", ctx)
    known.verbosity = wanted


_verbose = click.option(
    "-v", "--verbose", is_flag=True, expose_value=False, callback=_set_verbosity,
    help="Say more, on stderr.",
)  # fmt: skip
_quiet = click.option(
    "-q", "--quiet", is_flag=True, expose_value=False, callback=_set_verbosity,
    help="Say nothing but errors.",
)  # fmt: skip


def verbosity(function: Callable[P, R]) -> Callable[P, R]:
    """``-v`` and ``-q``: into ``session().verbosity``, not into the command's parameters."""
    return _verbose(_quiet(function))


def common(function: Callable[..., R]) -> Callable[..., R]:
    """What every command takes: ``config_file``, ``-v`` and ``-q``; and its log is set up.

    Put it nearest to the function, below ``@click.command``.
    """
    return _with_log(function, begin_work)


def common_and_quick(function: Callable[..., R]) -> Callable[..., R]:
    """``common`` for what is over at once: the log is set up when there is something to log.

    Where more is to be done after all, ``begin_work`` is to be called.
    """
    return _with_log(function, lambda: None)


def begin_work() -> None:
    """What a command needs that may take long, and that others' code may log something in."""
    configure_now()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # what comes and goes with each file is in no cycle
    gc.enable()


def _with_log(function: Callable[..., R], then: Callable[[], None]) -> Callable[..., R]:
    @functools.wraps(function)
    def with_log(*args: Any, **kwargs: Any) -> R:
        current = session()

        def set_up() -> None:
            from artifact_sync.cli.logs import setup  # noqa: PLC0415 - logging is slow to import

            setup.set_up(current.verbosity, current.mask)

        configure_later(set_up, LEVELS[current.verbosity + 1])
        then()
        return function(*args, **kwargs)

    return config_file(verbosity(with_log))


def duration(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """The callback of an option that takes a duration: ``7d`` → seconds, above zero."""
    if value is None:
        return None
    from artifact_sync.runtime.units import parse_duration  # noqa: PLC0415 - keeps --help quick

    try:
        seconds = parse_duration(value)
    except ValueError as error:
        msg = f"{error}, got {value!r}"
        raise click.BadParameter(msg) from None
    if seconds <= 0:
        msg = "expected more than nothing"
        raise click.BadParameter(msg)
    return seconds


def configuration(config_file: Path | None) -> Config:
    """The effective configuration; its passwords are masked from now on."""
    return traced(config_file).config


def traced(config_file: Path | None, known: Session | None = None) -> Loaded:
    """``configuration``, and where each value came from.

    ``known``: the session, for callers on another thread, where nobody can be asked for it.
    """
    from artifact_sync import config  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.mirror.layout import layout_problems  # noqa: PLC0415 - likewise

    path = config.locate(config_file, os.environ)
    loaded = config.load_traced(path, os.environ, layout_problems)
    for url in (loaded.config.ledger.url, loaded.config.source.proxy):
        (known or session()).mask.add(_password(url))
    return loaded


def token(source: SourceSettings) -> Token | None:
    """The token, if there is one; it is masked from now on."""
    from artifact_sync.config.api_token import read_token  # noqa: PLC0415 - keeps --help quick

    found = read_token(source, os.environ)
    session().mask.add(found.value if found else None)
    return found


def _password(url: str | None) -> str | None:
    """The password in an address, as it stands there."""
    user_and_password = (url or "").partition("://")[2].rpartition("@")[0]
    return user_and_password.partition(":")[2] or None
