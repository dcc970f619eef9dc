"""``ports.Ledger`` for the event loop, over the writer thread."""

# ruff: noqa: D102 - the verbs' docstrings are on the port

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from artifact_sync.ledger.drivers.location import OpenTerms, location
from artifact_sync.ledger.drivers.open import open_store
from artifact_sync.ledger.queries import artifact_reads, artifact_writes, list_digest, runs, totals
from artifact_sync.ledger.queries.artifact_reads import Scope
from artifact_sync.ledger.writer_thread import WriterThread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from typing import Self

    from artifact_sync.domain.model import (
        ArtifactKey,
        ArtifactRow,
        ExpectedFile,
        Failure,
        Horizon,
        Mirrored,
        RepoName,
        Run,
        RunKey,
        RunRow,
        RunScope,
        State,
        Totals,
    )
    from artifact_sync.domain.report import Report
    from artifact_sync.domain.settings import Durability

_Row = TypeVar("_Row")
_Position = TypeVar("_Position")


class AsyncLedger:
    """An open ledger. What each verb promises is written on ``ports.Ledger``."""

    def __init__(self, worker: WriterThread, file: Path | None) -> None:
        self._worker = worker
        self._file = file
        """SQLite's; None: in memory, or on a server."""

    @classmethod
    async def open(
        cls, url: str | Path, *, durability: Durability, create: bool, read_only: bool
    ) -> Self:
        """Open a ledger; see ``open_ledger``."""
        terms = OpenTerms(durability, create, read_only)
        worker = WriterThread(partial(open_store, url, terms))
        await worker.start()
        return cls(worker, location(url).file)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def claim_layout(self, template: str) -> str:
        held = await self.layout()  # a reader then has nothing to write
        if held is not None:
            return held
        return await self._worker.write(partial(totals.claim_layout, template=template))

    async def layout(self) -> str | None:
        """The layout that was claimed; None: none yet. Claims nothing."""
        return await self._worker.read(totals.layout)

    async def claim_mirror(self, mirror: str) -> str:
        held = await self.mirror()
        if held is not None:
            return held
        return await self._worker.write(partial(totals.claim_mirror, mirror=mirror))

    async def mirror(self) -> str | None:
        return await self._worker.read(totals.mirror)

    async def horizon(self, repo: RepoName) -> Horizon | None:
        return await self._worker.read(partial(runs.horizon, repo=repo))

    async def raise_horizon(self, repo: RepoName, horizon: Horizon) -> None:
        await self._worker.write(partial(runs.raise_horizon, repo=repo, new=horizon))

    async def list_digest(self, repo: RepoName) -> tuple[str, datetime] | None:
        return await self._worker.read(partial(list_digest.list_digest, repo=repo))

    async def note_list_digest(self, repo: RepoName, digest: str, at: datetime) -> None:
        verb = partial(list_digest.note_list_digest, repo=repo, digest=digest, at=at)
        await self._worker.write(verb)

    async def note_runs(self, listed: Sequence[Run], at: datetime) -> None:
        if listed:
            await self._worker.write(partial(runs.note_runs, listed=listed, at=at))

    async def note_run(self, run: Run, at: datetime) -> None:
        await self._worker.write(partial(runs.note_run, run=run, at=at))

    async def run(self, key: RunKey) -> RunRow | None:
        return await self._worker.read(partial(runs.run, key=key))

    async def runs(self, repo: RepoName) -> AsyncGenerator[RunRow]:
        async for row in self._pages(partial(runs.newest, repo=repo)):
            yield row

    async def unsettled(self, scope: RunScope) -> AsyncGenerator[RunRow]:
        async for row in self._pages(partial(runs.unsettled, scope=scope)):
            yield row

    async def settle(self, key: RunKey, selection: str, kept: int | None) -> None:
        await self._worker.write(partial(runs.settle, key=key, selection=selection, kept=kept))

    async def look_again(self, key: RunKey, at: datetime) -> None:
        await self._worker.write(partial(runs.look_again, key=key, at=at))

    async def unsettle(self, key: RunKey) -> None:
        await self._worker.write(partial(runs.unsettle, key=key))

    async def mark_complete(self, key: RunKey, *, complete: bool) -> None:
        await self._worker.write(partial(runs.mark_complete, key=key, complete=complete))

    async def newest_complete(self, repo: RepoName) -> tuple[RunKey | None, RunKey | None]:
        return await self._worker.read(partial(runs.newest_complete, repo=repo))

    async def artifacts(self, key: RunKey) -> Mapping[ArtifactKey, ArtifactRow]:
        return await self._worker.read(partial(artifact_reads.of_run, key=key))

    async def record_mirrored(self, mirrored: Mirrored) -> None:
        await self._worker.record(artifact_writes.record_mirrored, mirrored)

    async def record_states(
        self, rows: Sequence[tuple[ArtifactKey, State, str]], at: datetime
    ) -> None:
        if rows:
            await self._worker.write(partial(artifact_writes.record_states, rows=rows, at=at))

    async def record_failure(
        self, key: ArtifactKey, state: State, failure: Failure, at: datetime
    ) -> None:
        work = partial(artifact_writes.record_failure, key=key, state=state, failure=failure, at=at)
        await self._worker.write(work)

    async def forget(self, keys: Sequence[ArtifactKey]) -> None:
        if keys:
            await self._worker.write(partial(artifact_writes.forget, keys=keys))

    async def pruning(self, keys: Sequence[ArtifactKey]) -> None:
        if keys:
            await self._worker.write(partial(artifact_writes.begin_pruning, keys=keys))

    async def pruned(self, keys: Sequence[ArtifactKey]) -> None:
        if keys:
            await self._worker.write(partial(artifact_writes.end_pruning, keys=keys))

    async def being_pruned(self, repo: RepoName) -> Sequence[ArtifactRow]:
        return await self._worker.read(partial(artifact_reads.being_pruned, repo=repo))

    async def recent(self, repo: RepoName, limit: int) -> Sequence[ExpectedFile]:
        return await self._worker.read(partial(artifact_reads.recent, repo=repo, limit=limit))

    async def mirrored(
        self, repo: RepoName | None = None, run: str | None = None
    ) -> AsyncGenerator[ArtifactRow]:
        async for row in self._pages(partial(artifact_reads.mirrored, scope=Scope(repo, run))):
            yield row

    async def at(self, path: str) -> AsyncGenerator[ArtifactRow]:
        async for row in self._pages(partial(artifact_reads.at, path=path)):
            yield row

    async def listing(
        self, repo: RepoName | None = None, run: str | None = None
    ) -> AsyncGenerator[ArtifactRow]:
        for each in await self.repositories() if repo is None else [repo]:
            async for row in self._pages(partial(artifact_reads.listing, repo=each, run=run)):
                yield row

    async def unwell(self, scope: RunScope) -> Sequence[ArtifactRow]:
        return await self._worker.read(partial(artifact_reads.unwell, scope=scope))

    async def settled_totals(self, scope: RunScope) -> tuple[int, int]:
        return await self._worker.read(partial(totals.settled_totals, scope=scope))

    async def next_look(self, scope: RunScope) -> datetime | None:
        return await self._worker.read(partial(runs.next_look, scope=scope))

    async def repositories(self) -> Sequence[RepoName]:
        return await self._worker.read(runs.all_repositories)

    async def totals(self, repo: RepoName) -> Totals:
        return await self._worker.read(partial(totals.totals, repo=repo))

    async def all_totals(self) -> Sequence[Totals]:
        return await self._worker.read(totals.all_totals)

    async def begin_pass(self, repo: RepoName, at: datetime) -> int:
        return await self._worker.write(partial(totals.begin_pass, repo=repo, at=at))

    async def end_pass(self, number: int, report: Report, at: datetime) -> None:
        await self._worker.write(partial(totals.end_pass, number=number, report=report, at=at))

    async def ping(self) -> None:
        await self._worker.read(totals.layout)

    async def size(self) -> int | None:
        if self._file is None:
            return None
        return await self._worker.read(partial(totals.size, file=self._file))

    async def aclose(self) -> None:
        await self._worker.stop()

    async def _pages(
        self, page: Callable[..., tuple[Sequence[_Row], _Position | None]]
    ) -> AsyncGenerator[_Row]:
        """All rows, a batch at a time; nothing is held open between batches."""
        place: _Position | None = None
        while True:
            rows, place = await self._worker.read(partial(page, after=place))
            for row in rows:
                yield row
            if place is None:
                return
