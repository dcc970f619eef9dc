"""Makes ``frozen`` of ``statements`` and ``schema``: ``python -m artifact_sync.ledger.freeze``.

A test does the same and compares, so that neither is ever changed alone.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from sqlalchemy import Boolean
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from artifact_sync.ledger.columns import AnyText, Moment, Names
from artifact_sync.ledger.migrate import version
from artifact_sync.ledger.schema import metadata
from artifact_sync.ledger.statement import Statement
from artifact_sync.ledger.statements import STATEMENTS
from artifact_sync.ledger.written import Change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.sql import ClauseElement
    from sqlalchemy.types import TypeEngine

_DIALECT = sqlite.dialect(paramstyle="qmark")
_KINDS = ((AnyText, ":text"), (Moment, ":moment"), (Names, ":names"), (Boolean, ":flag"))
_LIST = re.compile(r"\(__\[POSTCOMPILE_these\]\)")
_WIDTH = 84

_HEAD = '''"""The ledger's statements as SQLite is told them. Made by ``freeze``."""

from __future__ import annotations

from artifact_sync.ledger.statement import Statement
from artifact_sync.ledger.statements import STATEMENTS
from artifact_sync.ledger.written import Change
'''


def frozen() -> dict[str, Statement]:
    """Every statement of ``statements``, by its name."""
    return {name: _frozen(name, it) for name, it in STATEMENTS.items()}


def tables() -> dict[str, tuple[str, ...]]:
    """What makes each table and its indexes, in the order in which they are to be made."""
    made = {}
    for table in (*metadata.sorted_tables, version):
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        texts: list[ClauseElement] = [CreateTable(table), *map(CreateIndex, indexes)]
        made[table.name] = tuple(
            " ".join(str(it.compile(dialect=_DIALECT)).split()) for it in texts
        )
    return made


def _frozen(name: str, written: Any) -> Statement:
    statement, columns = written if isinstance(written, Change) else (written, None)
    compiled = statement.compile(dialect=_DIALECT, column_keys=columns and [*columns])
    # SQLAlchemy says OFFSET 0, as a value of its own, where none is given
    names = [key for key in compiled.positiontup or () if not key.startswith("param_")]
    sql = " ".join(str(compiled).split()).replace(" OFFSET ?", "")
    return Statement(
        name,
        _LIST.sub("({these})", sql),
        " ".join(key + _kind(compiled.binds[key].type) for key in names),
        " ".join(_kind(it.type) or "-" for it in getattr(statement, "selected_columns", ())),
    )


def _kind(given: TypeEngine[Any]) -> str:
    return next((kind for known, kind in _KINDS if isinstance(given, known)), "")


def text() -> Iterator[str]:
    """The lines of ``frozen``."""
    yield _HEAD
    for name, it in frozen().items():
        yield f"{name} = Statement("
        yield f"    {name!r},"
        yield from _lines(it.sql, "    ")
        yield from _lines(it.values, "    ")
        yield from _lines(it.columns, "    ")
        yield ")"
    yield "TABLES = {"
    for name, parts in tables().items():
        yield f"    {name!r}: ("
        for part in parts:
            yield from _lines(part, "        ")
        yield "    ),"
    yield "}"


def _lines(sql: str, indent: str) -> Iterator[str]:
    """A text as literals of some lines."""
    parts = wrap(sql, _WIDTH, drop_whitespace=False, break_long_words=False) or [""]
    if len(parts) == 1:
        yield f"{indent}{sql!r},"
        return
    yield f"{indent}("
    yield from (f"{indent}    {part!r}" for part in parts)
    yield f"{indent}),"


if __name__ == "__main__":
    place = Path(__file__).with_name("frozen.py")
    place.write_text("\n".join(text()) + "\n", encoding="utf-8")
    sys.stdout.write(f"wrote {place}; now make format\n")
