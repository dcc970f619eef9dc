"""Which runs of a repository there are: reading the list of runs, but no further than is needed.

The service promises no order. Where the list was once read to its end and seen to come newest
first, it is left as soon as it has come down to what the ledger knows completely; otherwise it is
read to its end.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from artifact_sync.domain.model import Horizon

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from artifact_sync.domain.model import RepoName, Run
    from artifact_sync.domain.ports import Ledger, Source


class Reading:
    """How far a listing has come, and whether the rest of it can hold anything new. Pure."""

    def __init__(self, known: Horizon | None, since: datetime | None) -> None:
        self._known = known
        self._since = since
        self._ordered = True
        self._first: int | None = None
        self._lowest: int | None = None
        self._highest = 0
        self._aged_out = False

    def take(self, page: Sequence[Run]) -> None:
        """Take in a page."""
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
        """Whether all further down is in the ledger, as far back as is asked for now."""
        known = self._known
        if known is None or self._lowest is None or self._lowest > known.high:
            return False
        return reaches_back(known, self._since)

    def horizon(self, *, to_the_end: bool) -> Horizon | None:
        """What is known completely, now that the listing has been read this far."""
        highest = max(self._highest, self._known.high if self._known else 0)
        if not highest:
            return None
        if to_the_end:
            return Horizon(highest, falling=self._fell)
        since = self._known.since if self._known and self._reached_known else self._since
        return Horizon(highest, since, falling=self._ordered)

    @property
    def _fell(self) -> bool:
        """Whether the listing has shown its order: less than two runs show none."""
        return self._ordered and self._lowest is not None and self._lowest < self._highest


def reaches_back(known: Horizon, since: datetime | None) -> bool:
    """Whether all that may be wanted now, and is no newer than the horizon, is in the ledger."""
    return known.since is None or (since is not None and known.since <= since)


async def discover(
    source: Source, ledger: Ledger, repo: RepoName, since: datetime | None, now: datetime
) -> None:
    """Note in the ledger every run that the service lists and that may be wanted.

    The mark of the list is noted, too, where a listing that begins like this one needs no second
    page. ``ServiceError`` from the source; the pages noted before it stay noted, and the next pass
    reads the list again.
    """
    reading = Reading(await ledger.horizon(repo), since)
    marks: list[str] = []
    first: Sequence[Run] | None = None
    single = True
    async with aclosing(source.runs(repo, marks.append)) as pages:
        async for page in pages:
            single, first = first is None, page if first is None else first
            await ledger.note_runs(page, now)
            reading.take(page)
            if reading.enough:
                break
    if (horizon := reading.horizon(to_the_end=not reading.enough)) is not None:
        await ledger.raise_horizon(repo, horizon)
    if marks and (single or _is_enough(first, await ledger.horizon(repo), since)):
        await ledger.note_mark(repo, marks[0], now)


def _is_enough(page: Sequence[Run] | None, known: Horizon | None, since: datetime | None) -> bool:
    """Whether a listing that begins with this page is left there."""
    again = Reading(known, since)
    again.take(page or ())
    return again.enough
