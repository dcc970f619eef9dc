"""``artifact-sync config``: write, check and show the configuration."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

import click
from msgspec import to_builtins

from artifact_sync import config
from artifact_sync.cli.command_group import CommandGroup
from artifact_sync.cli.json_objects import CheckAnswer
from artifact_sync.cli.options import as_json, common, unconfigured
from artifact_sync.cli.session import (
    begin_work,
    configuration,
    session,
    token,
    traced_configuration,
)
from artifact_sync.config.render import as_toml, json_schema
from artifact_sync.domain.errors import ConfigError, ExitCode, UsageError
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from artifact_sync.domain.settings import Config, RepoKeepSettings


@click.group(
    cls=CommandGroup,
    epilog="\b\nExamples:\n  artifact-sync config init\n  artifact-sync config check\n"
    "  artifact-sync config show --config ./mirror.toml\n"
    "  artifact-sync config schema > artifact-sync.schema.json",
)
def command() -> None:
    """Write, check and show the configuration."""


@command.command()
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option(
    "--path", type=click.Path(path_type=Path), metavar="FILE", help="Where to write; else --config."
)
@common
def init(*, config_file: Path | None, path: Path | None, force: bool) -> None:
    """Write a commented configuration with every key and its default."""
    target = config.named(path or config_file, os.environ)
    content = files("artifact_sync.config").joinpath("example.toml").read_bytes()
    try:
        _write(target, content, force=force)
    except FileExistsError:
        msg = f"{target} is there already; --force replaces it"
        raise UsageError(msg) from None
    except OSError as error:
        msg = f"{target} cannot be written: {error.strerror}"
        raise UsageError(msg) from error
    click.echo(f"wrote {printable(str(target))}")
    click.echo("next: set mirror.root and a [[repo]] in it, then: artifact-sync config check")


def _write(target: Path, content: bytes, *, force: bool) -> None:
    """Write a file for its owner only; replace an existing one atomically, or fail."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not force:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(target, flags, 0o600), "wb") as file:
            file.write(content)
        return
    with NamedTemporaryFile(dir=target.parent, delete=False) as staged:  # mode 0600
        staged.write(content)
    Path(staged.name).replace(target)


@command.command()
@click.option(
    "--online",
    is_flag=True,
    help="Ask the service whether the filters fit; try an object store and PostgreSQL out.",
)
@as_json
@common
def check(*, config_file: Path | None, online: bool, as_json: bool) -> int:
    """Report every problem of the configuration; exit code 2 if there is any."""
    finding = _examined(config_file)
    if online and not finding.problems:
        finding.warnings += _tried(configuration(config_file))
        finding.warnings += _asked(configuration(config_file))
    if as_json:
        click.echo(finding.as_json())
        return ExitCode.USAGE if finding.problems else ExitCode.COMPLETE
    for warning in finding.warnings:
        get_logger(__name__).warning(warning)
    if finding.problems:
        raise ConfigError(finding.problems, finding.path)
    click.echo(f"ok: {printable(str(finding.path or 'no file, defaults and environment'))}")
    return ExitCode.COMPLETE


@dataclass(slots=True)
class _Finding:
    """Result of ``check``."""

    path: Path | None = None
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def as_json(self) -> str:
        mask = session().mask
        answer = CheckAnswer(
            ok=not self.problems,
            file=str(self.path) if self.path else None,
            problems=[mask(problem) for problem in self.problems],
            warnings=[mask(warning) for warning in self.warnings],
        )
        return json.dumps(to_builtins(answer), indent=2)


def _examined(config_file: Path | None) -> _Finding:
    """Check the configuration and the files that it names."""
    try:
        effective = configuration(config_file)
    except ConfigError as error:
        return _Finding(error.path, problems=list(error.problems))
    from artifact_sync.app.network import network_warnings  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.app.store_settings import store_problems, store_warnings  # noqa: PLC0415 - likewise

    finding = _Finding(effective.path, warnings=list(_gaps(effective)))
    finding.problems += store_problems(effective)
    finding.warnings += store_warnings(effective)
    try:
        if token(effective.source) is None:
            finding.warnings.append("there is no token: set source.token_file or SOURCECRAFT_TOKEN")
    except ConfigError as error:
        finding.problems += error.problems
    if effective.mirror.dedupe != "off" or effective.mirror.dedupe_before_download:
        from artifact_sync.app.locations import sharing_warnings  # noqa: PLC0415 - likewise

        finding.warnings += sharing_warnings(effective.mirror)
    if effective.hook:
        from artifact_sync.app.outbox import hook_findings  # noqa: PLC0415 - likewise

        problems, warnings = hook_findings(effective, os.environ)
        finding.problems += problems
        finding.warnings += warnings
    bundle = effective.source.ca_bundle
    if bundle and not bundle.is_file():
        finding.problems.append(f"source.ca_bundle: {bundle} is not a file")
        return finding
    try:
        finding.warnings += network_warnings(effective)
    except ConfigError as error:
        finding.problems += error.problems
    return finding


def _tried(effective: Config) -> list[str]:
    """What to know of a store; raises what keeps it or the ledger from use."""
    from artifact_sync.app.locations import is_in_store  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.app.mirrors import store_advice  # noqa: PLC0415 - likewise
    from artifact_sync.app.shared_mirror import try_server  # noqa: PLC0415 - likewise
    from artifact_sync.runtime.event_loop import run_quickly  # noqa: PLC0415 - likewise

    run_quickly(try_server(effective))
    return list(store_advice(effective)) if is_in_store(effective) else []


def _asked(effective: Config) -> list[str]:
    """Filters that fit nothing. Raises what keeps the service from being asked."""
    from artifact_sync.app.online_check import filter_warnings  # noqa: PLC0415 - keeps --help quick
    from artifact_sync.cli.progress_lines import ProgressLines  # noqa: PLC0415 - likewise
    from artifact_sync.runtime.event_loop import run_quickly  # noqa: PLC0415 - likewise

    begin_work()
    return run_quickly(filter_warnings(effective, token(effective.source), ProgressLines()))


def _gaps(effective: Config) -> Iterator[str]:
    """What ``sync`` needs beyond this configuration."""
    root = effective.mirror.root
    if root is None:
        yield "mirror.root is not set: sync needs --root"
    elif isinstance(root, Path) and root.exists() and not root.is_dir():
        yield f"mirror.root: {root} is not a folder"
    if not effective.repo:
        yield "there is no [[repo]]: sync needs ORG/REPO"
    for key, keep in (
        ("keep", effective.keep),
        *((f"keep of {it.name}", it.keep) for it in effective.repo),
    ):
        if keep is not None and (keep.schedule is not None or not keep.max_share):
            yield from _idle_keep(key, keep, is_bound=effective.keep.max_size is not None)


def _idle_keep(key: str, keep: RepoKeepSettings, *, is_bound: bool) -> Iterator[str]:
    """What of ``keep`` does nothing by the rest of it. ``is_bound``: so is the whole mirror."""
    from artifact_sync.sync.prune_plan import rules_of  # noqa: PLC0415 - seldom needed

    if not is_bound and keep.max_size is None and rules_of(keep).keeps_all:
        if keep.schedule is not None:
            yield f"{key}: schedule does nothing without a rule or max_size"
    elif not keep.max_share:
        yield f"{key}: max_share is 0%, so nothing goes without prune --yes"


@command.command()
@common
def show(*, config_file: Path | None) -> None:
    """Print the effective configuration, each value with its origin; secrets are masked."""
    loaded = traced_configuration(config_file, session())
    try:
        found = token(loaded.config.source)
        remark = f"set, from {found.origin}" if found else "not set"
    except ConfigError as error:
        remark = f"cannot be used: {error}"
    click.echo(as_toml(loaded, remark), nl=False)


@command.command()
@unconfigured
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    click.echo(json.dumps(json_schema(), indent=2))
