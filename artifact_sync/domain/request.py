"""The request for a pass."""

from __future__ import annotations

# Not for the checkers alone: whoever asks a ``Struct`` for its signature needs these names.
# ruff: noqa: TC001
from msgspec import Struct, field

from artifact_sync.domain.report import Report
from artifact_sync.domain.settings import RepoSettings


class PassOptions(Struct, frozen=True):
    """Options of a pass."""

    dry_run: bool = False
    """Plan, but change nothing."""
    insist: bool = False
    """The runs were named by the user: what was given up is tried again."""
    recorded: bool = False
    """A repair: select what the ledger has a file of, whatever the rules say."""
    eager: bool = True
    """The user waits: no outstanding run is put off until it is due."""
    look: bool = True
    """See whether the newest files stand in the mirror; needless where they are watched."""


class Unchanged(Struct, frozen=True):
    """Nothing is left to do in a repository, as long as its list of runs begins as it did."""

    mark: str = ""
    """``Source.mark`` before the list was read; empty: nothing is known yet."""
    report: Report = field(default_factory=Report)
    """What a pass over it comes to."""


class PassRequest(Struct, frozen=True):
    """What a pass is asked for."""

    repos: tuple[RepoSettings, ...]
    runs: tuple[str, ...] = ()
    """Slugs: only these runs, looked at whatever is known of them. Empty: all."""
    mode: PassOptions = field(default_factory=PassOptions)
    announced: tuple[str, ...] = ()
    """Slugs of runs that are said to have finished: looked at beside all others."""
    calm: Unchanged | None = None
    """What an earlier pass over the one repository has left; while it lasts, there is no more."""
