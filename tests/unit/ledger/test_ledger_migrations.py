from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from artifact_sync.ledger.connect import WRITES
from artifact_sync.ledger.migrate import make, stored_revision, upgrade
from artifact_sync.ledger.revision import HEAD, VERSION_TABLE
from artifact_sync.ledger.schema import UNWELL, metadata


@pytest.fixture
def engine():
    from artifact_sync.ledger.connect import connect, locate  # noqa: PLC0415 - the fixture's
    from artifact_sync.ledger.place import Terms  # noqa: PLC0415 - likewise

    engine = connect(*locate("sqlite://"), Terms("fast"))
    yield engine.execution_options(**{WRITES: True})
    engine.dispose()


def test_the_migrations_lead_to_the_schema(engine):
    with engine.begin() as connection:
        upgrade(connection)
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(
            connection, opts={**options, "version_table": VERSION_TABLE}
        )
        assert compare_metadata(context, metadata) == []


def test_the_migrations_say_the_same_in_sql_as_the_schema(engine):
    """What Alembic does not compare: conditions of indexes, names of constraints."""
    plain = create_engine("sqlite://")
    with engine.begin() as migrated, plain.begin() as made:
        upgrade(migrated)
        make(made)
        assert _statements(migrated) == _statements(made)
        assert stored_revision(migrated) == stored_revision(made) == HEAD
    plain.dispose()


def _statements(connection):
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    rows = connection.execute(text(query))
    return {name: sorted(line.strip(" ,\t") for line in sql.splitlines()) for name, sql in rows}


def test_the_newest_migration_is_the_one_that_the_program_knows():
    config = Config()
    config.set_main_option("script_location", "artifact_sync.ledger:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_a_migration_that_is_broken_off_leaves_nothing_behind(engine):
    with engine.connect() as connection:
        upgrade(connection)
        assert stored_revision(connection) == HEAD
        connection.rollback()
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == []
        assert stored_revision(connection) is None


def test_what_counts_as_unwell_is_what_the_index_holds(engine):
    with engine.begin() as connection:
        upgrade(connection)
        sql = "SELECT sql FROM sqlite_master WHERE name = 'ix_artifacts_unwell'"
        assert connection.execute(text(sql)).scalar_one().endswith(f"WHERE {UNWELL}")
