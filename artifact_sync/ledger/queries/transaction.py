"""A transaction: creates rows on demand and keeps the counts of runs."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

from artifact_sync.domain.hooks import Subscriptions
from artifact_sync.domain.model import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from artifact_sync.domain.model import RepoName, RunKey
    from artifact_sync.ledger.sql.connection import Connection

_T = TypeVar("_T")

_COUNTS = tuple(state.value for state in State)

NO_NUMBER = -1
"""``runs.number`` where the slug is no number: below all others, so that it sorts last."""

FRESH_RUN = {
    **dict.fromkeys(("created_at", "finished_at", "first_seen", "seen_at")),
    **dict.fromkeys(("status", "event", "fingerprint", "creation_at", "creation_id"), ""),
    "complete": False,
}
"""What a run's row holds when nothing but its key is known."""


NOBODY: Final = Subscriptions({}, lambda: datetime.now(UTC), 0.0)
"""No hook hears of anything."""


class Transaction:
    """A connection with an open transaction. Call ``flush`` last."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.subscriptions = NOBODY
        """Who hears of what is written next."""
        self._repositories: dict[RepoName, int] = {}
        self._runs: dict[RunKey, int] = {}
        self._tallies: defaultdict[int, Tally] = defaultdict(Tally)

    def repo_id(self, repo: RepoName) -> int:
        """The repository's row, made when there is none."""
        if repo not in self._repositories:
            self._repositories[repo] = find_repo(self.connection, repo) or self._make_repo(repo)
        return self._repositories[repo]

    def _make_repo(self, repo: RepoName) -> int:
        org, name = repo
        made = self.connection.insert("make_repository", org=org, repo=name)
        return made or find_repo(self.connection, repo) or 0

    def run_id(self, key: RunKey) -> int:
        """The run's row, made when there is none."""
        if key not in self._runs:
            self._runs[key] = find_run(self.connection, key) or self._make_run(key)
        return self._runs[key]

    def _make_run(self, key: RunKey) -> int:
        values = {**FRESH_RUN, **identity(self.repo_id(key.repo), key)}
        return self.connection.insert("make_run", **values) or find_run(self.connection, key) or 0

    def tally(self, run_id: int) -> Tally:
        """What changes in the counts of a run, to be added to."""
        return self._tallies[run_id]

    def flush(self) -> None:
        """Write the counts."""
        changes = [tally.values(run_id) for run_id, tally in self._tallies.items()]
        if changes:
            self.connection.write_many("count", changes)
        kept = [
            {"id": run_id, "kept": tally.kept}
            for run_id, tally in self._tallies.items()
            if tally.kept
        ]
        if kept:
            self.connection.write_many("count_kept", kept)
        aged = [{"id": run_id} for run_id, tally in self._tallies.items() if tally.aged]
        if aged:
            self.connection.write_many("find_oldest_verified", aged)
        self._tallies.clear()


class Tally:
    """Changes in what a run's row counts."""

    def __init__(self) -> None:
        self._by = dict.fromkeys((*_COUNTS, "bytes", "shared_bytes"), 0)
        self._mirrored_at: datetime | None = None
        self._verified: datetime | None = None
        self.kept = 0
        """Selected files that were put back."""
        self.aged = False
        """Whether which file was verified longest ago must be looked up."""

    def enter(self, state: State, size: int) -> None:
        """Count an artifact's new state, and its bytes if it is mirrored."""
        self._move(state, size, 1)

    def leave(self, state: State, size: int) -> None:
        """An artifact is in this state no more."""
        self._move(state, size, -1)

    def _move(self, state: State, size: int, by: int) -> None:
        self._by[state.value] += by
        if state is State.MIRRORED:
            self._by["bytes"] += by * size
            self.aged = self.aged or by < 0

    def share(self, size: int) -> None:
        """Count bytes in the blocks of another file; below zero: no more."""
        self._by["shared_bytes"] += size

    def grow(self, size: int) -> None:
        """Count bytes that were unpacked beside mirrored files, or that are no more."""
        self._by["bytes"] += size

    def mirrored(self, at: datetime | None) -> None:
        """An artifact was mirrored then."""
        self._mirrored_at = at or self._mirrored_at

    def verified(self, at: datetime | None) -> None:
        """A file that is mirrored now was verified then."""
        self._verified = min(filter(None, (at, self._verified)), default=None)

    def values(self, run_id: int) -> dict[str, Any]:
        """The parameters of the update."""
        times = {"last_mirrored": self._mirrored_at, "verified": self._verified}
        return {"id": run_id, **times, **self._by}


def carry_out(connection: Connection, works: Sequence[Callable[[Transaction], Any]]) -> list[Any]:
    """Do all of these in the open transaction; what each of them returns."""
    transaction = Transaction(connection)
    results = [work(transaction) for work in works]
    transaction.flush()
    return results


def demand_lock(transaction: Transaction, key: int) -> None:
    """The last work: the transaction fails unless a session of PostgreSQL holds this lock.

    The server looks when all else is carried out, which may have waited for other transactions.
    """
    transaction.flush()
    transaction.connection.demand_lock(key)


def find_repo(connection: Connection, repo: RepoName) -> int | None:
    """The repository's row, if there is one."""
    org, name = repo
    found: int | None = connection.lasting("repository", org=org, repo=name)
    return found


def find_repos(connection: Connection, repos: Sequence[RepoName]) -> list[int]:
    """The rows of those that there are; never none, which no statement takes.

    A statement for some hundred of them: there may be thousands.
    """
    found = {
        (org, repo): repo_id
        for some in chunks(repos)
        for org, repo, repo_id in connection.rows(
            "repositories_named", these=[it[1] for it in some]
        )
    }
    return [found[it] for it in repos if it in found] or [0]


def find_run(connection: Connection, key: RunKey) -> int | None:
    """The run's row, if there is one."""
    org, name = key.repo
    found: int | None = connection.checked("run_id", "is_run", org=org, repo=name, run=key.run)
    return found


def identity(repo_id: int, key: RunKey) -> dict[str, Any]:
    """The columns that say which run it is."""
    number = NO_NUMBER if key.number is None else key.number
    return {"repo_id": repo_id, "run": key.run, "number": number}


def chunks(items: Sequence[_T], size: int = 500) -> Sequence[Sequence[_T]]:
    """The items in pieces that fit one statement."""
    return [items[start : start + size] for start in range(0, len(items), size)]
