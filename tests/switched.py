"""A simulated service that can be switched off."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from artifact_sync.simulator import Simulator, running_in_thread

if TYPE_CHECKING:
    from artifact_sync.simulator import Scenario


class Switched:
    """A service that can be switched off and on again, at the same ports."""

    def __init__(self, scenario: Scenario) -> None:
        self.simulator = Simulator(scenario)
        self.stack = ExitStack()
        self.running = self.stack.enter_context(running_in_thread(self.simulator))
        urls = self.running.base_url, self.running.files_url
        self.ports = [urlsplit(url).port or 0 for url in urls]

    def off(self) -> None:
        self.stack.close()

    def on(self) -> None:
        api, files = self.ports
        self.stack.enter_context(running_in_thread(self.simulator, api_port=api, files_port=files))
