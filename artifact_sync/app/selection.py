"""Selects repositories, runs and files by overrides and configuration."""

from __future__ import annotations

import os
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from artifact_sync.config import repository
from artifact_sync.config.keys import pasted_run
from artifact_sync.config.value_types import expand_home
from artifact_sync.domain.errors import UsageError
from artifact_sync.domain.globs import glob_problem
from artifact_sync.domain.model import RepoName
from artifact_sync.domain.request import PassOptions, PassRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from artifact_sync.domain.settings import Config, ObjectUrl, RepoSettings


class Overrides(Struct, frozen=True):
    """What the caller asks for instead of what is configured."""

    repos: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    since: float | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    workflow: tuple[str, ...] = ()
    root: Path | ObjectUrl | None = None
    jobs: int | None = None
    dry_run: bool = False
    expiring: float | None = None


def with_overrides(config: Config, overrides: Overrides) -> Config:
    """Apply root and jobs. ``UsageError`` when there is no root."""
    root = overrides.root if overrides.root is not None else config.mirror.root
    if root is None:
        raise UsageError("no mirror: give --root DIR, or set mirror.root in the configuration")
    jobs = overrides.jobs or config.download.jobs
    try:
        if isinstance(root, Path):
            root = expand_home(root, os.environ).absolute()
    except ValueError as error:
        raise UsageError(f"--root: {error}") from None
    return replace(
        config,
        mirror=replace(config.mirror, root=root),
        download=replace(config.download, jobs=jobs),
    )


def request_of(config: Config, overrides: Overrides, environ: Mapping[str, str]) -> PassRequest:
    """Build the request for a pass. ``UsageError`` when it selects nothing."""
    runs = overrides.runs or pasted_runs(overrides.repos)
    if "" in (*overrides.include, *overrides.exclude, *overrides.workflow, *runs):
        raise UsageError("an empty include, exclude, workflow or run selects nothing: leave it out")
    check_globs(overrides.include, overrides.exclude, overrides.workflow)
    names = dict.fromkeys(
        each for name in checked_names(overrides.repos) for each in _with_own_entries(name, config)
    )
    named = [_settings(name, config, environ) for name in names]
    repos = named if overrides.repos else config.repo
    if not repos:
        raise UsageError(
            "no repository: name one (artifact-sync sync ORG/REPO --root DIR), or add a [[repo]] to"
            " the configuration (artifact-sync config init writes one to begin with)"
        )
    if runs and overrides.expiring is not None:
        raise UsageError("--expiring and a run exclude each other: a named run is always synced")
    options = PassOptions(overrides.dry_run, insist=bool(runs), expiring=overrides.expiring)
    return PassRequest(tuple(_narrowed(it, overrides) for it in repos), runs, options)


def pasted_runs(repos: Sequence[str]) -> tuple[str, ...]:
    """The run of whose page the address was pasted. ``UsageError`` beside other repositories."""
    runs = tuple(run for it in repos if (run := pasted_run(it)) is not None)
    if runs and len(repos) > 1:
        which = f"an address of run {runs[0]}"
        raise UsageError(f"{which} means that run alone: give it alone, or ORG/REPO and --run")
    return runs


def check_globs(*globs: Iterable[str]) -> None:
    """Check globs that a caller has given. ``UsageError``."""
    for glob in chain.from_iterable(globs):
        if problem := glob_problem(glob):
            raise UsageError(problem)


def _with_own_entries(name: str, config: Config) -> Iterator[str]:
    """A name and, for a star, the organisation's configured repositories."""
    yield name
    org, _, repo = name.partition("/")
    if RepoName(org, repo).is_star:
        yield from (it.name for it in config.repo if it.name.partition("/")[0] == org)


def _settings(name: str, config: Config, environ: Mapping[str, str]) -> RepoSettings:
    """A repository's own settings, else its organisation's, else the defaults."""
    org, _, repo = name.partition("/")
    found = config.entry_of(RepoName(org, repo))
    return repository(name, environ) if found is None else replace(found, name=name)


def _narrowed(settings: RepoSettings, overrides: Overrides) -> RepoSettings:
    wanted = {
        "since": overrides.since,
        "include": overrides.include,
        "exclude": overrides.exclude,
        "workflows": overrides.workflow,
    }
    return replace(settings, **{key: value for key, value in wanted.items() if value})


def checked_names(names: Iterable[str]) -> list[str]:
    """Check names of repositories; each once."""
    return list(dict.fromkeys(repository(name, {}).name for name in names))


def known_repositories(names: Iterable[str], known: Sequence[RepoName]) -> list[RepoName]:
    """Resolve names to a ledger's repositories; ``org/*`` and no name stand for several.

    ``UsageError`` for a name that stands for none.
    """
    found: dict[RepoName, None] = {}
    for name in names:
        fitting = [repo for repo in known if name in map(str, (repo, RepoName.star(repo.org)))]
        if not fitting:
            there = ", ".join(map(str, known)) or "none yet"
            raise UsageError(f"nothing of {name} is mirrored; what is: {there}")
        found.update(dict.fromkeys(fitting))
    return list(found) or list(known)
