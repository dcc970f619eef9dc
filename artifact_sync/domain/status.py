"""Values of ``status --json``: repositories in the ledger, state of the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from artifact_sync.domain.jobs import (  # noqa: TC001 - msgspec reads the annotations
    LockSeen,
    QueueLengths,
    WorkerSeen,
)
from artifact_sync.domain.model import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from artifact_sync.domain.jobs import FleetState
    from artifact_sync.domain.model import Totals


_ALWAYS = (
    *(State.MIRRORED, State.WANTED, State.PENDING, State.FAILED, State.LOST),
    *(State.GONE, State.EXPIRED, State.REFUSED, State.FORGOTTEN),
)
"""States that are told also where there is nothing in them."""


def _told(states: Mapping[State, int]) -> dict[str, int]:
    """Counts by state, as ``ls`` has it; ``unwanted`` where there is any."""
    counts = {str(state): 0 for state in _ALWAYS}
    for state, count in states.items():
        if count:
            counts[state.told] = counts.get(state.told, 0) + count
    return counts


class RepoStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of ``repositories``. Times are ISO 8601; None: never."""

    repo: str
    """``org/repo``."""
    runs: int = 0
    """Runs in the ledger."""
    settled: int = 0
    """Runs for which nothing is left to do."""
    pruned_runs: int = 0
    """Runs that the rules of ``[keep]`` have had go. ``runs`` leaves them out."""
    bytes: int = 0
    """Of its files in the mirror."""
    shared_bytes: int = 0
    """Of these, what takes no room: of files that lie in the blocks of another file."""
    states: dict[str, int] = {}
    """Artifacts by state, as ``ls`` has it; ``unwanted`` is left out where there is none."""
    newest_run: str = ""
    """Empty: none."""
    last_mirrored: str | None = None
    """When a file was last added to the mirror."""
    oldest_verified: str | None = None
    """When what is mirrored of it was verified longest ago; mirrored counts as verified."""
    last_pass: str | None = None
    """When a pass over it last ended."""
    last_complete: str | None = None
    """When a pass over it last ended complete."""
    last_error: str = ""
    """The last failure of its last pass; empty: none."""
    vanishing: int = 0
    """Artifacts that are not mirrored yet and vanish upstream within two days."""
    expired: int = 0
    """Artifacts that upstream had forgotten before they were wanted."""
    lost: int = 0
    """Artifacts whose files were here and are missing, and that did not come again."""
    displaced_bytes: int = 0
    """Of its files in ``.artifact-sync/displaced/``; of very many, only the oldest count."""
    unfit: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    """A sentence for each filter that has fitted nothing so far. Left out where there is none."""

    @property
    def is_star(self) -> bool:
        """Whether it is the list of an organisation's repositories (``org/*``)."""
        return self.repo.endswith("/*")

    @classmethod
    def of(cls, totals: Totals, vanishing: int = 0, displaced_bytes: int = 0) -> RepoStatus:
        """Make the entry from the ledger's counts."""
        oldest, ends = totals.oldest_verified, (totals.last_pass, totals.last_complete)
        moments = (totals.last_mirrored, oldest, *ends)
        mirrored, verified, ended, complete = (it.isoformat() if it else None for it in moments)
        return cls(
            repo=str(totals.repo),
            runs=totals.runs,
            settled=totals.settled,
            pruned_runs=totals.pruned_runs,
            bytes=totals.bytes,
            shared_bytes=totals.shared_bytes,
            states=_told(totals.states),
            newest_run=totals.newest_run,
            last_mirrored=mirrored,
            oldest_verified=verified,
            last_pass=ended,
            last_complete=complete,
            last_error=totals.last_error,
            vanishing=vanishing,
            expired=totals.states.get(State.EXPIRED, 0),
            lost=totals.states.get(State.LOST, 0),
            displaced_bytes=displaced_bytes,
            unfit=totals.unfit or msgspec.UNSET,
        )


class ConfigState(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration in effect, and problems of the file as it is now."""

    path: str | None = None
    """Its file; None: there is none."""
    loaded_at: str = ""
    """ISO 8601, UTC."""
    problems: tuple[str, ...] = ()
    """Why the present file is not used; empty: it is."""
    restart_needed: tuple[str, ...] = ()
    """Keys whose new value takes effect after a restart."""


class ServiceState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the last passes could reach the service."""

    reachable: bool = True
    """Whether it answers."""
    since: str = ""
    """When the outage began; ISO 8601. Empty: there is none."""
    why: str = ""
    """What the outage shows as; empty: there is none."""


class PassState(msgspec.Struct, frozen=True, kw_only=True):
    """A running pass."""

    repo: str
    """``org/repo``, or ``org/*`` for the organisation's list of repositories."""
    why: str
    """Why it was begun: ``interval``, ``webhook``, ``user``, …"""
    seconds: float
    """How long it has been running."""
    planned: int = 0
    """Files to download, as far as is known."""
    done: int = 0
    """Files that were downloaded."""
    failed: int = 0
    """Files that failed."""
    bytes: int = 0
    """Received so far."""


class RepoState(msgspec.Struct, frozen=True, kw_only=True):
    """A repository on the schedule."""

    repo: str
    """``org/repo``, or ``org/*`` for the organisation's list of repositories."""
    running: bool = False
    """Whether a pass over it is running."""
    due_in: float | None = None
    """Seconds until its next pass; 0: as soon as there is room."""
    why: str = ""
    """Why it is, or will be, due."""
    failing: int = 0
    """Failed passes in a row."""
    error: str = ""
    """Of the last pass; empty: none."""
    lag: float = 0.0
    """Seconds for which it has been behind; 0: it is not."""

    @property
    def is_star(self) -> bool:
        """Whether it is the list of an organisation's repositories (``org/*``)."""
        return self.repo.endswith("/*")


class WatchState(msgspec.Struct, frozen=True, kw_only=True):
    """State of the watch over the mirror's files."""

    mode: Literal["off", "report", "restore"] = "off"
    """``mirror.watch``."""
    working: bool = False
    """False in a mode other than off: each pass checks files instead."""
    why: str = ""
    """Why it is not working."""
    damaged: int = 0
    """Files found deleted or changed since the start."""
    restored: int = 0
    """Damaged files that were put right since the start."""


class ScrubState(msgspec.Struct, frozen=True, kw_only=True):
    """State of the scrub, which reads the mirror again."""

    every: float = 0.0
    """``verify.every`` in seconds; 0: nothing is read again."""
    rate: int | None = None
    """``verify.rate``: bytes a second; None: as many as come."""
    files: int = 0
    """Files read again since the start."""
    bytes: int = 0
    """Bytes read for that."""
    damaged: int = 0
    """Files found missing or changed since the start."""
    unreadable: int = 0
    """Files that the disk does not give out now."""
    why: str = ""
    """Why nothing is read for the time being; empty: nothing hinders it."""


class DaemonState(msgspec.Struct, frozen=True, kw_only=True):
    """State of the daemon: ``daemon`` in the JSON of ``status``."""

    pid: int
    """Its process."""
    version: str
    """The program's."""
    since: str
    """When it was started; ISO 8601, UTC."""
    stopping: bool = False
    """Whether it was told to stop."""
    config: ConfigState = ConfigState()
    """The configuration in effect."""
    service: ServiceState = ServiceState()
    """Whether SourceCraft answers."""
    passes: tuple[PassState, ...] = ()
    """Those that are running."""
    queue: int = 0
    """Repositories that are due and wait."""
    downloads: int = 0
    """Downloads under way."""
    rate: float = 0.0
    """Bytes a second over the last ten seconds."""
    limit: int | None = None
    """Bytes a second that downloads may take now; None: no limit."""
    free: int | None = None
    """Bytes free on the mirror's file system."""
    trouble: tuple[str, ...] = ()
    """Problems of the whole daemon: no space, the root is gone, …"""
    watch: WatchState = WatchState()
    """The watch over the mirror's files."""
    scrub: ScrubState = ScrubState()
    """The scrub, which reads the mirror again."""
    repositories: tuple[RepoState, ...] = ()
    """Those on its schedule."""


class StatusAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The object of ``status --json`` and of ``/api/status``."""

    repositories: list[RepoStatus]
    """What the ledger holds of each repository."""
    daemon: DaemonState | None
    """What the daemon does; None: none is running, or it does not answer."""
    workers: tuple[WorkerSeen, ...] | msgspec.UnsetType = msgspec.UNSET
    """The workers on the mirror that were seen lately. This and what follows is left out unless the
    ledger is in PostgreSQL."""
    queue: QueueLengths | msgspec.UnsetType = msgspec.UNSET
    """The jobs of all workers."""
    planner: str | msgspec.UnsetType | None = msgspec.UNSET
    """The name of the worker that plans passes; null: none was seen to."""
    locks: tuple[LockSeen, ...] | msgspec.UnsetType = msgspec.UNSET
    """Repositories that a worker or a command holds."""
    error: str | msgspec.UnsetType = msgspec.UNSET
    """Why the daemon cannot read its ledger. Left out where it can."""

    def with_fleet(self, fleet: FleetState | None) -> StatusAnswer:
        """The answer with what all workers do; None: there can be none."""
        if fleet is None:
            return self
        return msgspec.structs.replace(self, **msgspec.structs.asdict(fleet))
