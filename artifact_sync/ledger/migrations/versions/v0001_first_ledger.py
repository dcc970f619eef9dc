"""The first ledger: repositories, runs, artifacts, passes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_MOMENT = sa.String(27)
_UNWELL = "state IN ('failed', 'gone', 'refused')"


def upgrade() -> None:
    """Make the tables."""
    _meta()
    _repositories()
    _runs()
    _artifacts()
    _passes()


def _meta() -> None:
    op.create_table(
        "meta",
        sa.Column("key", sa.String(40), nullable=False),
        sa.Column("value", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_meta"),
    )


def _repositories() -> None:
    op.create_table(
        "repositories",
        sa.Column("id", _WHOLE, nullable=False),
        sa.Column("org", _TEXT, nullable=False),
        sa.Column("repo", _TEXT, nullable=False),
        sa.Column("horizon_high", sa.BigInteger()),
        sa.Column("horizon_since", _MOMENT),
        sa.Column("horizon_falling", sa.Boolean()),
        sa.Column("last_pass", _MOMENT),
        sa.Column("last_complete", _MOMENT),
        sa.Column("last_error", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_repositories"),
        sa.UniqueConstraint("org", "repo", name="uq_repositories_org_repo"),
    )


def _runs() -> None:
    counts = ("wanted", "pending", "mirrored", "failed", "gone", "refused")
    op.create_table(
        "runs",
        sa.Column("id", _WHOLE, nullable=False),
        sa.Column("repo_id", _WHOLE, nullable=False),
        sa.Column("run", _TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("event", _TEXT, nullable=False),
        sa.Column("created_at", _MOMENT),
        sa.Column("finished_at", _MOMENT),
        sa.Column("fingerprint", _TEXT, nullable=False),
        sa.Column("settled_for", _TEXT, nullable=False),
        sa.Column("kept", sa.BigInteger()),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("next_look", _MOMENT),
        sa.Column("first_seen", _MOMENT),
        sa.Column("seen_at", _MOMENT),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in counts),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("last_mirrored", _MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.ForeignKeyConstraint(["repo_id"], ["repositories.id"], name="fk_runs_repo_id"),
        sa.UniqueConstraint("repo_id", "run", name="uq_runs_repo_id_run"),
    )
    settled = ["repo_id", "settled_for", "number", "id", "created_at", "kept"]
    op.create_index("ix_runs_settled", "runs", settled)
    op.create_index("ix_runs_newest", "runs", ["repo_id", "number", "id"])
    op.create_index("ix_runs_complete", "runs", ["repo_id", "complete", "number", "id", "status"])


def _artifacts() -> None:
    op.create_table(
        "artifacts",
        sa.Column("id", _WHOLE, nullable=False),
        sa.Column("run_id", _WHOLE, nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("workflow", _TEXT, nullable=False),
        sa.Column("task", _TEXT, nullable=False),
        sa.Column("cube", _TEXT, nullable=False),
        sa.Column("local_path", _TEXT, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("path", _TEXT),
        sa.Column("size", sa.BigInteger()),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("strength", sa.String(10), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("version", _TEXT, nullable=False),
        sa.Column("etag", _TEXT, nullable=False),
        sa.Column("content_encoding", _TEXT, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("message", _TEXT, nullable=False),
        sa.Column("first_seen", _MOMENT),
        sa.Column("mirrored_at", _MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_artifacts"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_artifacts_run_id"),
        sa.UniqueConstraint("run_id", "digest", name="uq_artifacts_run_id_digest"),
    )
    op.create_index("ix_artifacts_path", "artifacts", ["path", "id", "run_id"])
    op.create_index(
        "ix_artifacts_unwell",
        "artifacts",
        ["run_id"],
        sqlite_where=sa.text(_UNWELL),
        postgresql_where=sa.text(_UNWELL),
    )


def _passes() -> None:
    counts = ("runs", "found", "downloaded", "kept", "failed", "pending", "bytes")
    op.create_table(
        "passes",
        sa.Column("id", _WHOLE, nullable=False),
        sa.Column("repo_id", _WHOLE, nullable=False),
        sa.Column("began", _MOMENT, nullable=False),
        sa.Column("ended", _MOMENT),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in counts),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("exit_code", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_passes"),
        sa.ForeignKeyConstraint(["repo_id"], ["repositories.id"], name="fk_passes_repo_id"),
    )
    op.create_index("ix_passes_repo", "passes", ["repo_id", "id"])
