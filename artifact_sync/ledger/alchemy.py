"""The statements carried out by SQLAlchemy, on any database. The verbs are elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from artifact_sync.ledger.statements import STATEMENTS
from artifact_sync.ledger.written import Change

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Executable

    from artifact_sync.ledger.statement import Row, Statement


class AlchemyConnection:
    """``statement.Connection`` over a connection of SQLAlchemy."""

    def __init__(self, raw: Connection) -> None:
        self.raw = raw

    def rows(self, statement: Statement, **values: Any) -> list[Row]:
        """All rows; see ``Connection``."""
        return [tuple(row) for row in self.raw.execute(_written(statement), values)]

    def row(self, statement: Statement, **values: Any) -> Row | None:
        """The first row; see ``Connection``."""
        found = self.raw.execute(_written(statement), values).first()
        return None if found is None else tuple(found)

    def value(self, statement: Statement, **values: Any) -> Any:
        """The first column of the first row; see ``Connection``."""
        return self.raw.execute(_written(statement), values).scalar()

    def write(self, statement: Statement, **values: Any) -> None:
        """Change something; see ``Connection``."""
        self.raw.execute(_written(statement), values)

    def write_many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
        """Change something for each of these; see ``Connection``."""
        if rows:
            self.raw.execute(_written(statement), rows)

    def make(self, statement: Statement, **values: Any) -> int:
        """Insert a row; see ``Connection``."""
        made = self.raw.execute(_written(statement), values).inserted_primary_key
        return int(made[0]) if made is not None else 0

    def plain(self, sql: str) -> Any:
        """Some SQL; see ``Connection``."""
        return self.raw.execute(text(sql)).scalar()


def _written(statement: Statement) -> Executable:
    found: Change | Executable = STATEMENTS[statement.name]
    return found.statement if isinstance(found, Change) else found
