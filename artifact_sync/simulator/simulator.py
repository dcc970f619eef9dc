"""``Simulator``: a SourceCraft that tests and people can change."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anyio.from_thread import start_blocking_portal

from artifact_sync.simulator.api import ApiOrigin
from artifact_sync.simulator.files import FilesOrigin
from artifact_sync.simulator.scenario_file import demo_scenario
from artifact_sync.simulator.server import answering, bind_socket, url_of
from artifact_sync.simulator.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from artifact_sync.simulator.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Running:
    """A running simulator."""

    simulator: Simulator
    base_url: str
    """Of the API."""
    files_url: str
    """Of the origin to which links lead, unless the scenario names another server."""

    @property
    def token(self) -> str:
        """A valid token; empty when the scenario has none."""
        return next(iter(self.simulator.scenario.api.tokens), "")


class Simulator(World):
    """A simulated service that can be served."""

    def __init__(self, scenario: Scenario | None = None) -> None:
        super().__init__(demo_scenario() if scenario is None else scenario)

    @asynccontextmanager
    async def serve(self, *, api_port: int = 0, files_port: int = 0) -> AsyncIterator[Running]:
        """Serve both origins on 127.0.0.1; port 0 takes a free one.

        Takes no signals over. At the end open answers are broken off. ``UsageError`` when a port
        cannot be had.
        """
        with bind_socket(api_port) as api, bind_socket(files_port) as files:
            self.base_url, self.files_url = url_of(api), url_of(files)
            async with answering((ApiOrigin(self), api), (FilesOrigin(self), files)):
                yield Running(self, self.base_url, self.files_url)

    def export_files(self, folder: Path) -> list[Path]:
        """Write all files below a folder, at the paths of ``files.base_url``."""
        return [stored.export(folder / key) for key, stored in self.objects.items()]


@contextmanager
def running_in_thread(
    scenario: Scenario | Simulator | None = None, *, api_port: int = 0, files_port: int = 0
) -> Iterator[Running]:
    """Serve on a thread, for callers without an event loop."""
    simulator = scenario if isinstance(scenario, Simulator) else Simulator(scenario)
    serving = simulator.serve(api_port=api_port, files_port=files_port)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving) as running:
        yield running
