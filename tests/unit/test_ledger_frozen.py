"""What SQLite is told is what is written with SQLAlchemy, and nothing else."""

from __future__ import annotations

from artifact_sync.ledger import freeze, frozen
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
