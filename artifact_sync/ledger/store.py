"""The opened ledger: transactions over one connection, on one thread. The verbs are elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from artifact_sync.ledger.connect import WRITES, absent, connect, locate
from artifact_sync.ledger.faults import translated
from artifact_sync.ledger.migrate import HEAD, make, refuse_unreadable, stored_revision, upgrade
from artifact_sync.ledger.rehearsal import rehearse
from artifact_sync.ledger.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any

    from sqlalchemy import Connection, Engine

    from artifact_sync.ledger.connect import Terms
    from artifact_sync.ledger.faults import Place

_T = TypeVar("_T")


class Store:
    """Reads, and commits writes in groups. Raises what ``ports.Ledger`` says. For one thread."""

    def __init__(self, engine: Engine, place: Place, *, rehearsing: bool) -> None:
        self._engine = engine
        self._writer = engine if rehearsing else engine.execution_options(**{WRITES: True})
        self._place = place
        self._unprepared = rehearsing
        """Writing must go to copies, and these are not made yet."""

    def commit(self, works: Sequence[Callable[[Transaction], Any]]) -> list[Any]:
        """Do all of these in one transaction, or none; what each of them has to tell."""
        with translated(self._place), self._writer.begin() as connection:
            if self._unprepared:
                rehearse(connection)
            transaction = Transaction(connection)
            told = [work(transaction) for work in works]
            transaction.flush()
        self._unprepared = False
        return told

    def read(self, work: Callable[[Connection], _T]) -> _T:
        """Read from one state of the ledger."""
        with translated(self._place), self._engine.begin() as connection:
            return work(connection)

    def close(self) -> None:
        """Close the connection."""
        with translated(self._place):
            self._engine.dispose()


def open_store(url: str | Path, terms: Terms) -> Store:
    """Open a ledger, bringing it into being or up to date where that is asked for and due."""
    parsed, place = locate(url)
    in_memory = parsed.get_backend_name() == "sqlite" and place.file is None
    with translated(place):
        engine = connect(parsed, place, terms)
        try:
            _bring_up(engine, place, terms, as_it_is=terms.read_only and not in_memory)
        except BaseException:
            engine.dispose()
            raise
    return Store(engine, place, rehearsing=terms.read_only and not in_memory)


def _bring_up(engine: Engine, place: Place, terms: Terms, *, as_it_is: bool) -> None:
    with engine.begin() as connection:
        revision = stored_revision(connection)
    if revision == HEAD:
        return
    if as_it_is:
        refuse_unreadable(revision, place.name)
    if revision is None and not terms.create:
        raise absent(place)
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        bring = upgrade if revision is not None else make
        bring(connection)
