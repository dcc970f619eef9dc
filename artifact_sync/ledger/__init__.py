"""The ledger: what we know, durable, in SQLite or PostgreSQL. What follows from it lives elsewhere.

Importing this package costs nothing. SQLite, the default, is used by the standard library's driver;
SQLAlchemy is imported for other databases and for migrations alone (decision 0014).

* ``recorder``: the verbs as ``ports.Ledger`` promises them, for the event loop
* ``worker``: the thread behind it, and how writes are committed in groups
* ``runs``, ``artifacts``, ``readings``, ``tallies``: the verbs themselves, synchronous;
  ``transaction`` makes rows and keeps counts for them
* ``statements``: their SQL, in SQLAlchemy's words (``run_statements``, ``artifact_statements``,
  ``written``); ``frozen``: the same as SQLite's text, made by ``freeze``; ``statement``: what
  the verbs see of either
* ``schema``, ``columns``, ``values``, ``rows``: tables, types, and rows to values of the model
* ``opening``, ``place``, ``files``, ``store``: opening a ledger. ``lite`` and ``lite_store`` are
  the way of the standard library; ``alchemy``, ``alchemy_store``, ``connect`` and ``rehearsal``
  SQLAlchemy's
* ``migrate``, ``migrations``, ``revision``: the schema's versions
* ``faults``: what goes wrong, in the project's own errors
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from artifact_sync.domain.settings import Durability
    from artifact_sync.ledger.recorder import Recorder

__all__ = ["open_ledger"]


async def open_ledger(
    url: str | Path, *, durability: Durability, create: bool = True, read_only: bool = False
) -> Recorder:
    """Open a ledger, making or upgrading it where that is due; ``aclose`` it in the end.

    ``url`` is an SQLAlchemy URL, or the path of an SQLite file in a folder that exists. ``create``:
    make it when there is none. ``read_only``: leave the ledger as it is, whatever is called: what
    is written about runs and passes is seen by this recorder alone and lost when it closes, which
    is what a dry run needs; writing about artifacts is ``DiskError``.

    Raises ``UsageError`` (there is none, or it must be upgraded first), ``LedgerTooNew``,
    ``DiskError`` and ``NoSpace``.
    """
    import asyncio  # noqa: PLC0415 - slow; whoever calls this has it already

    recorder = await asyncio.to_thread(_recorder_class)
    return await recorder.open(url, durability=durability, create=create, read_only=read_only)


def _recorder_class() -> type[Recorder]:
    """Import what is needed, off the event loop."""
    from artifact_sync.ledger.recorder import Recorder  # noqa: PLC0415 - see above

    return Recorder
