"""Finds artifacts in the ledger: what is asked for, as filters of it."""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.app.selection import check_globs, checked_names, known_repositories
from artifact_sync.config.keys import pasted_run
from artifact_sync.domain.errors import NothingFits, UsageError
from artifact_sync.domain.globs import path_regex, plain_path, slug_regex
from artifact_sync.domain.listing import NEWEST, ArtifactFilter, SortKey
from artifact_sync.domain.model import RunKey, State
from artifact_sync.runtime.text import printable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from datetime import datetime

    from artifact_sync.domain.model import ArtifactRow, RepoName
    from artifact_sync.domain.ports import Ledger

_NAMED = 5
"""Names that a message has."""
_TOLD_STATES = tuple(it.value for it in State if it.told is it)


class ListingTerms(Struct, frozen=True, kw_only=True):
    """What a user wants to have listed. All of it must fit."""

    names: Sequence[str] = ()
    """Repositories, checked; none: all."""
    runs: Sequence[str] = ()
    """Of one of these runs, each a number, ``latest`` or ``latest-success``; none: of any."""
    workflow: Sequence[str] = ()
    """Globs, of which one must fit the workflow."""
    include: Sequence[str] = ()
    """Globs, of which one must fit the path in CI, or the name of a log."""
    exclude: Sequence[str] = ()
    """Globs, of which none may; they go before ``include``."""
    states: Sequence[str] = ()
    """In one of these states, as they are told; none: in any but ``unwanted``."""
    since: datetime | None = None
    sha256: str | None = None
    """The first digits of one, or all; None: of any."""
    sort: SortKey | None = None
    reverse: bool = False
    everything: bool = False
    """Also what is ``unwanted``."""

    def check(self) -> None:
        """Check all that no ledger is needed for. ``UsageError``."""
        if "" in (*self.runs, *self.workflow, *self.include, *self.exclude):
            raise UsageError(
                "an empty include, exclude, workflow or run selects nothing: leave it out"
            )
        check_globs(self.workflow, self.include, self.exclude)
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-f]{1,64}", self.sha256):
            raise UsageError(
                f"a SHA-256 is 64 characters of 0-9 and a-f, or the first of them; got"
                f" {printable(self.sha256)}"
            )
        for state in self.states:
            if state not in _TOLD_STATES:
                there = ", ".join(_TOLD_STATES)
                raise UsageError(f"no artifact is ever {printable(state)}: there is {there}")

    @property
    def _states(self) -> frozenset[State]:
        if self.states:
            return frozenset(it for it in State if it.told in self.states)
        return frozenset(State) if self.everything else frozenset(State) - {State.UNWANTED}

    def ledger_filter(self, runs: frozenset[RunKey] | None) -> ArtifactFilter:
        """The part that the ledger looks after."""
        return ArtifactFilter(
            runs=runs,
            states=self._states,
            since=self.since,
            sha256=self.sha256 or "",
            sort=self.sort,
            reverse=self.reverse,
        )


async def listed(ledger: Ledger, terms: ListingTerms) -> AsyncGenerator[ArtifactRow]:
    """List what fits, in bounded batches. ``UsageError`` for a repository that nobody knows."""
    repos = known_repositories(terms.names, await ledger.repositories())
    async with aclosing(listed_of(ledger, repos, terms)) as rows:
        async for row in rows:
            yield row


async def listed_of(
    ledger: Ledger, repos: Sequence[RepoName], terms: ListingTerms
) -> AsyncGenerator[ArtifactRow]:
    """List what fits of these repositories, whatever ``terms.names`` says."""
    runs = await named_runs(ledger, repos, terms.runs) if terms.runs else None
    fits = NameFilter(terms.workflow, terms.include, terms.exclude)
    async with aclosing(ledger.select(repos, terms.ledger_filter(runs))) as rows:
        async for row in rows:
            if fits(row):
                yield row


async def named_runs(
    ledger: Ledger, repos: Sequence[RepoName], names: Sequence[str]
) -> frozenset[RunKey]:
    """The runs of these repositories that are meant by numbers, or as ``latest``."""
    found: set[RunKey] = set()
    for repo in repos:
        newest = await ledger.newest_complete(repo) if set(NEWEST).intersection(names) else ()
        latest = {name: key for name, key in zip(NEWEST, newest, strict=False) if key is not None}
        found |= {latest[name] if name in latest else RunKey(repo, name) for name in names}
    return frozenset(found)


class NameFilter:
    """Holds globs against artifacts: one must fit the workflow, one the path."""

    def __init__(
        self, workflow: Sequence[str], include: Sequence[str], exclude: Sequence[str] = ()
    ) -> None:
        self._workflow = [re.compile(slug_regex(glob)) for glob in workflow]
        self._include = [re.compile(path_regex(glob)) for glob in include]
        self._exclude = [re.compile(path_regex(glob)) for glob in exclude]

    def __call__(self, row: ArtifactRow) -> bool:
        """Whether it fits, and none of ``exclude`` does. A log is its cube's name and ``.log``."""
        if self._workflow and not any(it.match(row.key.workflow) for it in self._workflow):
            return False
        if not (self._include or self._exclude):
            return True
        path = "/" + plain_path(row.key.name)
        included = not self._include or any(it.match(path) for it in self._include)
        return included and not any(it.match(path) for it in self._exclude)


def files_named(where: str, globs: Sequence[str]) -> ListingTerms:
    """The mirrored files that ``ORG/REPO[@RUN]`` and globs stand for. ``UsageError``.

    The address of a run's page means that run; without a run it is all of them.
    """
    name, at, run = where.rpartition("@")
    if not at:
        name, run = where, pasted_run(where) or ""
    if at and not run:
        raise UsageError(
            f"{printable(where)} ends with @ and names no run: leave the @ out for all of them"
        )
    terms = ListingTerms(
        names=checked_names([name]),
        runs=(run,) if run else (),
        include=tuple(globs),
        states=(State.MIRRORED.value,),
    )
    terms.check()
    return terms


async def named_files(ledger: Ledger, terms: ListingTerms) -> AsyncGenerator[ArtifactRow]:
    """List the files that ``files_named`` stands for. ``NothingFits`` where there is none."""
    try:
        known_repositories(terms.names, await ledger.repositories())
    except UsageError as error:
        raise NothingFits(str(error)) from None
    found = False
    async with aclosing(listed(ledger, terms)) as rows:
        async for row in rows:
            found = True
            yield row
    if not found:
        raise NothingFits(await _why_nothing(ledger, terms))


async def _why_nothing(ledger: Ledger, terms: ListingTerms) -> str:
    """What was looked for in vain, and what there is."""
    (repo,), hint = terms.names, f"artifact-sync ls {terms.names[0]} lists what is known"
    repos = known_repositories(terms.names, await ledger.repositories())
    for run in terms.runs:
        keys = await named_runs(ledger, repos, terms.runs)
        rows = [await ledger.run(key) for key in keys]
        known = [row for row in rows if row is not None]
        if not known and run in NEWEST:
            if run == NEWEST[0]:
                return f"{repo} has no complete run so far: {hint}"
            return f"{repo} has no complete run that succeeded so far: {hint}"
        if not known:
            return f"{repo} has no run {printable(run)}: {hint}"
        if (at := known[0].pruned_at) is not None:
            return f"run {printable(run)} of {repo} was pruned on {at:%Y-%m-%d}: {hint}"
    where = f"{repo}@{printable(terms.runs[0])}" if terms.runs else repo
    fits = f" fits {printable(' or '.join(terms.include))}" if terms.include else ""
    return f"no mirrored file of {where}{fits}; there is {await _names(ledger, terms)}: {hint}"


async def _names(ledger: Ledger, terms: ListingTerms) -> str:
    """Some names as globs are held against them, for a message."""
    found: dict[str, None] = {}
    anything = ListingTerms(names=terms.names, runs=terms.runs, states=terms.states)
    async with aclosing(listed(ledger, anything)) as rows:
        async for row in rows:
            found[printable(plain_path(row.key.name))] = None
            if len(found) > _NAMED:
                break
    return ", ".join([*found][:_NAMED]) + ", …" * (len(found) > _NAMED) or "none"
