"""The request for a pass."""

from __future__ import annotations

# Not for the checkers alone: whoever asks a ``Struct`` for its signature needs these names.
# ruff: noqa: TC001, TC003
from datetime import datetime

from msgspec import Struct, field
from msgspec.structs import replace

from artifact_sync.domain.forget_rules import ForgetRules
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


class Standing(Struct, frozen=True):
    """What the ledger holds that decides what a pass over a repository comes to.

    Two of the same selection that agree tell that a pass would count the same, whoever has written
    meanwhile. Only a file that a look at a named run has newly refused for its name is left out:
    that has no index, and is counted by the next pass that looks at the newest files.
    """

    list_digest: str
    """Of the first page of its list; empty: the list has to be read."""
    forget_rules: ForgetRules
    unsettled: int
    """Runs that have to be looked at, now or later."""
    pruning: int
    """Runs of which files are being removed."""
    unextracted: int
    """Archives whose extraction is not here."""
    counts: tuple[int, ...]
    """Of what has come, and of what has failed."""
    last_pass: datetime | None = None
    """When a pass was last recorded; of that, nothing depends."""

    def agrees(self, other: Standing) -> bool:
        """Whether a pass would come to the same."""
        return replace(self, last_pass=None) == replace(other, last_pass=None)

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is left to do while the list stays the same."""
        rules = self.forget_rules
        begun = self.unsettled or self.pruning or rules.unfinished
        return bool(self.list_digest) and not begun and not rules.forgets_repository


class Unchanged(Struct, frozen=True):
    """A repository with nothing to do while list and ledger stay the same."""

    standing: Standing
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
    remembers: bool = False
    """Whoever asks will ask again, and remembers what is unchanged then."""
    unchanged: Unchanged | None = None
    """The one repository, as an earlier pass has left it.

    Where it still is, a pass is recorded only if none was for a while.
    """
