"""What the statements share: how changes are written, and conditions. See ``statements``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import bindparam, insert, literal_column, or_, text, tuple_

from artifact_sync.domain.model import State
from artifact_sync.ledger.schema import repositories, runs

if TYPE_CHECKING:
    from sqlalchemy import Column, ColumnElement, Insert, Table, Update


class Change(NamedTuple):
    """An insert or update that is given values for these columns, by their names."""

    statement: Insert | Update
    columns: tuple[str, ...]


def given(name: str, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """What a verb gives, of a column's type."""
    return bindparam(name, type_=column.type)


def these(column: Column[Any]) -> ColumnElement[bool]:
    """Whether it is one of a list that a verb gives."""
    return column.in_(bindparam("these", expanding=True))


def limit(number: int) -> Any:
    """So many rows."""
    return literal_column(str(number))


def made(table: Table, *without: str) -> Change:
    """A new row, of which all is given."""
    names = (column.name for column in table.columns)
    return Change(insert(table), tuple(name for name in names if name not in {"id", *without}))


COUNTS = tuple(state.value for state in State)
EMPTY: ColumnElement[str] = literal_column("''")
IS_MIRRORED = text(f"state = '{State.MIRRORED.value}'")
SUCCESS: ColumnElement[str] = literal_column("'success'")

OF_REPO = (
    repositories.c.org == bindparam("of_org"),
    repositories.c.repo == bindparam("of_repo"),
)
OF_REPO_ID = runs.c.repo_id == bindparam("repo_id")
SETTLED_FOR = runs.c.settled_for == bindparam("selection")
SINCE = or_(runs.c.created_at.is_(None), runs.c.created_at >= bindparam("since"))
NEWEST_FIRST = (runs.c.number.desc(), runs.c.id.desc())
BELOW = tuple_(runs.c.number, runs.c.id) < tuple_(
    given("number", runs.c.number), given("id", runs.c.id)
)
