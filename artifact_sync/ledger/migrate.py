"""Bringing a ledger's schema up to date. Alembic is imported only when there is something to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import (
    Column,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    select,
)

from artifact_sync.domain.errors import LedgerTooNew, UsageError
from artifact_sync.ledger.revision import HEAD, VERSION_TABLE
from artifact_sync.ledger.schema import metadata

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

version = Table(
    VERSION_TABLE,
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),  # as Alembic makes it
)


def stored_revision(connection: Connection) -> str | None:
    """The revision that the ledger is at; None: nothing there yet."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(select(version.c.version_num)).scalar()


def make(connection: Connection) -> None:
    """Make a ledger where there is none, at ``HEAD``, without Alembic, which takes ten megabytes.

    What is made is what the migrations lead to; a test holds them together.
    """
    metadata.create_all(connection, checkfirst=False)
    version.create(connection, checkfirst=False)
    connection.execute(insert(version).values(version_num=HEAD))


def upgrade(connection: Connection) -> None:
    """Bring the schema to ``HEAD`` within the connection's transaction. ``LedgerTooNew``."""
    from alembic import command  # noqa: PLC0415 - costs a tenth of a second, and is rarely needed

    config = _config()
    revision = stored_revision(connection)
    if revision is not None:
        _refuse_newer(config, revision)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def refuse_unreadable(revision: str | None, name: str) -> None:
    """Say why a ledger at another revision than ``HEAD`` cannot be read as it is."""
    if revision is None:
        raise UsageError(f"there is no ledger at {name} yet: run artifact-sync sync first")
    _refuse_newer(_config(), revision)
    raise UsageError(f"the ledger {name} is of an older version: run artifact-sync sync once")


def _config() -> Config:
    from alembic.config import Config  # noqa: PLC0415 - see ``upgrade``

    config = Config()
    config.set_main_option("script_location", "artifact_sync.ledger:migrations")
    config.set_main_option("path_separator", "os")
    return config


def _refuse_newer(config: Config, revision: str) -> None:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see ``upgrade``

    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision not in known:
        raise LedgerTooNew(revision, HEAD)
