"""State that both origins share: world, faults, clock, links."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from artifact_sync.simulator.faults import FaultBox
from artifact_sync.simulator.links import signer
from artifact_sync.simulator.storage import object_key
from artifact_sync.simulator.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from artifact_sync.simulator.scenario import Scenario
    from artifact_sync.simulator.tree import ArtifactState


_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class Seen:
    """A request, as it was when its answer began."""

    kind: str
    """``runs run workflow artifacts logs repos repo releases``, ``file``, or ``unknown``."""
    method: str
    path: str
    """Percent-encoded, as it came, with no query."""
    status: int
    range: str = ""
    local_path: str = ""
    """Of a file, where it exists."""


class Traffic:
    """Counts every request and keeps the latest 20,000."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._latest: deque[Seen] = deque(maxlen=_KEPT)

    def note(self, seen: Seen) -> None:
        """Count a request."""
        self._counts[seen.kind] += 1
        self._latest.append(seen)

    def __getitem__(self, kind: str) -> int:
        """Number of requests of a kind."""
        return self._counts[kind]

    def __iter__(self) -> Iterator[Seen]:
        return iter(tuple(self._latest))

    @property
    def api(self) -> int:
        """Number of requests to the API."""
        return self._counts.total() - self._counts["file"]

    def clear(self) -> None:
        """Reset the counts."""
        self._counts.clear()
        self._latest.clear()


BUCKET = "/artifacts"
"""The path below which the files' own origin has the objects."""


class SimulatorService:
    """One simulated service. Its URLs are known once it is served."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.ahead = 0.0
        """Seconds by which the service's clock is ahead of this machine's."""
        self.world = World(scenario, self.time)
        self.faults = FaultBox(scenario.faults)
        self.requests = Traffic()
        self.signer = signer(scenario.files)
        self.base_url = ""
        self.files_url = ""

    def time(self) -> float:
        """The service's clock, UNIX time."""
        return time() + self.ahead

    def link_to(self, artifact: ArtifactState) -> str:
        """Make a fresh link to an artifact that exists; empty for another."""
        if artifact.status != "success":
            return ""
        base = self.scenario.files.base_url.rstrip("/") or self.files_url + BUCKET
        key = object_key(artifact.key)
        query = self.signer.query(f"{urlsplit(base).path}/{key}", self.time())
        url = f"{base}/{key}"
        return f"{url}?{query}" if query else url
