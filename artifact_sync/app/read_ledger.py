"""Reads a ledger on the calling thread, without an event loop."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from artifact_sync.app.locations import check_layout, has_ledger, is_inside, ledger_url, root_of
from artifact_sync.app.mirror_identity import compare_ids
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.ledger.drivers.location import OpenTerms
from artifact_sync.ledger.drivers.store import Store, open_store
from artifact_sync.ledger.queries import artifact_reads, totals
from artifact_sync.mirror.local.identity import read_id
from artifact_sync.mirror.local.own_folder import check_mounted, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from artifact_sync.domain.model import Totals
    from artifact_sync.domain.settings import Config


def read_totals(config: Config) -> Sequence[Totals]:
    """Read the counts of a mirror; none where nothing is mirrored.

    ``UsageError``, ``DiskError``, ``LedgerTooNew``.
    """
    root = root_of(config)
    if config.mirror.must_be_mounted:
        check_mounted(root)
    if (root / OWN_FOLDER).is_dir():
        prepare(root)
    if not has_ledger(config):
        return []
    terms = OpenTerms(config.mirror.durability, read_only=True)
    with ledger_opened(config, root, terms) as store:
        _check(store, config, root)
        return store.read(totals.all_totals)


@contextmanager
def ledger_opened(config: Config, root: Path, terms: OpenTerms) -> Iterator[Store]:
    """Open the ledger of a mirror."""
    store = open_store(ledger_url(config, root), terms)
    try:
        yield store
    finally:
        store.close()


def _check(store: Store, config: Config, root: Path) -> None:
    """Check that ledger, mirror and layout belong together. ``UsageError``."""
    held, inside = store.read(totals.mirror), is_inside(config, root)
    used = held is None and not inside and _is_used(store)
    compare_ids(root, held, read_id(root), inside=inside, used=used)
    wanted = config.mirror.layout
    check_layout(store.read(totals.layout) or wanted, wanted)


def _is_used(store: Store) -> bool:
    return bool(store.read(lambda it: artifact_reads.mirrored(it, None))[0])
