"""``ports.TurnBoard`` in PostgreSQL. All times are by the server's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from artifact_sync.domain.jobs import BoardNews, PastTurn, TurnEnd, Wake
from artifact_sync.fleet import tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from artifact_sync.fleet.coordination import Coordination

_COLUMNS = (
    "repo, why, extract(epoch FROM clock_timestamp() - began_at)::float8,"
    " announced, failures, extract(epoch FROM clock_timestamp() - ended_at)::float8,"
    " verdict, error, finished, extract(epoch FROM again_at - clock_timestamp())::float8, found,"
    " CASE WHEN behind THEN extract(epoch FROM clock_timestamp() - caught_up_at)::float8 END,"
    " extract(epoch FROM clock_timestamp() - complete_at)::float8,"
    " coalesce(complete_at = ended_at, FALSE)"
)
_TURNS = f"SELECT {_COLUMNS} FROM fleet_turns"  # noqa: S608 - ours
_HEAR_ALL = "UPDATE fleet_turns SET heard = TRUE WHERE NOT heard"
_HEAR = f"{_HEAR_ALL} RETURNING {_COLUMNS}"
_WAKES = (
    "SELECT extract(epoch FROM clock_timestamp())::float8, id, repo, why, run, eager"
    " FROM (VALUES (TRUE)) AS now LEFT JOIN fleet_wakes ON id > %s ORDER BY id"
)
"""With the time, of which there is a row also where nobody was woken."""
_PLAN = (
    "INSERT INTO fleet_turns (repo, why, announced)"
    " SELECT it.repo, it.why, coalesce(string_to_array(nullif(it.runs, ''), chr(10)), '{}')"
    " FROM unnest(%s::text[], %s::text[], %s::text[]) AS it (repo, why, runs)"
    " ON CONFLICT (repo) DO UPDATE SET why = excluded.why, announced = excluded.announced,"
    " began_at = clock_timestamp(), ended_at = NULL, heard = TRUE"
)
_ANNOUNCE = "UPDATE fleet_turns SET announced = %s WHERE repo = %s"
_SERVED = "DELETE FROM fleet_wakes WHERE id = ANY(%s)"
_BEGUN_SINCE = (
    f"SELECT {_COLUMNS} FROM fleet_turns WHERE repo IN (SELECT w.repo FROM fleet_wakes w"  # noqa: S608 - ours
    " WHERE w.id = ANY(%s)) AND started_at > (SELECT max(w.at) FROM fleet_wakes w"
    " WHERE w.repo = fleet_turns.repo AND w.id = ANY(%s))"
)
_LOST = (
    "SELECT repo FROM fleet_turns WHERE ended_at IS NULL AND NOT EXISTS (SELECT"
    " FROM procrastinate_jobs job WHERE job.lock = %s || fleet_turns.repo"
    " AND job.status IN ('todo', 'doing'))"
)
_FORGET = "DELETE FROM fleet_turns WHERE repo = ANY(%s)"
_WAKE = (
    "INSERT INTO fleet_wakes (repo, why, run, eager)"
    " SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bool[])"
)
_STARTED = (
    "WITH known AS (SELECT version FROM fleet_version), begun AS ("
    " INSERT INTO fleet_turns (repo, started_at) SELECT %s, clock_timestamp() FROM known"
    " WHERE version <= %s"
    " ON CONFLICT (repo) DO UPDATE SET started_at = clock_timestamp(), ended_at = NULL"
    ") SELECT version FROM known"
)
"""Where the tables are of a newer version, nothing but that is told."""
_ANNOUNCED = (
    "SELECT DISTINCT run FROM (SELECT run FROM fleet_wakes WHERE repo = %s AND run IS NOT NULL"
    " UNION ALL SELECT unnest(announced) FROM fleet_turns WHERE repo = %s) AS them"
)
_ENDED = (
    "UPDATE fleet_turns SET ended_at = statement_timestamp(), heard = FALSE, verdict = %s,"
    " error = %s, finished = %s, again_at = clock_timestamp() + make_interval(secs => %s),"
    " found = coalesce(%s, found), failures = CASE %s WHEN 'well' THEN 0 WHEN 'failed'"
    " THEN failures + 1 WHEN 'unasked' THEN failures + 1 ELSE failures END, behind = NOT %s,"
    " caught_up_at = CASE WHEN %s THEN statement_timestamp() ELSE caught_up_at END,"
    " complete_at = CASE WHEN %s THEN statement_timestamp() ELSE complete_at END WHERE repo = %s"
)


class PostgresTurnBoard:
    """The board, in tables beside the queue's."""

    def __init__(self, database: Coordination, mirror: str) -> None:
        self._database = database
        self._prefix = f"{mirror}/"
        """Of the locks of jobs."""

    async def turns(self) -> Sequence[PastTurn]:
        """All last turns; see ``ports.TurnBoard``."""
        async with self._database.transaction():
            await self._database.ask(_HEAR_ALL)
            return [_turn(row) for row in await self._database.ask(_TURNS)]

    async def news(self, wakes_after: int) -> BoardNews:
        """What is new; see ``ports.TurnBoard``."""
        wakes = await self._database.ask(_WAKES, [wakes_after])
        ended = await self._database.ask(_HEAR)
        woken = tuple(_wake(row) for _, *row in wakes if row[0] is not None)
        return BoardNews(wakes[0][0], tuple(map(_turn, ended)), woken)

    async def plan(self, turns: Sequence[PastTurn], wakes: Sequence[int]) -> None:
        """Note what begins; see ``ports.TurnBoard``."""
        runs = ["\n".join(it.announced) for it in turns]
        async with self._database.transaction():
            if turns:
                repos, whys = [it.repo for it in turns], [it.why for it in turns]
                await self._database.ask(_PLAN, [repos, whys, runs])
            if wakes:
                await self._database.ask(_SERVED, [list(wakes)])

    async def announce(self, turns: Sequence[PastTurn]) -> None:
        """Note announced runs; see ``ports.TurnBoard``."""
        for it in turns:
            await self._database.ask(_ANNOUNCE, [list(it.announced), it.repo])

    async def begun_since(self, wakes: Sequence[int]) -> Sequence[PastTurn]:
        """Turns behind wakes; see ``ports.TurnBoard``."""
        if not wakes:
            return []
        return [_turn(it) for it in await self._database.ask(_BEGUN_SINCE, [[*wakes], [*wakes]])]

    async def lost(self) -> Sequence[str]:
        """Turns without a job; see ``ports.TurnBoard``."""
        return [repo for (repo,) in await self._database.ask(_LOST, [self._prefix])]

    async def forget(self, repos: Sequence[str]) -> None:
        """Forget some; see ``ports.TurnBoard``."""
        if repos:
            await self._database.ask(_FORGET, [list(repos)])

    async def wake(self, wakes: Sequence[Wake]) -> None:
        """Tell of wakes; see ``ports.TurnBoard``."""
        columns = zip(*((it.repo, it.why, it.run, it.eager) for it in wakes), strict=True)
        await self._database.ask(_WAKE, [list(it) for it in columns])

    async def started(self, repo: str) -> tuple[str, ...]:
        """Note a begin; see ``ports.TurnBoard``."""
        ((version,),) = await self._database.ask(_STARTED, [repo, tables.VERSION])
        tables.refuse_newer(version)
        # afterwards: a wake that came before the begin was written must not be missed
        return tuple(run for (run,) in await self._database.ask(_ANNOUNCED, [repo, repo]))

    async def ended(self, repo: str, end: TurnEnd) -> None:
        """Note an end; see ``ports.TurnBoard``."""
        found = None if end.found is None else list(end.found)
        facts = [end.verdict, end.error, list(end.finished), end.again_in, found, end.verdict]
        await self._database.ask(_ENDED, [*facts, end.caught_up, end.caught_up, end.complete, repo])


def _turn(row: Sequence[Any]) -> PastTurn:
    repo, why, began, announced, failures, ended, verdict, error, finished, again, *rest = row
    found, behind_for, complete_ago, complete = rest
    listed = None if found is None else tuple(found)
    told = (verdict, error, tuple(finished), again, listed)
    end = TurnEnd(*told, behind_for is None, complete)
    known = (repo, why, began, tuple(announced), failures)
    over = (ended or 0.0, None if ended is None else end, listed)
    return PastTurn(*known, *over, behind_for, complete_ago)


def _wake(row: Sequence[Any]) -> Wake:
    number, repo, why, run, eager = row
    return Wake(repo, why, run, eager, number)
