"""Statements and the verbs that name them."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from artifact_sync.ledger import migrations, queries
from artifact_sync.ledger.drivers.sqlite import TYPES
from artifact_sync.ledger.sql import names, statement

SQL = Path(queries.__file__).parent.parent / "sql"


@pytest.fixture
def database():
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(migrations.MAKE_VERSION_TABLE)
        for version in migrations.versions():
            for sql in migrations.migration(version, TYPES):
                connection.execute(sql)
        yield connection


def named_by_verbs():
    users = [*Path(queries.__file__).parent.glob("*.py"), Path(migrations.__file__)]
    texts = [file.read_text("utf-8") for file in users]
    return {name for text in texts for name in re.findall(r'"([a-z_]+)"', text)} & names() - parts()


def parts():
    texts = [file.read_text("utf-8") for file in SQL.glob("*.sql")]
    return {name for text in texts for name in re.findall(r"\{(\w+)\}", text)}


def test_every_statement_is_used_and_every_part_is_there():
    assert parts() <= names()
    assert named_by_verbs() | parts() == names()


def test_names_are_given_once():
    found = [
        name
        for file in SQL.glob("*.sql")
        for name in re.findall(r"(?m)^-- name: (\w+)$", file.read_text("utf-8"))
    ]
    assert sorted(found) == sorted(names())


@pytest.mark.parametrize("name", sorted(named_by_verbs()))
def test_every_statement_is_sql_for_the_schema(database, name):
    sql = statement(name)
    values = dict.fromkeys(re.findall(r":(\w+)", sql), 0)
    database.execute(f"EXPLAIN {sql}", values)


def plan(database, name):
    sql = statement(name)
    values = dict.fromkeys(re.findall(r":(\w+)", sql), 0)
    return [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


def test_what_has_failed_is_not_looked_for_in_each_run_of_a_repository(database):
    """A repository may have fifty thousand runs and nothing that has failed."""
    first, second, *_ = plan(database, "unwell_ones")
    assert first == "SCAN artifacts USING INDEX ix_artifacts_unwell"
    assert second.startswith("SEARCH runs USING INTEGER PRIMARY KEY")


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("settled_totals", "COVERING INDEX ix_runs_settled_created"),
        ("first_selection", "COVERING INDEX ix_runs_settled_created"),
        ("next_selection", "COVERING INDEX ix_runs_settled_created"),
        ("next_look", "INDEX ix_runs_settled_created"),
        ("unsettled_there", "INDEX ix_runs_settled_created"),
        ("unsettled_undated", "INDEX ix_runs_settled_created"),
        ("unsettled_vanished", "INDEX ix_runs_settled_created"),
        ("endangered", "INDEX ix_runs_outstanding"),
        ("endangered", "INDEX ix_runs_expired"),
        ("endangered", "INDEX ix_runs_missed"),
        ("newest_runs", "INDEX ix_runs_newest"),
        ("recent_runs", "INDEX ix_runs_newest"),
        ("newest_complete", "INDEX ix_runs_complete_created"),
        ("newest_success", "INDEX ix_runs_complete_created"),
        ("mirrored_ones", "INDEX ix_artifacts_path"),
        ("mirrored_at", "INDEX ix_artifacts_path"),
        ("being_pruned", "INDEX ix_runs_pruning"),
        ("forget_old_passes", "COVERING INDEX ix_passes_repo"),
    ],
)
def test_what_may_be_long_is_read_through_its_index(database, name, index):
    steps = plan(database, name)
    assert any(index in step for step in steps), steps
    assert "USE TEMP B-TREE FOR ORDER BY" not in steps or name == "being_pruned"
