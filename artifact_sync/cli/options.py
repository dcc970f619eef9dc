"""Options that several commands share."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from artifact_sync.cli.ledger_completion import complete_repositories, complete_runs
from artifact_sync.cli.session import Session, Verbosity, begin_work, session
from artifact_sync.runtime.logs import configure_later

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from artifact_sync.domain.settings import ObjectUrl

P = ParamSpec("P")
R = TypeVar("R")


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


def _root(_: click.Context, param: click.Parameter, value: str | None) -> Path | ObjectUrl | None:
    """A script's unset variable must not become the working directory."""
    if value == "":
        raise click.BadParameter("it is empty; name the mirror's folder", param=param)
    if value is None:
        return None
    from artifact_sync.config.urls import is_object_url, object_url  # noqa: PLC0415 - keeps --help quick

    if not is_object_url(value):
        return Path(value)
    try:
        return object_url(value)
    except ValueError as error:
        raise click.BadParameter(str(error), param=param) from None


def root_option(help_text: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """``--root DIR`` → ``root: Path | None``."""
    return click.option("--root", callback=_root, metavar="DIR", help=help_text)


root = root_option("The mirror's folder. Overrides mirror.root.")

repositories = click.argument(
    "repos", metavar="[ORG/REPO]...", nargs=-1, shell_complete=complete_repositories
)
"""``[ORG/REPO]...`` → ``repos: tuple[str, ...]``, for ``checked_names``."""


def scope(function: Callable[..., R]) -> Callable[..., R]:
    """Add ``ORG/REPO [RUN [GLOB]]`` → ``named: tuple[str, str | None, str | None]``."""

    @functools.wraps(function)
    def with_names(*, repo: str, run: str | None, glob: str | None, **rest: Any) -> R:
        return function(named=(repo, run, glob), **rest)

    glob = click.argument("glob", metavar="[GLOB]", required=False)
    run = click.argument("run", metavar="[RUN]", required=False, shell_complete=complete_runs)
    repo = click.argument("repo", metavar="ORG/REPO", shell_complete=complete_repositories)
    return repo(run(glob(with_names)))


def _set_wait(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    ctx.ensure_object(Session).wait = not value


no_wait = click.option(
    "--no-wait", is_flag=True, expose_value=False, callback=_set_wait,
    help="Exit code 7 for a repository that another process works on.",
)  # fmt: skip
"""``--no-wait``, which sets ``session().wait`` and no parameter."""

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
    """Add ``-v`` and ``-q``, which set ``session().verbosity`` and no parameter."""
    return _verbose(_quiet(function))


def common(function: Callable[..., R]) -> Callable[..., R]:
    """Add ``--config``, ``-v`` and ``-q``, and set the log up.

    Put it nearest to the function, below ``@click.command``.
    """
    return config_file(_with_log(function, begin_work))


def unconfigured(function: Callable[..., R]) -> Callable[..., R]:
    """Add ``-v`` and ``-q``, for what is not configured; ``--config`` changes nothing."""
    ignored = click.option("--config", hidden=True, expose_value=False, type=click.Path())
    return ignored(_with_log(function, begin_work))


def common_and_quick(function: Callable[..., R]) -> Callable[..., R]:
    """Add the options of ``common``, and set the log up at the first line.

    The command calls ``begin_work`` when it has more to do after all.
    """
    return config_file(_with_log(function, lambda: None))


def _with_log(function: Callable[..., R], then: Callable[[], None]) -> Callable[..., R]:
    @functools.wraps(function)
    def with_log(*args: Any, **kwargs: Any) -> R:
        current = session()

        def set_up() -> None:
            from artifact_sync.cli.logs import setup  # noqa: PLC0415 - logging is slow to import

            setup.set_up(current.verbosity, current.mask, current.terminal)

        configure_later(set_up, current.verbosity)
        then()
        return function(*args, **kwargs)

    return verbosity(with_log)


def duration_option(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """Parse an option's duration, ``7d``, to seconds above zero."""
    if value is None:
        return None
    from artifact_sync.runtime.units import parse_duration  # noqa: PLC0415 - keeps --help quick

    try:
        seconds = parse_duration(value.strip().removesuffix(" ago"))
    except ValueError as error:
        msg = f"{error}, got {value!r}"
        raise click.BadParameter(msg) from None
    if seconds <= 0:
        msg = "expected more than nothing"
        raise click.BadParameter(msg)
    return seconds


def size_option(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """Parse an option's size, ``10GiB``, to bytes above zero."""
    if value is None:
        return None
    from artifact_sync.runtime.units import parse_size  # noqa: PLC0415 - keeps --help quick

    try:
        size = parse_size(value)
    except ValueError as error:
        msg = f"{error}, got {value!r}"
        raise click.BadParameter(msg) from None
    if not size:
        msg = "expected more than nothing"
        raise click.BadParameter(msg)
    return size


def share_option(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """Parse an option's share, ``10%``, of more than nothing."""
    if value is None:
        return None
    from artifact_sync.config.value_types import parse_share  # noqa: PLC0415 - keeps --help quick

    try:
        share = parse_share(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if not share:
        msg = "expected more than nothing"
        raise click.BadParameter(msg)
    return share


def moment_option(_: click.Context, __: click.Parameter, value: str | None) -> datetime | None:
    """Parse an option's moment: ``7d`` ago, or a date."""
    if value is None:
        return None
    from datetime import UTC, datetime  # noqa: PLC0415 - keeps --help quick

    from artifact_sync.runtime.units import parse_moment  # noqa: PLC0415 - likewise

    try:
        return parse_moment(value, datetime.now(UTC))
    except ValueError as error:
        msg = f"{error}, got {value!r}"
        raise click.BadParameter(msg) from None
