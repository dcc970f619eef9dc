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
    expiring: float | None = None
    """Seconds: only runs whose artifacts vanish within them, or may have vanished; None: all."""


class Unchanged(Struct, frozen=True):
    """A repository with nothing left to do while its list stays the same."""

    list_digest: str
    """Of the first page of the list."""
    report: Report
    """What a pass over it comes to."""


class PassRequest(Struct, frozen=True):
    """What a pass is asked for."""

    repos: tuple[RepoSettings, ...]
    runs: tuple[str, ...] = ()
    """Slugs: only these runs, looked at whatever is known of them. Empty: all."""
    mode: PassOptions = field(default_factory=PassOptions)
    announced: tuple[str, ...] = ()
    """Slugs of runs that are said to have finished: looked at beside all others."""
    unchanged: Unchanged | None = None
    """The one repository, as an earlier pass has left it. Where it still is, none is recorded."""
