"""Let go of artifacts, runs and repositories, and take that back.

A rule in the ledger says what is let go; it is noted first, so that whoever comes next finishes
what is broken off. The artifacts are FORGOTTEN at once, also while a pass is over them: a download
that ends later does not change that. Manifests and files follow when the repository is free.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.errors import Reason
from artifact_sync.domain.events import Remembered
from artifact_sync.domain.model import REMOVED, RunKey, State, Upstream
from artifact_sync.sync.context import leased
from artifact_sync.sync.manifests import refresh_manifests, write_or_unsettle
from artifact_sync.sync.remove import finish_removals, point_away, remove, withdraw

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence

    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.forget_rules import ForgetRule, ForgetScope
    from artifact_sync.domain.model import ArtifactKey, ArtifactRow, RepoName
    from artifact_sync.domain.ports import (
        ArtifactStore,
        Clock,
        LatestPointer,
        Ledger,
        RepositoryLock,
    )
    from artifact_sync.mirror.layout import Layout
    from artifact_sync.runtime.threads import Offload
    from artifact_sync.sync.remove import RemovalPlace


class MirrorKeeper(Struct, frozen=True):
    """Lets go and takes back, for whoever holds the mirror."""

    ledger: Ledger
    mirror: ArtifactStore
    latest: LatestPointer | None
    lock: RepositoryLock
    layout: Layout
    offload: Offload
    clock: Clock
    origin: str
    observer: Observer

    async def forget(self, rule: ForgetRule) -> None:
        """Carry out a rule that forgets. ``DiskError``: the next pass finishes it."""
        await self.ledger.begin_forgetting(rule)
        async with aclosing(runs_in(self.ledger, rule.scope)) as runs:
            async for _, rows in runs:
                await self.ledger.forget_artifacts(_to_forget(rows.values()))
        await self.finish(rule.scope.repo)

    async def finish(self, repo: RepoName) -> None:
        """Finish what was begun in a repository, also by others."""
        async with leased(self.lock, repo):
            await finish_forgetting(self, repo)

    async def remember(self, scope: ForgetScope) -> None:
        """Take back what was let go; the next pass does the rest."""
        async with leased(self.lock, scope.repo):
            await finish_removals(self, scope.repo)
            await self.ledger.remember(scope)
            async with aclosing(runs_in(self.ledger, scope)) as runs:
                async for run, rows in runs:
                    await self._remember(run, rows)

    async def _remember(self, run: RunKey, rows: Mapping[ArtifactKey, ArtifactRow]) -> None:
        back = [(row.key, state_of(row)) for row in rows.values() if row.state is State.FORGOTTEN]
        if back:
            await self.ledger.remember_artifacts(back)
            known = await self.ledger.artifacts(run)
            await self._restore_manifests(run, known.values())
            for begin in range(0, len(back), _TOLD):
                some = back[begin : begin + _TOLD]
                self.observer.notify(Remembered(run, tuple(known[key] for key, _ in some)))

    async def _restore_manifests(self, run: RunKey, rows: Collection[ArtifactRow]) -> None:
        """Name again what is on record, where the run is complete without a look upstream."""
        row = await self.ledger.run(run)
        if row is not None and any(it.on_record for it in rows):
            whole = all(it.here or it.state in _NO_FILE for it in rows)
            if row.complete:
                await refresh_manifests(self, run, self.origin)
            elif whole:
                await write_or_unsettle(self, run, self.origin)
                await self.ledger.mark_complete(run, complete=True)


_TOLD = 500
"""Artifacts in one event."""

_NO_FILE = REMOVED | {State.EXPIRED, State.UNWANTED, State.PENDING, State.REFUSED}
"""States of what keeps no run from being complete."""


async def finish_forgetting(place: RemovalPlace, repo: RepoName) -> None:
    """Finish what was begun, also by others.

    To be called while the repository is held.
    """
    await finish_removals(place, repo)
    rules = await place.ledger.forget_rules(repo)
    if rules.unfinished:  # a crash may have come before that
        await point_away(place, repo)
    for rule in rules.unfinished:
        async with aclosing(runs_in(place.ledger, rule.scope)) as runs:
            async for run, rows in runs:
                mine = [row for row in rows.values() if rules.forgets(row.key)]
                await _forget_of_run(place, run, mine, deletes=rule.deletes)
        if rule.scope.run:  # a run may have failed before anything of it was known
            await place.ledger.recount(RunKey(repo, rule.scope.run))
        await place.ledger.end_forgetting(rule.scope)


async def _forget_of_run(
    place: RemovalPlace, run: RunKey, rows: Sequence[ArtifactRow], *, deletes: bool
) -> None:
    await place.ledger.forget_artifacts(_to_forget(rows))
    if files := [row for row in rows if deletes and has_file(row)]:
        await remove(place, run, files)
    else:
        await withdraw(place, run, await place.ledger.artifacts(run))
        await place.ledger.recount(run)


def has_file(row: ArtifactRow) -> bool:
    """Whether ``forget --delete`` is to remove a file of it."""
    return row.path is not None and bool(row.sha256) and row.state is not State.PRUNED


def _to_forget(rows: Iterable[ArtifactRow]) -> list[ArtifactKey]:
    return [row.key for row in rows if row.state not in REMOVED]


def state_of(row: ArtifactRow) -> State:
    """The state of what is remembered, by what is known of it."""
    if row.sha256 and row.path is not None:
        return State.LOST if row.lost_since is not None else State.MIRRORED
    if row.reason:
        return _STATES.get(Reason(row.reason), State.FAILED)
    return State.EXPIRED if row.upstream is Upstream.GONE else State.WANTED


_STATES = {
    Reason.GONE: State.GONE,
    Reason.UNSAFE_PATH: State.REFUSED,
    Reason.COLLISION: State.REFUSED,
}


async def runs_in(
    ledger: Ledger, scope: ForgetScope
) -> AsyncGenerator[tuple[RunKey, Mapping[ArtifactKey, ArtifactRow]]]:
    """What is known of a scope, a run at a time, newest first."""
    run: RunKey | None = None
    some: dict[ArtifactKey, ArtifactRow] = {}
    async with aclosing(ledger.listing(scope.repo, scope.run or None)) as rows:
        async for row in rows:
            if run is None or row.key.run != run.run:
                if run is not None:
                    yield run, some
                run, some = row.key.run_key, {}
            if scope.holds(row.key):
                some[row.key] = row
    if run is not None:
        yield run, some
