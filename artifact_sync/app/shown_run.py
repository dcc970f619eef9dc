"""Reads what is known of one run from the ledger."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from artifact_sync.app.selection import known_repositories
from artifact_sync.app.storage import open_storage
from artifact_sync.domain.errors import UsageError
from artifact_sync.domain.listing import NEWEST
from artifact_sync.domain.model import RunKey, RunRow
from artifact_sync.mirror.run_document import RunDocument
from artifact_sync.runtime.text import printable
from artifact_sync.sync.manifests import manifest_of

if TYPE_CHECKING:
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.ports import Ledger
    from artifact_sync.domain.settings import Config


class ShownRun(Struct, frozen=True):
    """A run, and what its ``run.json`` says or would say."""

    row: RunRow
    document: RunDocument
    let_go: bool = False
    """Whether all of it was forgotten on purpose."""

    @property
    def complete(self) -> bool:
        """Whether all that was selected of it is here."""
        return self.row.complete and not self.document.missing


async def shown_run(config: Config, repo: RepoName, name: str) -> ShownRun:
    """Read a run by its number, or as ``latest``.

    ``UsageError`` where it is not known.
    """
    async with open_storage(config, rehearse=True) as store:
        known_repositories([str(repo)], await store.ledger.repositories())
        row = await _row(store.ledger, repo, name)
        let_go = (await store.ledger.forget_rules(repo)).forgets_run(row.key)
        manifest = await manifest_of(row, store.ledger, store.layout, config.source.host)
    told = json.loads(manifest.about())  # it has lone surrogates, which msgspec does not read
    return ShownRun(row, msgspec.convert(told, RunDocument), let_go)


async def _row(ledger: Ledger, repo: RepoName, name: str) -> RunRow:
    row = await ledger.run(RunKey(repo, name))
    if row is None and name in NEWEST:
        key = (await ledger.newest_complete(repo))[NEWEST.index(name)]
        row = await ledger.run(key) if key is not None else None
    if row is None:
        hint = f"artifact-sync ls {repo} lists what is known"
        raise UsageError(f"{repo} has no run {printable(name)}: {hint}")
    return row
