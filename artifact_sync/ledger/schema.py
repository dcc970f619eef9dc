"""The tables as they are now. How a ledger gets there is in ``migrations``.

Each run's row carries counts of its artifacts by state, kept in the same transaction as the
artifacts, so that ``status`` and a pass with nothing new cost a look at runs, never at artifacts.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from artifact_sync.domain.model import State
from artifact_sync.ledger.columns import AnyText, Moment, Names, Whole

UNWELL = "state IN ('failed', 'gone', 'refused')"
"""The partial index's condition; SQLite uses it only for queries that say the very same."""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)

meta = Table(
    "meta",
    metadata,
    Column("key", String(40), primary_key=True),
    Column("value", AnyText, nullable=False),
)

repositories = Table(
    "repositories",
    metadata,
    Column("id", Whole, primary_key=True),
    Column("org", AnyText, nullable=False),
    Column("repo", AnyText, nullable=False),
    Column("horizon_high", BigInteger),
    Column("horizon_since", Moment),
    Column("horizon_falling", Boolean),
    Column("last_pass", Moment),
    Column("last_complete", Moment),
    Column("last_error", AnyText, nullable=False),
    UniqueConstraint("org", "repo"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Whole, primary_key=True),
    Column("repo_id", Whole, ForeignKey("repositories.id"), nullable=False),
    Column("run", AnyText, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("status", AnyText, nullable=False),
    Column("event", AnyText, nullable=False),
    Column("created_at", Moment),
    Column("finished_at", Moment),
    Column("fingerprint", AnyText, nullable=False),
    Column("settled_for", AnyText, nullable=False),
    Column("kept", BigInteger),
    Column("complete", Boolean, nullable=False),
    Column("looks", Integer, nullable=False),
    Column("next_look", Moment),
    Column("first_seen", Moment),
    Column("seen_at", Moment),
    *(Column(state.value, Integer, nullable=False) for state in State),
    Column("bytes", BigInteger, nullable=False),
    Column("last_mirrored", Moment),
    UniqueConstraint("repo_id", "run"),
    # covers the count of the settled runs; what is not settled is a few short ranges of it
    Index("ix_runs_settled", "repo_id", "settled_for", "number", "id", "created_at", "kept"),
    Index("ix_runs_newest", "repo_id", "number", "id"),
    Index("ix_runs_complete", "repo_id", "complete", "number", "id", "status"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("id", Whole, primary_key=True),
    Column("run_id", Whole, ForeignKey("runs.id"), nullable=False),
    # of workflow, task, cube and local_path: PostgreSQL cannot index texts beyond 2.7 kB, and the
    # index is the smaller for it
    Column("digest", LargeBinary(32), nullable=False),
    Column("workflow", AnyText, nullable=False),
    Column("task", AnyText, nullable=False),
    Column("cube", AnyText, nullable=False),
    Column("local_path", AnyText, nullable=False),
    Column("state", String(10), nullable=False),
    Column("path", AnyText),
    Column("size", BigInteger),
    Column("sha256", String(64), nullable=False),
    Column("strength", String(10), nullable=False),
    Column("evidence", Names, nullable=False),
    Column("version", AnyText, nullable=False),
    Column("etag", AnyText, nullable=False),
    Column("content_encoding", AnyText, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", AnyText, nullable=False),
    Column("first_seen", Moment),
    Column("mirrored_at", Moment),
    UniqueConstraint("run_id", "digest"),
    Index("ix_artifacts_path", "path", "id", "run_id"),
    Index(
        "ix_artifacts_unwell",
        "run_id",
        sqlite_where=text(UNWELL),
        postgresql_where=text(UNWELL),
    ),
)

passes = Table(
    "passes",
    metadata,
    Column("id", Whole, primary_key=True),
    Column("repo_id", Whole, ForeignKey("repositories.id"), nullable=False),
    Column("began", Moment, nullable=False),
    Column("ended", Moment),
    *(
        Column(name, BigInteger, nullable=False)
        for name in ("runs", "found", "downloaded", "kept", "failed", "pending", "bytes")
    ),
    Column("complete", Boolean, nullable=False),
    Column("exit_code", Integer),
    Index("ix_passes_repo", "repo_id", "id"),
)
