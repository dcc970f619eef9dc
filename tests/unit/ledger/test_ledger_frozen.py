"""What SQLite is told is what is written with SQLAlchemy, and nothing else."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

from artifact_sync.ledger import freeze, frozen, open_ledger
from artifact_sync.ledger.statement import Statement


def test_the_frozen_statements_are_those_that_are_written():
    held = {name: it for name, it in vars(frozen).items() if isinstance(it, Statement)}
    assert held == freeze.frozen(), "run python -m artifact_sync.ledger.freeze, and make format"


def test_the_frozen_tables_are_those_of_the_schema():
    assert freeze.tables() == frozen.TABLES
    assert list(freeze.tables()) == list(frozen.TABLES)


def test_nothing_is_left_to_be_bound_but_what_a_verb_gives():
    for name, statement in freeze.frozen().items():
        marks = statement.sql.count("?") + statement.sql.count("{these}")
        assert marks == len(statement.values.split()), name
        assert "param_" not in statement.values, name
        assert "OFFSET ?" not in statement.sql, name


def test_what_has_failed_is_not_looked_for_in_each_run_of_a_repository(tmp_path):
    """A repository may have fifty thousand runs and nothing that has failed."""
    place = tmp_path / "ledger.db"

    async def make() -> None:
        ledger = await open_ledger(f"sqlite:///{place}", durability="fast")
        await ledger.aclose()

    asyncio.run(make())
    statement = frozen.UNWELL_ONES
    with closing(sqlite3.connect(place)) as connection:
        values = [0] * statement.sql.count("?")
        plan = connection.execute(f"EXPLAIN QUERY PLAN {statement.sql}", values).fetchall()
    first, second = plan[0][3], plan[1][3]
    assert first == "SCAN artifacts USING INDEX ix_artifacts_unwell"
    assert second.startswith("SEARCH runs USING INTEGER PRIMARY KEY")
