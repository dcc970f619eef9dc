"""Writing without changing the ledger: temporary copies of its small tables, for a dry run.

A temporary table is found before the ledger's own of that name, on SQLite and on PostgreSQL, and is
gone with the connection. Artifacts are not copied: there may be a million, and a dry run writes
none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select, text
from sqlalchemy.schema import CreateIndex, CreateTable

from artifact_sync.ledger.schema import meta, passes, repositories, runs

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table


def rehearse(connection: Connection) -> None:
    """From here on writing goes to copies. To be the first thing done in a transaction."""
    server = connection.dialect.name != "sqlite"
    if server:
        connection.execute(text("SET TRANSACTION READ WRITE"))
    schema = text("SELECT quote_ident(current_schema())")
    real = str(connection.execute(schema).scalar_one()) if server else "main"
    for table in (meta, repositories, runs, passes):
        _shadow(connection, table, real)
        if server and table is not meta:
            _go_on_counting(connection, table)


def _shadow(connection: Connection, table: Table, real: str) -> None:
    create = str(CreateTable(table).compile(dialect=connection.dialect))
    connection.execute(text(create.replace("CREATE TABLE", "CREATE TEMPORARY TABLE", 1)))
    columns = ", ".join(column.name for column in table.columns)
    copy = f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {real}.{table.name}"  # noqa: S608 - our own names
    connection.execute(text(copy))
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        connection.execute(CreateIndex(index))


def _go_on_counting(connection: Connection, table: Table) -> None:
    """Let PostgreSQL number new rows behind those that were copied."""
    highest = connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()
    sequence = func.pg_get_serial_sequence(f"pg_temp.{table.name}", "id")
    connection.execute(select(func.setval(sequence, highest + 1)))
