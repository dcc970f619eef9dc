"""The statements about repositories, runs, passes and the ledger itself.

See ``statements``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import (
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    null,
    select,
    update,
)

from artifact_sync.ledger.limits import PASSES_KEPT, READ_RUNS
from artifact_sync.ledger.schema import meta, passes, repositories, runs
from artifact_sync.ledger.written import (
    BELOW,
    COUNTS,
    EMPTY,
    NEWEST_FIRST,
    OF_REPO,
    OF_REPO_ID,
    SETTLED_FOR,
    SINCE,
    SUCCESS,
    Change,
    given,
    limit,
    made,
    these,
)

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

META = select(meta.c.value).where(meta.c.key == bindparam("named"))
PUT_META = Change(insert(meta), ("key", "value"))
DROP_META = delete(meta).where(meta.c.key == bindparam("named"))

_THIS_REPO = update(repositories).where(repositories.c.id == bindparam("this"))
REPO = select(repositories.c.id).where(*OF_REPO)
MAKE_REPO = Change(insert(repositories), ("org", "repo", "last_error"))
ALL_REPOS = select(repositories.c.org, repositories.c.repo)
HORIZON = select(
    repositories.c.horizon_high, repositories.c.horizon_since, repositories.c.horizon_falling
).where(*OF_REPO)
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
_OF_RUN = (*OF_REPO, runs.c.run == bindparam("of_run"))
_THIS_RUN = update(runs).where(runs.c.id == bindparam("this"))

RUN_ID = select(runs.c.id).join_from(runs, repositories).where(*_OF_RUN)
MAKE_RUN = made(runs, "last_mirrored", "kept", "next_look")
RUN = select(*_RUN).join_from(runs, repositories).where(*_OF_RUN)
KNOWN_RUNS = select(runs.c.id, runs.c.run, runs.c.fingerprint, runs.c.status).where(
    OF_REPO_ID, these(runs.c.run)
)
SEE_RUN = Change(_THIS_RUN, ("seen_at",))
SAY_STATUS = Change(_THIS_RUN, ("status",))
_TOLD = ("status", "event", "created_at", "finished_at", "seen_at")
CHANGE_RUN = Change(
    _THIS_RUN.values(looks=literal_column("0"), settled_for=EMPTY, kept=null(), next_look=null()),
    (*_TOLD, "fingerprint"),
)
NOTE_RUN = Change(
    _THIS_RUN.values(
        fingerprint=func.coalesce(
            func.nullif(runs.c.fingerprint, EMPTY), given("told", runs.c.fingerprint)
        ),
        first_seen=func.coalesce(runs.c.first_seen, given("at", runs.c.first_seen)),
    ),
    _TOLD,
)
STATUS = select(runs.c.status).where(runs.c.id == bindparam("this"))
UNSETTLED = (
    select(*_RUN, runs.c.number, runs.c.id)
    .join_from(runs, repositories)
    .where(OF_REPO_ID, SETTLED_FOR, BELOW, SINCE)
    .order_by(*NEWEST_FIRST)
    .limit(limit(READ_RUNS))
)
_LOWEST = select(func.min(runs.c.settled_for)).where(OF_REPO_ID)
FIRST_SELECTION = _LOWEST
NEXT_SELECTION = _LOWEST.where(runs.c.settled_for > bindparam("selection"))
NEXT_LOOK = select(func.count(), func.count(runs.c.next_look), func.min(runs.c.next_look)).where(
    OF_REPO_ID, SETTLED_FOR, SINCE
)
SETTLE = Change(_THIS_RUN.values(next_look=null()), ("settled_for", "kept"))
LOOK_AGAIN = Change(
    _THIS_RUN.values(settled_for=EMPTY, kept=null(), looks=runs.c.looks + literal_column("1")),
    ("next_look",),
)
UNSETTLE = _THIS_RUN.values(settled_for=EMPTY, kept=null(), next_look=null())
MARK_COMPLETE = Change(_THIS_RUN, ("complete",))
_COMPLETE = (
    select(runs.c.run)
    .where(OF_REPO_ID, runs.c.complete.is_(True))
    .order_by(*NEWEST_FIRST)
    .limit(limit(1))
)
NEWEST_COMPLETE = _COMPLETE
NEWEST_SUCCESS = _COMPLETE.where(runs.c.status == SUCCESS)
ADD = _THIS_RUN.values(
    {
        **{name: runs.c[name] + given(f"by_{name}", runs.c[name]) for name in (*COUNTS, "bytes")},
        "last_mirrored": func.coalesce(
            given("at_last", runs.c.last_mirrored), runs.c.last_mirrored
        ),
    }
)

SETTLED_TOTALS = select(
    func.count(), func.coalesce(func.sum(runs.c.kept), literal_column("0"))
).where(OF_REPO_ID, SETTLED_FOR, runs.c.kept.is_not(None), SINCE)


def _newest_run() -> ColumnElement[str]:
    """The number of the newest run, in the order of ``NEWEST_FIRST``."""
    these = runs.alias()  # beside those that are summed up
    query = select(these.c.run).where(these.c.repo_id == repositories.c.id)
    query = query.order_by(these.c.number.desc(), these.c.id.desc()).limit(limit(1))
    return query.scalar_subquery()


_SETTLED = case((runs.c.settled_for != EMPTY, literal_column("1")), else_=literal_column("0"))
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
        *(func.sum(runs.c[name]) for name in COUNTS),
    )
    .outerjoin_from(repositories, runs)
    .group_by(repositories.c.id)
)
TOTALS = ALL_TOTALS.where(*OF_REPO)

BEGIN_PASS = made(passes, "ended", "exit_code")
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
    .offset(limit(PASSES_KEPT))
    .limit(limit(1))
)
FORGET_PASSES = delete(passes).where(
    passes.c.repo_id == bindparam("repo_id"), passes.c.id <= bindparam("last")
)
