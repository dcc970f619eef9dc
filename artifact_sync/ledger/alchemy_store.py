"""The opened ledger by way of SQLAlchemy: PostgreSQL, and what else a URL can name."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from artifact_sync.domain.errors import ArtifactSyncError
from artifact_sync.ledger.alchemy import AlchemyConnection
from artifact_sync.ledger.connect import WRITES, connect, locate
from artifact_sync.ledger.faults import of_driver, translated
from artifact_sync.ledger.migrate import make, refuse_unreadable, stored_revision, upgrade
from artifact_sync.ledger.place import absent
from artifact_sync.ledger.rehearsal import rehearse
from artifact_sync.ledger.revision import HEAD
from artifact_sync.ledger.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Engine

    from artifact_sync.ledger.place import Place, Terms
    from artifact_sync.ledger.statement import Connection

_T = TypeVar("_T")


class AlchemyStore:
    """``Store`` over one connection of an engine."""

    def __init__(self, engine: Engine, place: Place, *, rehearsing: bool) -> None:
        self._engine = engine
        self._writer = engine if rehearsing else engine.execution_options(**{WRITES: True})
        self._place = place
        self._unprepared = rehearsing
        """Writing must go to copies, and these are not made yet."""

    def commit(self, works: Sequence[Callable[[Transaction], Any]]) -> list[Any]:
        """Do all of these in one transaction, or none; see ``Store``."""
        with _translated(self._place), self._writer.begin() as connection:
            if self._unprepared:
                rehearse(connection)
            transaction = Transaction(AlchemyConnection(connection))
            told = [work(transaction) for work in works]
            transaction.flush()
        self._unprepared = False
        return told

    def read(self, work: Callable[[Connection], _T]) -> _T:
        """Read from one state of the ledger; see ``Store``."""
        with _translated(self._place), self._engine.begin() as connection:
            return work(AlchemyConnection(connection))

    def close(self) -> None:
        """Close the connection; see ``Store``."""
        with _translated(self._place):
            self._engine.dispose()


@contextmanager
def _translated(place: Place) -> Iterator[None]:
    """Let nothing of SQLAlchemy, of a driver or of the system out of here."""
    try:
        with translated(place):
            yield
    except DBAPIError as error:
        raise of_driver(error.orig or error, place) from error
    except SQLAlchemyError as error:
        what = type(getattr(error, "orig", None) or error).__name__
        raise ArtifactSyncError(
            f"a bug: the ledger {place.name} cannot do this ({what})"
        ) from error


def open_alchemy_store(url: str, terms: Terms) -> AlchemyStore:
    """Open it; see ``opening.open_store``."""
    parsed, place = locate(url)
    return _open(parsed, place, terms)


def _open(parsed: URL, place: Place, terms: Terms) -> AlchemyStore:
    in_memory = parsed.get_backend_name() == "sqlite" and place.file is None
    as_it_is = terms.read_only and not in_memory
    with _translated(place):
        engine = connect(parsed, place, terms)
        try:
            _bring_up(engine, place, terms, as_it_is=as_it_is)
        except BaseException:
            engine.dispose()
            raise
    return AlchemyStore(engine, place, rehearsing=as_it_is)


def upgrade_file(place: Place, terms: Terms) -> None:
    """Bring an SQLite file's schema up to date. ``LedgerTooNew``."""
    _open(URL.create("sqlite", database=str(place.file)), place, terms).close()


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
