"""A connection that executes named statements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from typing import TYPE_CHECKING, Any

from artifact_sync.ledger.sql import bound
from artifact_sync.ledger.sql.encoding import read, reader, stored

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from artifact_sync.ledger.sql.encoding import Reader

Row = tuple[Any, ...]


class Connection(ABC):
    """Executes named statements. Values go in and come out as in the model.

    Of the values it takes those that the statement names. A statement with ``IN (:these)`` is given
    a list as ``these``. Drivers say what their database does differently.
    """

    MARK: str
    """The placeholder of a value."""
    FIND_TABLE: str
    """Gives a row when there is a table of a name."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        """The driver's own connection (PEP 249, with ``execute``)."""
        self._readers: dict[str, Reader] = {}

    def rows(self, name: str, **values: Any) -> list[Row]:
        """Read all rows."""
        cursor = self._execute(name, values)
        found: list[Row] = cursor.fetchall()
        if how := self._reader(name, cursor):
            for number, row in enumerate(found):
                found[number] = read(row, how)
        return found

    def row(self, name: str, **values: Any) -> Row | None:
        """Read the first row."""
        cursor = self._execute(name, values)
        found: Row | None = cursor.fetchone()
        how = self._reader(name, cursor)
        cursor.close()
        return None if found is None else read(found, how)

    def value(self, name: str, **values: Any) -> Any:
        """Read the first column of the first row; None when there is no row."""
        found = self.row(name, **values)
        return None if found is None else found[0]

    def lasting(self, name: str, **values: Any) -> Any:
        """As ``value``, of what never changes: a driver may remember it."""
        return self.value(name, **values)

    def checked(self, name: str, check: str, **values: Any) -> Any:
        """As ``value``, of what hardly ever changes: a driver may remember it.

        It then executes ``check`` with it as ``found``, which fails where it is true no more.
        """
        _ = check
        return self.value(name, **values)

    def ids(self, name: str, **values: Any) -> array[int]:
        """Read the first column of all rows, a whole number: eight bytes each."""
        return array("q", (row[0] for row in self._stream(name, values)))

    def write(self, name: str, **values: Any) -> None:
        """Execute a change."""
        self._execute(name, values)

    def write_many(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute a change for each row of values."""
        sql, names = bound(name, self.MARK)
        self._for_each(sql, [stored([row[it] for it in names]) for row in rows])

    def carry_out(self) -> None:
        """Have the changes executed that a driver keeps back."""
        return

    def demand_lock(self, key: int) -> None:
        """Have the transaction fail unless a session of the server holds this lock.

        Where no other process writes there is none.
        """
        _ = key

    @abstractmethod
    def insert(self, name: str, **values: Any) -> int:
        """Insert a row and return its id; 0: another one was quicker."""

    @abstractmethod
    def check_version(self) -> None:
        """Raise ``LedgerTooNew`` when another process has migrated the ledger meanwhile."""

    def has_table(self, name: str) -> bool:
        """Whether there is a table of this name."""
        return self.raw.execute(self.FIND_TABLE, [name]).fetchone() is not None

    def put_rows(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Insert rows whose values are as they are stored."""
        names, marks = ", ".join(columns), ", ".join([self.MARK] * len(columns))
        sql = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - names of ours
        self._for_each(sql, rows)

    def count_on(self, table: str) -> None:
        """Number new rows behind those that were put in with their numbers.

        A database that looks at the rows themselves has nothing to do.
        """
        _ = table

    @abstractmethod
    def take_time(self) -> None:
        """Lift the limit of statements to the end of this transaction."""

    def run(self, sql: str) -> None:
        """Execute a statement of a migration."""
        self.raw.execute(sql)

    @abstractmethod
    def _filled(self, name: str, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """A statement and its values, of which one may be a list, as the driver takes them."""

    def _for_each(self, sql: str, values: Sequence[Sequence[Any]]) -> None:
        """Execute a change for each of these, whose values are as they are stored."""
        self.raw.cursor().executemany(sql, values)

    def _stream(self, name: str, values: Mapping[str, Any]) -> Iterator[Row]:
        """Rows as they are stored, which are not in memory all at once."""
        yield from self._execute(name, values)

    def _execute(self, name: str, values: Mapping[str, Any]) -> Any:
        return self.raw.execute(*self._filled(name, values))

    def _reader(self, name: str, cursor: Any) -> Reader:
        how = self._readers.get(name)
        if how is None:
            how = self._readers[name] = reader([column[0] for column in cursor.description])
        return how
