"""Which files are verified, within which bounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from artifact_sync.domain.model import ArtifactKey, ArtifactRow, State

if TYPE_CHECKING:
    from artifact_sync.domain.model import RepoName

_SLACK = timedelta(days=1)
"""By which a file may have been verified after now: clocks are set."""

EVER = datetime(1, 1, 1, tzinfo=UTC)
FOR_EVER = datetime(9999, 12, 31, tzinfo=UTC)


class DueWindow(NamedTuple):
    """What is due: verified before a moment, or after another by a wrong clock."""

    before: datetime
    after: datetime

    @classmethod
    def of(cls, now: datetime, age: float) -> DueWindow:
        """What was verified so many seconds ago, or longer."""
        span = timedelta(seconds=age)
        return cls(now - span if now - EVER > span else EVER, now + _SLACK)

    def holds(self, verified: datetime | None) -> bool:
        """Whether a file that was verified then is due."""
        return verified is None or not self.before <= verified < self.after


class VerifyBounds(Struct, frozen=True, kw_only=True):
    """What ends a verification before everything is verified; whatever comes first."""

    share: float | None = None
    """Of the files, those verified longest ago. None, as for the others: no bound."""
    max_bytes: int | None = None
    """Bytes that are read."""
    max_time: float | None = None
    """Seconds that it takes."""
    older_than: float | None = None
    """Seconds for which a file was not verified; others are left out."""
    quick: bool = False
    """Files are not read for which the store vouches. It is no bound."""

    def __bool__(self) -> bool:
        return replace(self, quick=False) != NO_BOUNDS


NO_BOUNDS = VerifyBounds()
"""Everything is verified."""


class VerifiedFile(Struct, frozen=True, array_like=True):
    """A file that was found as recorded."""

    run: str
    workflow: str
    task: str
    cube: str
    local_path: str
    sha256: str

    @classmethod
    def of(cls, row: ArtifactRow) -> VerifiedFile:
        """The file of a row."""
        return cls(*row.key[2:], row.sha256)

    def row(self, repo: RepoName) -> ArtifactRow:
        """As much of its row as tells the file and its content."""
        key = ArtifactKey(*repo, self.run, self.workflow, self.task, self.cube, self.local_path)
        return ArtifactRow(key, State.MIRRORED, sha256=self.sha256)


class ReadingBudget:
    """How much more may be read. At least one file may, however large."""

    def __init__(self, bounds: VerifyBounds, files: int, began: float) -> None:
        """``files``: how many there are. ``began``: on a monotonic clock."""
        self._files = ceil(files * bounds.share) if bounds.share is not None else None
        self._bytes = bounds.max_bytes
        self._end = began + bounds.max_time if bounds.max_time is not None else None
        self._begun = False

    def take(self, size: int, now: float) -> bool:
        """Whether a file of this size may be read, too."""
        if self._begun and (self.is_late(now) or self._lacks(size)):
            return False
        self._begun = True
        if self._files is not None:
            self._files -= 1
        if self._bytes is not None:
            self._bytes -= size
        return True

    def is_late(self, now: float) -> bool:
        """Whether its time is over."""
        return self._end is not None and now >= self._end

    def _lacks(self, size: int) -> bool:
        spent = self._files is not None and self._files <= 0
        return spent or (self._bytes is not None and self._bytes < size)
