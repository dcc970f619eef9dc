"""State that both origins share: world, faults, clock, links."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from artifact_sync.simulator.faults import FaultBox
from artifact_sync.simulator.links import signer
from artifact_sync.simulator.storage import object_key
from artifact_sync.simulator.traffic import Traffic
from artifact_sync.simulator.world import World

if TYPE_CHECKING:
    from artifact_sync.simulator.scenario import Scenario
    from artifact_sync.simulator.tree import ArtifactState

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
