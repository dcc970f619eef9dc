"""The statements about artifacts.

See ``statements``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    bindparam,
    delete,
    literal_column,
    or_,
    select,
    text,
    tuple_,
    update,
)

from artifact_sync.ledger.limits import READ_ARTIFACTS, READ_RUNS
from artifact_sync.ledger.schema import UNWELL, artifacts, repositories, runs
from artifact_sync.ledger.written import (
    BELOW,
    COUNTS,
    IS_MIRRORED,
    NEWEST_FIRST,
    OF_REPO,
    OF_REPO_ID,
    SETTLED_FOR,
    SINCE,
    Change,
    given,
    limit,
    made,
    these,
)

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Select

_ARTIFACT = (
    repositories.c.org,
    repositories.c.repo,
    runs.c.run,
    artifacts.c.workflow,
    artifacts.c.task,
    artifacts.c.cube,
    artifacts.c.local_path,
    artifacts.c.state,
    artifacts.c.path,
    artifacts.c.size,
    artifacts.c.sha256,
    artifacts.c.strength,
    artifacts.c.evidence,
    artifacts.c.version,
    artifacts.c.etag,
    artifacts.c.content_encoding,
    artifacts.c.attempts,
    artifacts.c.first_seen,
    artifacts.c.mirrored_at,
    artifacts.c.reason,
    artifacts.c.message,
)
_THIS_ARTIFACT = update(artifacts).where(artifacts.c.id == bindparam("this"))
_OF_RUN_ID = artifacts.c.run_id == bindparam("run_id")


def _artifacts(*more: ColumnElement[Any]) -> Select[Any]:
    tables = artifacts.join(runs).join(repositories)
    return select(*_ARTIFACT, *more).select_from(tables)


KNOWN_ARTIFACTS = select(
    artifacts.c.id, artifacts.c.digest, artifacts.c.state, artifacts.c.size
).where(_OF_RUN_ID, these(artifacts.c.digest))
MAKE_ARTIFACT = made(artifacts)
MIRRORED = Change(
    _THIS_ARTIFACT,
    (
        "state",
        "path",
        "size",
        "sha256",
        "strength",
        "evidence",
        "version",
        "etag",
        "content_encoding",
        "mirrored_at",
        "attempts",
        "reason",
        "message",
    ),
)
SAY_STATE = Change(_THIS_ARTIFACT, ("state", "version"))
SAY_FAILURE = Change(_THIS_ARTIFACT, ("state", "reason", "message"))
COUNT_ATTEMPT = (
    update(artifacts)
    .where(artifacts.c.run_id == bindparam("this"), artifacts.c.digest == bindparam("of_digest"))
    .values(attempts=artifacts.c.attempts + literal_column("1"))
)
FORGET = delete(artifacts).where(artifacts.c.id == bindparam("this"))

OF_RUN = _artifacts().where(_OF_RUN_ID).order_by(artifacts.c.id)
OF_RUNS = _artifacts(artifacts.c.run_id, artifacts.c.id).where(these(artifacts.c.run_id))
_COUNT = sum((runs.c[name] for name in COUNTS[1:]), runs.c[COUNTS[0]])
_HOLDING = (
    select(runs.c.number, runs.c.id, _COUNT)
    .where(OF_REPO_ID, literal_column("0") < _COUNT)
    .order_by(*NEWEST_FIRST)
    .limit(limit(READ_ARTIFACTS))
)
HOLDING_RUNS = _HOLDING.where(BELOW)
HOLDING_RUN = _HOLDING.where(runs.c.run == bindparam("of_run"), BELOW)
RECENT_RUNS = (
    select(runs.c.number, runs.c.id, runs.c.mirrored, runs.c.run)
    .where(OF_REPO_ID, runs.c.mirrored > literal_column("0"), BELOW)
    .order_by(*NEWEST_FIRST)
    .limit(limit(READ_RUNS))
)
RECENT_FILES = (
    select(artifacts.c.run_id, artifacts.c.path, artifacts.c.size)
    .where(these(artifacts.c.run_id), IS_MIRRORED)
    .order_by(artifacts.c.run_id, artifacts.c.id)
)

_BY_PATH = artifacts.c.path, artifacts.c.id
MIRRORED_ONES = (
    _artifacts(*_BY_PATH)
    .where(
        IS_MIRRORED,
        tuple_(*_BY_PATH) > tuple_(given("path", artifacts.c.path), given("id", artifacts.c.id)),
    )
    .order_by(*_BY_PATH)
    .limit(limit(READ_ARTIFACTS))
)
_ID_OF_RUN = select(runs.c.id).where(runs.c.run == bindparam("of_run"))
MIRRORED_OF_RUN = MIRRORED_ONES.where(
    artifacts.c.run_id.in_(_ID_OF_RUN.join(repositories).where(*OF_REPO))
)
MIRRORED_OF_RUNS = MIRRORED_ONES.where(artifacts.c.run_id.in_(_ID_OF_RUN))
# the sum keeps the database from sorting the whole repository for every batch
MIRRORED_OF_REPO = MIRRORED_ONES.where(
    (artifacts.c.run_id + literal_column("0")).in_(
        select(runs.c.id).join(repositories).where(*OF_REPO)
    )
)
AT = MIRRORED_ONES.where(
    artifacts.c.path >= bindparam("place"),
    artifacts.c.path < bindparam("end"),
    or_(artifacts.c.path == bindparam("place"), artifacts.c.path >= bindparam("below")),
)
# A sum has no index: so the few artifacts are gone through, and not each of the repository's runs.
_OF_REPO_AFTERWARDS = runs.c.repo_id + literal_column("0") == bindparam("repo_id")
UNWELL_ONES = (
    _artifacts()
    .where(text(UNWELL), _OF_REPO_AFTERWARDS, SETTLED_FOR, runs.c.kept.is_not(None), SINCE)
    .order_by(*NEWEST_FIRST, artifacts.c.id)
)
NEWEST_ERROR = (
    select(artifacts.c.message)
    .join_from(artifacts, runs)
    .where(text(UNWELL), OF_REPO_ID)
    .order_by(*NEWEST_FIRST, artifacts.c.id.desc())
    .limit(limit(1))
)
