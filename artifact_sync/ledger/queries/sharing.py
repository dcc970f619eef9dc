"""Finds files of the same bytes, and keeps account of which share their blocks."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from artifact_sync.domain.model import SameFile, State
from artifact_sync.ledger.queries.keys import known_rows
from artifact_sync.ledger.queries.transaction import chunks, find_repo

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from artifact_sync.domain.model import ArtifactKey, RepoName, RunKey
    from artifact_sync.ledger.queries.transaction import Transaction
    from artifact_sync.ledger.sql.connection import Connection, Row

_FEW = 8
"""Files that are offered: any of them may be damaged, or have no room for another link."""
_READ = 5_000
"""Pairs that are read at a time."""


def same_bytes(connection: Connection, sha256: str) -> Sequence[SameFile]:
    """A few mirrored files of a SHA-256, those that came last first."""
    return [SameFile(*row) for row in connection.rows("same_bytes", sha256=sha256, limit=_FEW)]


def share_blocks(tx: Transaction, row: Row, number: int) -> None:
    """This file, as ``known_artifacts`` tells it, shares the blocks of another one."""
    found = tx.connection.row("whose_blocks", id=number)
    if found is None or found != (row[4], found[1]) or row[2] != State.MIRRORED.value:
        return  # it has ceased to be here meanwhile
    if found[1] != row[0]:
        tx.connection.write("share_blocks", id=row[0], owner=found[1])
        tx.tally(row[7]).share(row[3] or 0)


def leave_blocks(tx: Transaction, rows: Iterable[Row]) -> None:
    """These files, as ``known_artifacts`` tells them, are not here as they were.

    Where others shared the blocks of one, the last of these counts for all of them from now on.
    """
    leaving = {row[0]: row for row in rows if row[2] == State.MIRRORED.value}
    if not leaving or not tx.connection.value("any_share"):
        return
    sharing = [row for row in leaving.values() if row[6] is not None]
    for row in sharing:
        tx.tally(row[7]).share(-(row[3] or 0))
    tx.connection.write_many("share_alone", [{"id": row[0]} for row in sharing])
    for some in chunks(list(leaving)):
        heirs = tx.connection.rows("heirs", these=some)
        for _, _, run_id, size in heirs:
            tx.tally(run_id).share(-(size or 0))
        tx.connection.write_many("share_alone", [{"id": number} for _, number, *_ in heirs])
        moves = [{"id": owner, "heir": number} for owner, number, *_ in heirs]
        tx.connection.write_many("hand_on_shares", moves)


def shared_beyond(connection: Connection, keys: Sequence[ArtifactKey]) -> int:
    """Bytes of these files that are not freed with them."""
    if not connection.value("any_share"):
        return 0
    members: defaultdict[int, list[int]] = defaultdict(list)
    for row in known_rows(connection, keys):
        if row[2] == State.MIRRORED.value:
            members[row[6] or row[0]].append(row[3] or 0)
    sharers = {
        owner: count
        for some in chunks(list(members))
        for owner, count in connection.rows("count_sharers", these=some)
    }
    return sum(_stays(sizes, 1 + sharers.get(owner, 0)) for owner, sizes in members.items())


def _stays(sizes: Sequence[int], of: int) -> int:
    """What is not freed when so many go of all that share some blocks."""
    return sum(sizes[1:] if len(sizes) == of else sizes)


def shared_beyond_runs(connection: Connection, runs: Collection[RunKey]) -> int:
    """Bytes of all files of these runs that are not freed with them."""
    if not runs or not connection.value("any_share"):
        return 0
    going = _run_ids(connection, runs)
    total = 0
    for _, group in groupby(_sharing_pairs(connection), key=itemgetter(0)):
        pairs = list(group)
        held_by = [pairs[0][4], *(pair[2] for pair in pairs)]
        total += _stays([pairs[0][3] or 0] * sum(it in going for it in held_by), len(held_by))
    return total


def _run_ids(connection: Connection, runs: Collection[RunKey]) -> set[int]:
    of_repo: defaultdict[RepoName, set[str]] = defaultdict(set)
    for key in runs:
        of_repo[key.repo].add(key.run)
    return {
        run_id
        for repo, names in of_repo.items()
        for run, run_id in connection.rows("numbers_of_runs", repo_id=find_repo(connection, repo))
        if run in names
    }


def _sharing_pairs(connection: Connection) -> Iterator[Row]:
    """Every file that shares blocks, with the one that counts for them, by that one."""
    owner, number = 0, 0
    while True:
        found = connection.rows("sharing_pairs", owner=owner, id=number, limit=_READ)
        yield from found
        if len(found) < _READ:
            return
        owner, number = found[-1][:2]
