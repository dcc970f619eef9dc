"""What Alembic runs to migrate a ledger: over the connection and transaction it is given."""

from __future__ import annotations

from alembic import context

from artifact_sync.ledger.revision import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=True,
    render_as_batch=True,  # SQLite changes a table by building it anew
)
context.run_migrations()
