"""Reads a ledger on the calling thread, without an event loop."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from artifact_sync.app.displaced import displaced_sizes
from artifact_sync.app.locations import (
    MirrorIds,
    check_layout,
    has_ledger,
    is_in_store,
    is_inside,
    ledger_url,
    mounted_root_of,
)
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.domain.status import RepoStatus
from artifact_sync.domain.vanishing import SOON, CreationWindow
from artifact_sync.ledger.drivers.location import OpenTerms
from artifact_sync.ledger.drivers.store import Store, open_store
from artifact_sync.ledger.queries import artifact_reads, runs, totals
from artifact_sync.mirror.local.own_folder import prepare, read_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from artifact_sync.domain.model import RepoName, RunRow, Totals
    from artifact_sync.domain.settings import Config
    from artifact_sync.ledger.sql.connection import Connection

T = TypeVar("T")


def read_totals(config: Config) -> Sequence[Totals]:
    """Read the counts of a mirror; none where nothing is mirrored.

    ``UsageError``, ``DiskError``, ``LedgerTooNew``.
    """
    return _read(config, totals.all_totals) or []


def read_status(config: Config) -> list[RepoStatus]:
    """Read what ``status`` tells of each repository. Raises as ``read_totals`` does."""
    window = CreationWindow.of(datetime.now(UTC), config.source.retention, SOON)
    found = _read(config, lambda it: (totals.all_totals(it), totals.endangered(it, window)))
    every, endangered = found or ((), ())
    vanishing = {it.repo: it.vanishing for it in endangered}
    sizes = displaced_sizes(config, vanishing)
    return [RepoStatus.of(it, vanishing[it.repo], sizes.get(it.repo, 0)) for it in every]


def read_newest_runs(config: Config, repo: RepoName) -> Sequence[RunRow]:
    """Read the first of a repository's runs, newest first. Raises as ``read_totals`` does."""
    newest = _read(config, lambda connection: runs.newest(connection, None, repo))
    return newest[0] if newest else []


def _read(config: Config, query: Callable[[Connection], T]) -> T | None:
    """Ask the ledger; None where nothing is mirrored."""
    root = mounted_root_of(config)
    if (root / OWN_FOLDER).is_dir():
        prepare(root)
    if not has_ledger(config):
        return None
    terms = OpenTerms(config.mirror.durability, read_only=True)
    with closing(open_store(ledger_url(config), terms)) as store:
        _check(store, config, root)
        return store.read(query)


def _check(store: Store, config: Config, root: Path) -> None:
    held, inside = store.read(totals.mirror), is_inside(config)
    unclear = held is None and not inside
    used = unclear and bool(store.read(lambda it: artifact_reads.mirrored(it, None))[0])
    here = held if is_in_store(config) else read_id(root)  # a store is not asked for a status
    MirrorIds(held, here, inside, used).check(config.mirror.root)
    wanted = config.mirror.layout
    check_layout(store.read(totals.layout) or wanted, wanted)
