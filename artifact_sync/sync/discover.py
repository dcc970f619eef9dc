"""Read a repository's list of runs, no further than needed.

The service promises no order. Where the list was once read to its end and seen to come newest
first, it is left as soon as it has come down to what the ledger knows completely; otherwise it is
read to its end.
"""

from __future__ import annotations

from contextlib import aclosing
from datetime import timedelta
from enum import Enum, auto
from typing import TYPE_CHECKING

from artifact_sync.domain.model import Horizon

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from datetime import datetime

    from artifact_sync.domain.model import RepoName, Run, RunPage, RunScope
    from artifact_sync.domain.ports import DiscoveryLedger, Ledger

_READ_AGAIN = timedelta(hours=1)
"""After so long the list is read, whatever it begins with."""


class Listing(Enum):
    """What came of reading a list."""

    READ = auto()
    UNCHANGED = auto()
    VOID = auto()
    """It was empty, although the ledger knows runs: nothing follows from it."""


class Reading:
    """How far a listing has come, and when to stop. Pure."""

    def __init__(self, known: Horizon | None, since: datetime | None) -> None:
        self._known = known
        self._since = since
        self.is_void = True
        """No run was listed so far."""
        self._ordered = True
        self._first: int | None = None
        self._lowest: int | None = None
        self._highest = 0
        self._aged_out = False

    def take(self, page: Sequence[Run]) -> None:
        """Take in a page."""
        self.is_void = self.is_void and not page
        for run in page:
            self._take_number(run.key.number)
        self._aged_out = bool(page) and all(map(self._too_old, page))

    def _take_number(self, number: int | None) -> None:
        if number is None or (self._lowest is not None and number > self._lowest):
            self._ordered = False
        if number is not None:
            self._first = number if self._first is None else self._first
            self._lowest = number
            self._highest = max(number, self._highest)

    def _too_old(self, run: Run) -> bool:
        created = run.created_at
        return self._since is not None and created is not None and created < self._since

    @property
    def enough(self) -> bool:
        """Whether no later page can show a run that is wanted and unknown."""
        return self._trusted and (self._aged_out or self._reached_known)

    @property
    def _trusted(self) -> bool:
        """Whether the newest runs come first.

        A first page alone cannot tell, whatever it shows: an earlier reading to the end must have
        been seen to fall, and this one must begin at the newest run known and fall so far.
        """
        known = self._known
        begins_new = known is not None and self._first is not None and self._first >= known.high
        return known is not None and known.falling and begins_new and self._ordered

    @property
    def _reached_known(self) -> bool:
        """Whether the ledger holds all older runs that may be wanted."""
        known = self._known
        if known is None or self._lowest is None or self._lowest > known.high:
            return False
        return known.reaches_back(self._since)

    def horizon(self, *, to_the_end: bool) -> Horizon | None:
        """What is known completely after reading so far."""
        highest = max(self._highest, self._known.high if self._known else 0)
        if not highest:
            return None
        if to_the_end:
            return Horizon(highest, falling=self._fell)
        since = self._known.since if self._known and self._reached_known else self._since
        return Horizon(highest, since, falling=self._ordered)

    @property
    def _fell(self) -> bool:
        """Whether at least two runs came in falling order."""
        return self._ordered and self._lowest is not None and self._lowest < self._highest


async def known_digest(ledger: DiscoveryLedger, scope: RunScope, now: datetime) -> str:
    """The digest of the list as it is known; empty: read it.

    Nothing is outstanding then, and the ledger reaches as far back as is asked for.
    """
    digest, at = await ledger.list_digest(scope.repo) or ("", now)
    if not digest or not timedelta() <= now - at < _READ_AGAIN:
        return ""
    horizon = await ledger.horizon(scope.repo)
    if horizon is not None and not horizon.reaches_back(scope.since):
        return ""
    return digest if await ledger.next_look(scope) is None else ""


async def discover(
    pages: AsyncGenerator[RunPage],
    ledger: Ledger,
    repo: RepoName,
    since: datetime | None,
    now: datetime,
) -> Listing:
    """Note listed runs in the ledger.

    The list's digest is noted, too, where the next listing that begins like this one ends there.
    ``ServiceError`` from the source; the pages noted before it stay noted, and the next pass reads
    the list again.
    """
    reading: Reading | None = None
    seen: list[RunPage] = []
    async with aclosing(pages):
        async for page in pages:
            if page.unchanged:
                return Listing.UNCHANGED
            if reading is None:
                reading = Reading(await ledger.horizon(repo), since)
            seen = [*seen[:1], page]
            await ledger.note_runs(page.runs, now)
            reading.take(page.runs)
            if reading.enough:
                break
    if reading is None:
        raise ValueError("a list without a page")
    if reading.is_void and await _knows_runs(ledger, repo):
        return Listing.VOID
    if (horizon := reading.horizon(to_the_end=not reading.enough)) is not None:
        await ledger.raise_horizon(repo, horizon)
    first, digest = seen[0].runs, seen[0].list_digest
    ends_there = len(seen) == 1 or _is_enough(first, await ledger.horizon(repo), since)
    if digest and ends_there:
        await ledger.note_list_digest(repo, digest, now)
    return Listing.READ


async def _knows_runs(ledger: Ledger, repo: RepoName) -> bool:
    async with aclosing(ledger.runs(repo)) as rows:
        return await anext(rows, None) is not None


def _is_enough(page: Sequence[Run], known: Horizon | None, since: datetime | None) -> bool:
    """Whether a listing that begins with this page is left there."""
    again = Reading(known, since)
    again.take(page)
    return again.enough
