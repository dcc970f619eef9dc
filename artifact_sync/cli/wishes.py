"""Arguments over configuration: which repositories, runs and files a command is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from artifact_sync.config import repository
from artifact_sync.domain.errors import UsageError
from artifact_sync.domain.request import PassOptions, PassRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from artifact_sync.cli.selection import Flags
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.settings import Config, RepoSettings


def wish_of(config: Config, flags: Flags, environ: Mapping[str, str]) -> PassRequest:
    """What the pass is asked for. ``UsageError`` when that is nothing."""
    if "" in (*flags.include, *flags.exclude, *flags.workflow, *flags.runs):
        raise UsageError("an empty --include, --exclude, --workflow or --run selects nothing")
    names = dict.fromkeys(each for name in flags.repos for each in _with_own_entries(name, config))
    named = [_settings(name, config, environ) for name in names]
    chosen = named if flags.repos else config.repo
    if not chosen:
        raise UsageError(
            "no repository: name one (artifact-sync sync ORG/REPO --root DIR), or add a [[repo]] to"
            " the configuration (artifact-sync config init writes one to begin with)"
        )
    mode = PassOptions(dry_run=flags.dry_run, insist=bool(flags.runs))
    return PassRequest(tuple(_narrowed(it, flags) for it in chosen), flags.runs, mode)


def _with_own_entries(name: str, config: Config) -> Iterator[str]:
    """A name and, for a star, the repositories of the organisation that have their own entry."""
    yield name
    org, _, repo = name.partition("/")
    if repo == "*":
        yield from (it.name for it in config.repo if it.name.partition("/")[0] == org)


def _settings(name: str, config: Config, environ: Mapping[str, str]) -> RepoSettings:
    """What the configuration has for a repository, be it by a star, else the defaults."""
    known = {settings.name: settings for settings in config.repo}
    org = name.partition("/")[0]
    found = known.get(name) or known.get(f"{org}/*")
    if found is None:
        return repository(name, environ)
    repository(name, {})  # refuses what is no name of a repository
    return replace(found, name=name)


def _narrowed(settings: RepoSettings, flags: Flags) -> RepoSettings:
    """The settings with what the command line says instead."""
    said = {
        "since": flags.since,
        "include": flags.include,
        "exclude": flags.exclude,
        "workflows": flags.workflow,
    }
    return replace(settings, **{key: value for key, value in said.items() if value})


def scope(names: Iterable[str]) -> list[str]:
    """Names of repositories from the command line, checked, each once."""
    return [repository(name, {}).name for name in dict.fromkeys(names)]


def chosen(names: Iterable[str], known: Sequence[RepoName]) -> list[RepoName]:
    """The repositories of a ledger that names stand for, ``org/*`` for all of an organisation's.

    No names: all of them. ``UsageError`` for a name that stands for none.
    """
    found: dict[RepoName, None] = {}
    for name in names:
        fitting = [repo for repo in known if _stands_for(name, repo)]
        if not fitting:
            there = ", ".join(map(str, known)) or "none yet"
            raise UsageError(f"nothing of {name} is mirrored; what is: {there}")
        found.update(dict.fromkeys(fitting))
    return list(found) or list(known)


def _stands_for(name: str, repo: RepoName) -> bool:
    return name == str(repo) or name == f"{repo.org}/*"
