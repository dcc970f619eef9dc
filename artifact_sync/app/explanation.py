"""Finds an artifact by its path, and explains it."""

from __future__ import annotations

import os
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.app.locations import root_of
from artifact_sync.app.storage import open_storage
from artifact_sync.config import repository
from artifact_sync.domain.errors import UnsafePath, UsageError
from artifact_sync.domain.globs import plain_path
from artifact_sync.domain.model import REMOVED, RepoName, RunKey
from artifact_sync.runtime.text import printable
from artifact_sync.sync.explain import ArtifactFacts, deciding_rule, what_comes
from artifact_sync.sync.prune import plan_mirror
from artifact_sync.sync.prune_plan import PruneTerms
from artifact_sync.sync.rules import Rules

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from artifact_sync.app.storage import Storage
    from artifact_sync.domain.keeping import Pin, PlannedRun
    from artifact_sync.domain.listing import FailedTry
    from artifact_sync.domain.model import ArtifactRow, RunRow
    from artifact_sync.domain.ports import Ledger
    from artifact_sync.domain.settings import Config, RepoSettings
    from artifact_sync.mirror.layout import Layout
    from artifact_sync.sync.explain import DecidingRule


class Explanation(Struct, frozen=True):
    """An artifact, why it is here or not, and what comes next."""

    row: ArtifactRow
    run: RunRow
    complete: bool
    """Whether all that was selected of its run is here."""
    entry: str
    """The name of the ``[[repo]]`` whose rules hold; empty: none, so all is wanted."""
    rule: DecidingRule
    tries: Sequence[FailedTry]
    """The last failed ones, the oldest first."""
    pin: Pin | None
    planned: PlannedRun | None
    """What becomes of its run, by the rules of ``[keep]``; None: no file of it is on record."""
    refused: Sequence[str]
    """Why runs stay that these rules would have go."""
    comes: str
    """What happens next, a sentence."""


async def explanation_of(config: Config, told: str) -> Explanation:
    """Explain the artifact at a path as ``ls`` prints it. ``UsageError``: nobody knows it."""
    async with open_storage(config, rehearse=True) as store:
        row = await _Finder(store, root_of(config)).find(told)
        return await _explained(store.ledger, config, row)


async def _explained(ledger: Ledger, config: Config, row: ArtifactRow) -> Explanation:
    now, key = datetime.now(UTC), row.key.run_key
    run = await ledger.run(key)
    if run is None:  # it has gone since
        raise UsageError(f"{key.repo} has no run {printable(key.run)} any more")
    settings, entry = _settings_of(config, key.repo)
    rules = Rules.of(settings, config.mirror.layout)
    facts = ArtifactFacts(row, run, rules, await ledger.forget_rules(key.repo), now)
    rule = deciding_rule(facts)
    planned, refused = await _planned(ledger, config, key, now)
    return Explanation(
        row=row,
        run=run,
        complete=run.complete and not await _lacks_any(ledger, key),
        entry=entry,
        rule=rule,
        tries=await ledger.failed_tries(row.key),
        pin=await ledger.pinned(key),
        planned=planned,
        refused=refused,
        comes=what_comes(facts, rule, planned),
    )


async def _lacks_any(ledger: Ledger, run: RunKey) -> bool:
    """Whether a file of a run is lost, or was and has not come again."""
    async with aclosing(ledger.each_artifact(run)) as rows:
        async for row in rows:
            if row.on_record and row.lost_since is not None:
                return True
    return False


def _settings_of(config: Config, repo: RepoName) -> tuple[RepoSettings, str]:
    """The rules that hold for a repository, and the name of their entry."""
    entry = config.entry_of(repo)
    if entry is not None:
        return entry, entry.name
    return repository(str(repo), os.environ), ""


async def _planned(
    ledger: Ledger, config: Config, key: RunKey, now: datetime
) -> tuple[PlannedRun | None, Sequence[str]]:
    """What a prune would do with a run, and what holds it back."""
    named = [] if config.keep.max_size is not None else [key.repo]
    for plan in await plan_mirror(ledger, config, PruneTerms(now), named):
        if plan.repo == key.repo:
            return next((it for it in plan.runs if it.run == key.run), None), plan.refused
    return None, ()


class _Finder:
    """Finds the artifact that is meant by a path, or by what ``ls`` prints in its place."""

    def __init__(self, store: Storage, root: Path) -> None:
        self._store = store
        self._ledger = store.ledger
        self._layout: Layout = store.layout
        self._root = root

    async def find(self, told: str) -> ArtifactRow:
        """The artifact. ``UsageError``, which says what else it may be."""
        paths = list(dict.fromkeys(_meant(told, self._root)))
        for path in paths:
            if rows := await self._ledger.at_path(path):
                return max(rows, key=_likely)
        for path in paths:
            async with aclosing(self._named(path)) as found:
                async for row in found:
                    return row
        raise UsageError(await self._unknown(told, paths))

    async def _named(self, path: str) -> AsyncGenerator[ArtifactRow]:
        """Artifacts whose parts, or whose place by the layout, make this path."""
        run = _run_in(path)
        if run is None or await self._ledger.run(run) is None:
            return
        plain = plain_path(path)
        async with aclosing(self._ledger.each_artifact(run)) as rows:
            async for row in rows:
                name = str(row.key)
                printed = (printable(name), printable(row.path or ""))
                if plain_path(name) == plain or self._place(row) == path or path in printed:
                    yield row

    def _place(self, row: ArtifactRow) -> str | None:
        with suppress(UnsafePath):
            return self._layout.place(row.key)
        return None

    async def _unknown(self, told: str, paths: Sequence[str]) -> str:
        """What is said of a path that is no artifact's."""
        what = printable(told)
        for path in paths:
            run = _run_in(path)
            row = await self._ledger.run(run) if run is not None else None
            if row is not None and row.pruned_at is not None:
                return (
                    f"{what}: run {printable(row.key.run)} of {row.key.repo} was pruned on"
                    f" {row.pruned_at:%Y-%m-%d}, and nothing of it is known any more: artifact-sync"
                    " remember takes that back while the service has it"
                )
            if row is not None and path in self._layout.beside(row.key):
                which = f"{row.key.repo} {printable(row.key.run)}"
                return f"{what} is a manifest, no artifact: artifact-sync show {which} tells of it"
            async with aclosing(self._ledger.at(path)) as below:
                async for it in below:
                    some = printable(it.path or "")
                    return f"{what} is a folder: name a file of it, such as {some}"
        return f"no artifact is known at {what}: artifact-sync ls {await self._near(paths)}"

    async def _near(self, paths: Sequence[str]) -> str:
        """The rest of a command that lists what may be meant."""
        for path in paths:
            run = _run_in(path)
            if run is not None and await self._ledger.run(run) is not None:
                return f"{run.repo} --run {printable(run.run)} lists those of its run"
        return "--all --include GLOB looks for one by its name"


def _likely(row: ArtifactRow) -> tuple[bool, bool, float]:
    """Of several at one path: what is here, else what was not removed, else the newest."""
    made = row.created_at.timestamp() if row.created_at is not None else 0.0
    return row.here, row.state not in REMOVED, made


def _meant(told: str, root: Path) -> Iterator[str]:
    """The paths below the root that a user may mean, the likely ones first."""
    yield told.removeprefix("./")
    with suppress(ValueError, OSError):
        yield Path(os.path.abspath(told)).relative_to(root).as_posix()  # noqa: PTH100 - links stay
    with suppress(ValueError, OSError):  # through latest, or a link to the mirror
        yield Path(told).resolve().relative_to(root.resolve()).as_posix()
    with suppress(ValueError, OSError):
        yield (root / told).resolve().relative_to(root.resolve()).as_posix()


def _run_in(path: str) -> RunKey | None:
    """The run that a path begins with."""
    org, _, rest = path.partition("/")
    repo, _, rest = rest.partition("/")
    run = rest.partition("/")[0]
    return RunKey(RepoName(org, repo), run) if org and repo and run else None
