"""Opens a mirror to let go of artifacts, or to take that back."""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.app.holder import opened_or_held
from artifact_sync.app.hooks import deliver_at_end
from artifact_sync.app.locations import has_ledger
from artifact_sync.app.selection import check_globs, checked_names, known_repositories
from artifact_sync.app.storage import open_storage
from artifact_sync.config.keys import pasted_run
from artifact_sync.domain.errors import UsageError
from artifact_sync.domain.forget_rules import ForgetRule, ForgetScope
from artifact_sync.domain.globs import plain_path
from artifact_sync.domain.model import RepoName, RunKey, State
from artifact_sync.runtime.text import printable
from artifact_sync.sync.forget import MirrorKeeper, has_file, runs_in

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from artifact_sync.app.storage import Storage
    from artifact_sync.daemon.control.client import DaemonClient
    from artifact_sync.domain.events import Observer
    from artifact_sync.domain.model import ArtifactRow
    from artifact_sync.domain.settings import Config


_NAMED = 5
"""Paths of a run that a message names."""


def scope_of(repo: str, run: str | None, glob: str | None) -> ForgetScope:
    """What a user names. ``UsageError`` for what cannot be meant.

    The address of a run's page means that run, and never its whole repository.
    """
    page = pasted_run(repo)
    if page is not None and run not in {None, page}:
        raise UsageError(f"this is the address of run {page}: give ORG/REPO instead")
    run = page if run is None else run
    if "" in (run, glob):
        raise UsageError("an empty RUN or GLOB names nothing: leave it out for everything")
    check_globs([glob] if glob else [])
    name = RepoName.parse(checked_names([repo])[0])
    if name.is_star:
        raise UsageError(f"{name} stands for several repositories: name one of them")
    return ForgetScope(name, run or "", glob or "")


class Forgetting(Struct, frozen=True):
    """Lets go of artifacts in one mirror, and takes that back."""

    store: Storage
    config: Config
    daemon: DaemonClient | None = None
    """What does it, where a daemon holds the mirror."""

    async def check(self, scope: ForgetScope) -> None:
        """``UsageError`` where the ledger knows nothing of a scope."""
        ledger = self.store.ledger
        known_repositories([str(scope.repo)], await ledger.repositories())
        hint = f"artifact-sync ls {scope.repo} lists what is known"
        if scope.run and await ledger.run(RunKey(scope.repo, scope.run)) is None:
            raise UsageError(f"{scope.repo} has no run {printable(scope.run)}: {hint}")
        if scope.glob and not await _is_any(self._rows(scope)):
            run = f"run {printable(scope.run)} of {scope.repo}"
            there = await self._paths(ForgetScope(scope.repo, scope.run))
            raise UsageError(
                f"no artifact of {run} fits {printable(scope.glob)}; there is {there}: {hint}"
            )

    async def _paths(self, scope: ForgetScope) -> str:
        """Some paths as a glob is held against them, for a message."""
        found: dict[str, None] = {}
        async with aclosing(self._rows(scope)) as rows:
            async for row in rows:
                found[plain_path(row.key.name)] = None
                if len(found) > _NAMED:
                    break
        named = [printable(path) for path in found if path][:_NAMED]
        return ", ".join(named) + ", …" * (len(found) > _NAMED) or "none"

    async def check_forgotten(self, scope: ForgetScope) -> None:
        """``UsageError`` where nothing of a scope was forgotten."""
        await self.check(scope)
        rules = (await self.store.ledger.forget_rules(scope.repo)).rules
        known = any(it.scope.covers(scope) or scope.covers(it.scope) for it in rules)
        known = known or await self._is_pruned(scope)
        if not (known or await _is_any(self.forgotten(scope))):
            hint = f"artifact-sync ls {scope.repo} lists what is"
            raise UsageError(f"nothing of {printable(str(scope))} was forgotten: {hint}")

    async def _is_pruned(self, scope: ForgetScope) -> bool:
        if not scope.run:
            return (await self.store.ledger.totals(scope.repo)).pruned_runs > 0
        run = await self.store.ledger.run(RunKey(scope.repo, scope.run))
        return run is not None and run.pruned_at is not None and not scope.glob

    async def files(self, scope: ForgetScope) -> tuple[int, int]:
        """How many files of a scope may be removed, and their bytes."""
        count = size = 0
        async with aclosing(self._rows(scope)) as rows:
            async for row in rows:
                if has_file(row) and row.lost_since is None:
                    count, size = count + 1, size + (row.size or 0)
        return count, size

    async def forgotten(self, scope: ForgetScope) -> AsyncGenerator[ArtifactRow]:
        """List what is forgotten of a scope."""
        async with aclosing(self._rows(scope)) as rows:
            async for row in rows:
                if row.state is State.FORGOTTEN:
                    yield row

    async def forget(self, scope: ForgetScope, observer: Observer, *, delete: bool) -> None:
        """Let go of a scope. ``DiskError``: the next pass finishes it."""
        if self.daemon is not None:
            base_url = self.config.source.base_url
            await self.daemon.forget(scope, base_url, observer, delete=delete)
        else:
            await keeper_of(self.store, self.config, observer).forget(
                ForgetRule(scope, deletes=delete)
            )
            if delete and self.config.hook:
                store = self.store
                await deliver_at_end(self.config, store.ledger, store.layout, store.clock)

    async def remember(self, scope: ForgetScope, observer: Observer) -> None:
        """Take back what was let go."""
        if self.daemon is not None:
            await self.daemon.remember(scope, self.config.source.base_url, observer)
        else:
            await keeper_of(self.store, self.config, observer).remember(scope)

    async def _rows(self, scope: ForgetScope) -> AsyncGenerator[ArtifactRow]:
        async with aclosing(runs_in(self.store.ledger, scope)) as runs:
            async for _, rows in runs:
                for row in rows.values():
                    yield row


def keeper_of(store: Storage, config: Config, observer: Observer) -> MirrorKeeper:
    """What lets go and takes back in an opened mirror."""
    return MirrorKeeper(
        ledger=store.ledger,
        mirror=store.mirror,
        latest=store.mirror,
        lock=store.lock,
        layout=store.layout,
        offload=store.offload,
        clock=store.clock,
        origin=config.source.host,
        observer=observer,
    )


async def _is_any(rows: AsyncGenerator[ArtifactRow]) -> bool:
    async with aclosing(rows):
        return await anext(rows, None) is not None


def check_begun(config: Config) -> None:
    """``UsageError`` where nothing is mirrored yet."""
    if not has_ledger(config):
        what = f"nothing is mirrored in {config.mirror.root} yet"
        raise UsageError(f"{what}: --root or mirror.root names the folder of a mirror")


async def files_in(config: Config, scope: ForgetScope) -> tuple[int, int]:
    """Count the files to be removed with a scope, and their bytes.

    ``UsageError`` where nothing fits.
    """
    async with open_storage(config, rehearse=True) as store:
        forgetting = Forgetting(store, config)
        await forgetting.check(scope)
        return await forgetting.files(scope)


@asynccontextmanager
async def opened_forgetting(config: Config) -> AsyncGenerator[Forgetting]:
    """Open a mirror, locked; or a daemon's, that is asked.

    ``MirrorBusy``, ``DiskError``, ``UsageError``, ``LedgerTooNew``.
    """
    async with opened_or_held(config, frees=True) as (store, daemon):
        yield Forgetting(store, config, daemon)
