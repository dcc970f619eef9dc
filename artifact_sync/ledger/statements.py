"""Every statement of the ledger's verbs, written with SQLAlchemy. What for, the verbs tell.

What a verb gives is a ``bindparam``; constants are literal, so that nothing else is left to bind.
``frozen`` is made of this module: ``python -m artifact_sync.ledger.freeze`` after each change here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import (
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    text,
    tuple_,
    update,
)

from artifact_sync.ledger.limits import PASSES_KEPT, READ_ARTIFACTS, READ_RUNS
from artifact_sync.ledger.schema import UNWELL, artifacts, meta, passes, repositories, runs
from artifact_sync.model import State

if TYPE_CHECKING:
    from sqlalchemy import Column, ColumnElement, Insert, Select, Table, Update


class Change(NamedTuple):
    """An insert or update that is given values for these columns, by their names."""

    statement: Insert | Update
    columns: tuple[str, ...]


def _given(name: str, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """What a verb gives, of a column's type."""
    return bindparam(name, type_=column.type)


def _these(column: Column[Any]) -> ColumnElement[bool]:
    return column.in_(bindparam("these", expanding=True))


def _limit(number: int) -> Any:
    return literal_column(str(number))


def _made(table: Table, *without: str) -> Change:
    """A new row, of which all is given."""
    names = (column.name for column in table.columns)
    return Change(insert(table), tuple(name for name in names if name not in {"id", *without}))


_COUNTS = tuple(state.value for state in State)
_EMPTY: ColumnElement[str] = literal_column("''")
_IS_MIRRORED = text(f"state = '{State.MIRRORED.value}'")
_SUCCESS: ColumnElement[str] = literal_column("'success'")

META = select(meta.c.value).where(meta.c.key == bindparam("named"))
PUT_META = Change(insert(meta), ("key", "value"))
DROP_META = delete(meta).where(meta.c.key == bindparam("named"))

_OF_REPO = (
    repositories.c.org == bindparam("of_org"),
    repositories.c.repo == bindparam("of_repo"),
)
_THIS_REPO = update(repositories).where(repositories.c.id == bindparam("this"))
REPO = select(repositories.c.id).where(*_OF_REPO)
MAKE_REPO = Change(insert(repositories), ("org", "repo", "last_error"))
ALL_REPOS = select(repositories.c.org, repositories.c.repo)
HORIZON = select(
    repositories.c.horizon_high, repositories.c.horizon_since, repositories.c.horizon_falling
).where(*_OF_REPO)
RAISE_HORIZON = Change(_THIS_REPO, ("horizon_high", "horizon_since", "horizon_falling"))
END_REPO = Change(_THIS_REPO, ("last_pass", "last_error"))
END_COMPLETE_REPO = Change(_THIS_REPO, ("last_pass", "last_error", "last_complete"))

_RUN = (
    repositories.c.org,
    repositories.c.repo,
    runs.c.run,
    runs.c.status,
    runs.c.event,
    runs.c.created_at,
    runs.c.finished_at,
    runs.c.fingerprint,
    runs.c.settled_for,
    runs.c.first_seen,
    runs.c.seen_at,
    runs.c.next_look,
    runs.c.looks,
    runs.c.complete,
)
_OF_RUN = (*_OF_REPO, runs.c.run == bindparam("of_run"))
_OF_REPO_ID = runs.c.repo_id == bindparam("repo_id")
_SETTLED_FOR = runs.c.settled_for == bindparam("selection")
_SINCE = or_(runs.c.created_at.is_(None), runs.c.created_at >= bindparam("since"))
_NEWEST_FIRST = (runs.c.number.desc(), runs.c.id.desc())
_BELOW = tuple_(runs.c.number, runs.c.id) < tuple_(
    _given("number", runs.c.number), _given("id", runs.c.id)
)
_THIS_RUN = update(runs).where(runs.c.id == bindparam("this"))

RUN_ID = select(runs.c.id).join_from(runs, repositories).where(*_OF_RUN)
MAKE_RUN = _made(runs, "last_mirrored", "kept", "next_look")
RUN = select(*_RUN).join_from(runs, repositories).where(*_OF_RUN)
KNOWN_RUNS = select(runs.c.id, runs.c.run, runs.c.fingerprint, runs.c.status).where(
    _OF_REPO_ID, _these(runs.c.run)
)
SEE_RUN = Change(_THIS_RUN, ("seen_at",))
SAY_STATUS = Change(_THIS_RUN, ("status",))
_TOLD = ("status", "event", "created_at", "finished_at", "seen_at")
CHANGE_RUN = Change(
    _THIS_RUN.values(looks=literal_column("0"), settled_for=_EMPTY, kept=null(), next_look=null()),
    (*_TOLD, "fingerprint"),
)
NOTE_RUN = Change(
    _THIS_RUN.values(
        fingerprint=func.coalesce(
            func.nullif(runs.c.fingerprint, _EMPTY), _given("told", runs.c.fingerprint)
        ),
        first_seen=func.coalesce(runs.c.first_seen, _given("at", runs.c.first_seen)),
    ),
    _TOLD,
)
STATUS = select(runs.c.status).where(runs.c.id == bindparam("this"))
UNSETTLED = (
    select(*_RUN, runs.c.number, runs.c.id)
    .join_from(runs, repositories)
    .where(_OF_REPO_ID, _SETTLED_FOR, _BELOW, _SINCE)
    .order_by(*_NEWEST_FIRST)
    .limit(_limit(READ_RUNS))
)
_LOWEST = select(func.min(runs.c.settled_for)).where(_OF_REPO_ID)
FIRST_SELECTION = _LOWEST
NEXT_SELECTION = _LOWEST.where(runs.c.settled_for > bindparam("selection"))
NEXT_LOOK = select(func.count(), func.count(runs.c.next_look), func.min(runs.c.next_look)).where(
    _OF_REPO_ID, _SETTLED_FOR, _SINCE
)
SETTLE = Change(_THIS_RUN.values(next_look=null()), ("settled_for", "kept"))
LOOK_AGAIN = Change(
    _THIS_RUN.values(settled_for=_EMPTY, kept=null(), looks=runs.c.looks + literal_column("1")),
    ("next_look",),
)
UNSETTLE = _THIS_RUN.values(settled_for=_EMPTY, kept=null(), next_look=null())
MARK_COMPLETE = Change(_THIS_RUN, ("complete",))
_COMPLETE = (
    select(runs.c.run)
    .where(_OF_REPO_ID, runs.c.complete.is_(True))
    .order_by(*_NEWEST_FIRST)
    .limit(_limit(1))
)
NEWEST_COMPLETE = _COMPLETE
NEWEST_SUCCESS = _COMPLETE.where(runs.c.status == _SUCCESS)
ADD = _THIS_RUN.values(
    {
        **{name: runs.c[name] + _given(f"by_{name}", runs.c[name]) for name in (*_COUNTS, "bytes")},
        "last_mirrored": func.coalesce(
            _given("at_last", runs.c.last_mirrored), runs.c.last_mirrored
        ),
    }
)

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
).where(_OF_RUN_ID, _these(artifacts.c.digest))
MAKE_ARTIFACT = _made(artifacts)
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
OF_RUNS = _artifacts(artifacts.c.run_id, artifacts.c.id).where(_these(artifacts.c.run_id))
_COUNT = sum((runs.c[name] for name in _COUNTS[1:]), runs.c[_COUNTS[0]])
_HOLDING = (
    select(runs.c.number, runs.c.id, _COUNT)
    .where(_OF_REPO_ID, literal_column("0") < _COUNT)
    .order_by(*_NEWEST_FIRST)
    .limit(_limit(READ_ARTIFACTS))
)
HOLDING_RUNS = _HOLDING.where(_BELOW)
HOLDING_RUN = _HOLDING.where(runs.c.run == bindparam("of_run"), _BELOW)
RECENT_RUNS = (
    select(runs.c.number, runs.c.id, runs.c.mirrored, runs.c.run)
    .where(_OF_REPO_ID, runs.c.mirrored > literal_column("0"), _BELOW)
    .order_by(*_NEWEST_FIRST)
    .limit(_limit(READ_RUNS))
)
RECENT_FILES = (
    select(artifacts.c.run_id, artifacts.c.path, artifacts.c.size)
    .where(_these(artifacts.c.run_id), _IS_MIRRORED)
    .order_by(artifacts.c.run_id, artifacts.c.id)
)

_BY_PATH = artifacts.c.path, artifacts.c.id
MIRRORED_ONES = (
    _artifacts(*_BY_PATH)
    .where(
        _IS_MIRRORED,
        tuple_(*_BY_PATH) > tuple_(_given("path", artifacts.c.path), _given("id", artifacts.c.id)),
    )
    .order_by(*_BY_PATH)
    .limit(_limit(READ_ARTIFACTS))
)
_ID_OF_RUN = select(runs.c.id).where(runs.c.run == bindparam("of_run"))
MIRRORED_OF_RUN = MIRRORED_ONES.where(
    artifacts.c.run_id.in_(_ID_OF_RUN.join(repositories).where(*_OF_REPO))
)
MIRRORED_OF_RUNS = MIRRORED_ONES.where(artifacts.c.run_id.in_(_ID_OF_RUN))
# the sum keeps the database from sorting the whole repository for every batch
MIRRORED_OF_REPO = MIRRORED_ONES.where(
    (artifacts.c.run_id + literal_column("0")).in_(
        select(runs.c.id).join(repositories).where(*_OF_REPO)
    )
)
AT = MIRRORED_ONES.where(
    artifacts.c.path >= bindparam("place"),
    artifacts.c.path < bindparam("end"),
    or_(artifacts.c.path == bindparam("place"), artifacts.c.path >= bindparam("below")),
)
UNWELL_ONES = (
    _artifacts()
    .where(text(UNWELL), _OF_REPO_ID, _SETTLED_FOR, runs.c.kept.is_not(None), _SINCE)
    .order_by(*_NEWEST_FIRST, artifacts.c.id)
)
NEWEST_ERROR = (
    select(artifacts.c.message)
    .join_from(artifacts, runs)
    .where(text(UNWELL), _OF_REPO_ID)
    .order_by(*_NEWEST_FIRST, artifacts.c.id.desc())
    .limit(_limit(1))
)

SETTLED_TOTALS = select(
    func.count(), func.coalesce(func.sum(runs.c.kept), literal_column("0"))
).where(_OF_REPO_ID, _SETTLED_FOR, runs.c.kept.is_not(None), _SINCE)


def _newest_run() -> ColumnElement[str]:
    """The number of the newest run, in the order of ``_NEWEST_FIRST``."""
    these = runs.alias()  # beside those that are summed up
    query = select(these.c.run).where(these.c.repo_id == repositories.c.id)
    query = query.order_by(these.c.number.desc(), these.c.id.desc()).limit(_limit(1))
    return query.scalar_subquery()


_SETTLED = case((runs.c.settled_for != _EMPTY, literal_column("1")), else_=literal_column("0"))
ALL_TOTALS = (
    select(
        repositories.c.id,
        repositories.c.org,
        repositories.c.repo,
        repositories.c.last_pass,
        repositories.c.last_complete,
        repositories.c.last_error,
        _newest_run(),
        func.count(runs.c.id),
        func.sum(_SETTLED),
        func.sum(runs.c.bytes),
        func.max(runs.c.last_mirrored),
        *(func.sum(runs.c[name]) for name in _COUNTS),
    )
    .outerjoin_from(repositories, runs)
    .group_by(repositories.c.id)
)
TOTALS = ALL_TOTALS.where(*_OF_REPO)

BEGIN_PASS = _made(passes, "ended", "exit_code")
END_PASS = Change(
    update(passes).where(passes.c.id == bindparam("this")),
    (
        "ended",
        "runs",
        "found",
        "downloaded",
        "kept",
        "failed",
        "pending",
        "bytes",
        "complete",
        "exit_code",
    ),
)
REPO_OF_PASS = select(passes.c.repo_id).where(passes.c.id == bindparam("this"))
OLD_PASS = (
    select(passes.c.id)
    .where(passes.c.repo_id == bindparam("repo_id"))
    .order_by(passes.c.id.desc())
    .offset(_limit(PASSES_KEPT))
    .limit(_limit(1))
)
FORGET_PASSES = delete(passes).where(
    passes.c.repo_id == bindparam("repo_id"), passes.c.id <= bindparam("last")
)
