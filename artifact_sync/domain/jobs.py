"""Values of the job queue: jobs, planned and ended turns, wakes, workers."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

URGENT = 10
"""Priority of what somebody waits for, such as a webhook."""

ANSWERED = "answered"
"""Why a worker wakes the planner: the service has answered a probe, whose pass goes on."""


class JobKind(StrEnum):
    """What a job does."""

    PASS = "pass"  # noqa: S105 - no password
    """A pass over one repository, or the list of one organisation."""
    PRUNE = "prune"
    """Prunes what is due by ``keep.schedule``."""
    SCRUB = "scrub"
    """Reads again what was verified longest ago."""
    HOOKS = "hooks"
    """Tells hooks what they wait for."""


class Job(Struct, frozen=True):
    """Work that any worker may carry out.

    Of one kind and repository one runs and one waits, at most.
    """

    kind: JobKind
    repo: str = ""
    """Of a pass; ``org/*`` is the list of an organisation."""
    why: str = ""
    eager: bool = False
    """Also check what was put off."""
    announced: tuple[str, ...] = ()
    """Runs that webhooks have announced."""
    priority: int = 0
    probe: bool = False
    """Whether the service was out of reach when it was planned."""


class QueueLengths(Struct, frozen=True):
    """How many jobs there are."""

    waiting: int = 0
    """Those that no worker has begun."""
    running: int = 0
    """Those that a worker has begun, also one that has died since."""
    stalled: int = 0
    """Of these, those of workers that give no sign of life: they go to others."""


class TurnEnd(Struct, frozen=True):
    """How a turn over a repository ended, as all processes see it."""

    verdict: str
    error: str = ""
    finished: tuple[str, ...] = ()
    """The announced runs that are finished."""
    again_in: float | None = None
    """Seconds until something outstanding is due; None: nothing is outstanding."""
    found: tuple[str, ...] | None = None
    """The repositories of an organisation; None: it was none."""
    caught_up: bool = True
    """Whether all that can be had is there: a retry would change nothing."""
    complete: bool = True
    """Whether the pass was complete."""


class PastTurn(Struct, frozen=True):
    """The last turn over a repository."""

    repo: str
    why: str
    began_ago: float
    """Seconds since it was planned, by the database's clock."""
    announced: tuple[str, ...] = ()
    failures: int = 0
    """Failed turns in a row, with this one."""
    ended_ago: float = 0.0
    end: TurnEnd | None = None
    """None: it is under way."""
    found: tuple[str, ...] | None = None
    """Of an organisation: the repositories that were found when it was last listed."""
    behind_for: float | None = None
    """Seconds since it was caught up; None: it is."""
    complete_ago: float | None = None
    """Seconds since a pass over it was complete; None: none was."""


class Wake(Struct, frozen=True):
    """Somebody wants a pass over a repository soon."""

    repo: str
    """Empty: over all."""
    why: str
    run: str | None = None
    """The run that a webhook has announced."""
    eager: bool = False
    number: int = 0
    """Given by the database, in the order of their coming."""


class BoardNews(Struct, frozen=True):
    """What has happened since the planner last looked."""

    now: float
    """The database's clock, in seconds since 1970."""
    ended: tuple[PastTurn, ...] = ()
    wakes: tuple[Wake, ...] = ()


class WorkerSign(Struct, frozen=True):
    """A sign of life of a worker."""

    name: str
    host: str
    pid: int
    repos: tuple[str, ...] = ()
    """What it works on, the longest first."""
    planner: bool = False
    """Whether it plans."""
    daemon: bool = False
    """Whether it is a daemon, which does by itself what it plans."""


class WorkerSeen(Struct, frozen=True):
    """A worker that has been seen."""

    name: str
    """Its name: ``--name``, or else its machine's."""
    host: str
    """Its machine."""
    pid: int
    """Its process there."""
    seen_at: str
    """When, by the database's clock."""
    repo: str | None = None
    """The repository on which it has worked longest; None: on none."""
    repos: tuple[str, ...] = ()
    """All of them."""
    planner: bool = False
    """Whether it plans."""
    daemon: bool = False
    """Whether it is a daemon, which does by itself what it plans."""
    seen_ago: float = 0.0
    """Seconds since it was seen, by the database's clock."""

    @property
    def in_words(self) -> str:
        """The process, for messages."""
        kind = "daemon" if self.daemon else f"worker {self.name}"
        return process_in_words(f"artifact-sync {kind}", self.host, self.pid)


def process_in_words(command: str, host: str, pid: int) -> str:
    """A process of some machine, for messages."""
    return f"{command} on {host} (process {pid})"


class LockSeen(Struct, frozen=True):
    """A repository that some process holds."""

    repo: str
    """The repository."""
    session: int
    """The process of the database server that holds the lock, as in ``pg_stat_activity``."""
    host: str = ""
    """From where that session was opened, as far as the server tells."""


class FleetState(Struct, frozen=True):
    """All workers, and what waits for them."""

    workers: tuple[WorkerSeen, ...] = ()
    """Those seen lately."""
    queue: QueueLengths = QueueLengths()
    planner: str | None = None
    """The name of the worker that plans; None: none was seen to."""
    locks: tuple[LockSeen, ...] = ()
    """Repositories that are being worked on, by workers or commands."""
