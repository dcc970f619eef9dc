"""What the web server works with, and its limits. Imports no optional library."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from artifact_sync.daemon.api import no_fleet
from artifact_sync.runtime.threads import AbandonableThreads
from artifact_sync.web.metrics import Gauges

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from artifact_sync.daemon.api import DaemonApi, ReadFleet
    from artifact_sync.domain.ports import Clock
    from artifact_sync.domain.settings import WebSettings
    from artifact_sync.web.metrics import Metrics


@dataclass(frozen=True, slots=True)
class WebLimits:
    """Limits on clients, in seconds if not said otherwise."""

    connections: int = 256
    """At the same time; more have to wait. Fewer where descriptors are scarce."""
    head: float = 10.0
    """From a request's first byte, or the connection, to the end of its head."""
    body: float = 10.0
    """For a webhook's body."""
    exchange: float = 60.0
    """From the end of the head to that of the answer."""
    answer: float = 5.0
    """For an answer that needs the ledger or a disk."""
    idle: float = 75.0
    """Between two requests."""
    grace: float = 1.0
    """For a slow client, while others wait for room."""
    head_bytes: int = 65_536


@dataclass(frozen=True, slots=True)
class WebContext:
    """What the web server works with."""

    daemon: DaemonApi
    metrics: Metrics
    clock: Clock
    settings: Callable[[], WebSettings]
    """The present settings; ``secret_files`` and ``body_limit`` may change, ``listen`` may not."""
    environ: Mapping[str, str]
    gauges: Gauges = field(default_factory=Gauges)
    limits: WebLimits = field(default_factory=WebLimits)
    threads: AbandonableThreads = field(default_factory=AbandonableThreads)
    """Threads for blocking calls."""
    fleet: ReadFleet = no_fleet
    """What all workers do, for metrics; None also where that cannot be told."""
