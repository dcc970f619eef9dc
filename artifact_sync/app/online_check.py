"""Asks the service whether the filters of a configuration fit anything."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from artifact_sync.app.network import open_network
from artifact_sync.domain.model import FilterNotes, RepoName
from artifact_sync.sync.filters import FilterFit
from artifact_sync.sync.rules import Rules

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.model import Run
    from artifact_sync.domain.ports import Source
    from artifact_sync.domain.settings import Config

_RUNS = 10
"""Runs of a repository that are looked at, as they are listed."""
_LISTED = 200
"""Runs that are listed, at most, to find them."""
_REPOS = 20
"""Repositories of an organisation that are looked at."""


async def filter_warnings(config: Config, token: Token | None, observer: Observer) -> list[str]:
    """A sentence for each filter that fits nothing.

    Raises what the service's answers end in.
    """
    found: list[str] = []
    async with open_network(config, token, observer) as network:
        for settings in config.repo:
            name = RepoName.parse(settings.name)
            rules = Rules.of(settings, config.mirror.layout)
            of = _of_organisation if name.is_star else _of_repository
            found += await of(network.source, name, rules)
    return found


async def _of_repository(source: Source, repo: RepoName, rules: Rules) -> list[str]:
    fit, wanted = await _held_against(source, repo, rules)
    if not wanted:
        what = f"none of the finished runs of {repo} that are listed first is wanted"
        return [f"{what}: look at run_statuses, events and since"]
    return list(fit.unfit(repo))


async def _of_organisation(source: Source, star: RepoName, rules: Rules) -> list[str]:
    unfit: frozenset[tuple[str, str]] | None = None
    left = _REPOS
    async with aclosing(source.repositories(star.org)) as repositories:
        async for repo in repositories:
            fit, _ = await _held_against(source, repo, rules)
            here = fit.unfit_globs
            if here is not None:
                unfit = here if unfit is None else unfit & here
            left -= 1
            if not left:
                break
    where = f"in any of the first repositories of {star}"
    return [f"{key}: {glob!r} has fitted nothing {where}" for key, glob in sorted(unfit or ())]


async def _held_against(source: Source, repo: RepoName, rules: Rules) -> tuple[FilterFit, int]:
    """The filters, held against some runs, and how many these were."""
    fit, count = FilterFit(rules, FilterNotes()), 0
    async with aclosing(_wanted(source, repo, rules)) as runs:
        async for run in runs:
            whole = await source.run(run.key)
            fit.take(it.key for it in whole.artifacts)
            count += 1
            if count == _RUNS:
                break
    return fit, count


async def _wanted(source: Source, repo: RepoName, rules: Rules) -> AsyncGenerator[Run]:
    """The wanted ones among the runs that are listed first."""
    since, left = rules.horizon(datetime.now(UTC)), _LISTED
    async with aclosing(source.runs(repo)) as pages:
        async for page in pages:
            for run in page.runs:
                old = since is not None and run.created_at is not None and run.created_at < since
                if not old and rules.may_want_run(run.status, run.event):
                    yield run
            left -= len(page.runs)
            if left <= 0:
                return
