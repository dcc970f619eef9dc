"""Values of ``status --json``: repositories in the ledger, state of the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from artifact_sync.domain.model import REMOVED

if TYPE_CHECKING:
    from artifact_sync.domain.model import Totals


class RepoStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of ``repositories``. Times are ISO 8601; None: never."""

    repo: str
    runs: int = 0
    settled: int = 0
    bytes: int = 0
    states: dict[str, int] = {}
    newest_run: str = ""
    last_mirrored: str | None = None
    last_pass: str | None = None
    last_complete: str | None = None
    last_error: str = ""
    unfit: tuple[str, ...] = ()
    """A sentence for each filter that has fitted nothing so far. Left out where there is none."""

    @property
    def is_star(self) -> bool:
        """Whether it is the list of an organisation's repositories (``org/*``)."""
        return self.repo.endswith("/*")

    @classmethod
    def of(cls, totals: Totals) -> RepoStatus:
        """Make the entry from the ledger's counts."""
        moments = (totals.last_mirrored, totals.last_pass, totals.last_complete)
        mirrored, ended, complete = (it.isoformat() if it is not None else None for it in moments)
        return cls(
            repo=str(totals.repo),
            runs=totals.runs,
            settled=totals.settled,
            bytes=totals.bytes,
            states={str(it): n for it, n in totals.states.items() if n or it not in REMOVED},
            newest_run=totals.newest_run,
            last_mirrored=mirrored,
            last_pass=ended,
            last_complete=complete,
            last_error=totals.last_error,
            unfit=totals.unfit,
        )


class ConfigState(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration in effect, and problems of the file as it is now."""

    path: str | None = None
    loaded_at: str = ""
    """ISO 8601, UTC."""
    problems: tuple[str, ...] = ()
    """Why the present file is not used; empty: it is."""
    restart_needed: tuple[str, ...] = ()
    """Keys whose new value takes effect after a restart."""


class ServiceState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the last passes could reach the service."""

    reachable: bool = True
    since: str = ""
    """When the outage began; ISO 8601."""
    why: str = ""


class PassState(msgspec.Struct, frozen=True, kw_only=True):
    """A running pass."""

    repo: str
    why: str
    """Why it was begun: ``interval``, ``webhook``, ``user``, …"""
    seconds: float
    """How long it has been running."""
    planned: int = 0
    """Files to download, as far as is known."""
    done: int = 0
    failed: int = 0
    bytes: int = 0


class RepoState(msgspec.Struct, frozen=True, kw_only=True):
    """A repository on the schedule."""

    repo: str
    running: bool = False
    due_in: float | None = None
    """Seconds until its next pass; 0: as soon as there is room."""
    why: str = ""
    """Why it is, or will be, due."""
    failing: int = 0
    """Failed passes in a row."""
    error: str = ""
    """Of the last pass."""
    lag: float = 0.0
    """Seconds for which it has been behind; 0: it is not."""

    @property
    def is_star(self) -> bool:
        """Whether it is the list of an organisation's repositories (``org/*``)."""
        return self.repo.endswith("/*")


class WatchState(msgspec.Struct, frozen=True, kw_only=True):
    """State of the watch over the mirror's files."""

    mode: Literal["off", "report", "restore"] = "off"
    working: bool = False
    """False in a mode other than off: each pass checks files instead."""
    why: str = ""
    """Why it is not working."""
    damaged: int = 0
    """Files found deleted or changed since the start."""
    restored: int = 0


class DaemonState(msgspec.Struct, frozen=True, kw_only=True):
    """State of the daemon: ``daemon`` in the JSON of ``status``."""

    pid: int
    version: str
    since: str
    """When it was started; ISO 8601, UTC."""
    stopping: bool = False
    config: ConfigState = ConfigState()
    service: ServiceState = ServiceState()
    passes: tuple[PassState, ...] = ()
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
    repositories: tuple[RepoState, ...] = ()


def as_object(totals: Totals) -> dict[str, Any]:
    """Make the entry as builtins, for JSON."""
    entry = msgspec.structs.asdict(RepoStatus.of(totals))
    return entry if totals.unfit else {key: it for key, it in entry.items() if key != "unfit"}
