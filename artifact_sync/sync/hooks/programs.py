"""Hooks that are programs."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.domain.hooks import DeliveryResult
from artifact_sync.sync.hooks.message import body, environment, members

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from artifact_sync.domain.hooks import Delivery
    from artifact_sync.mirror.layout import Layout


class Program(Struct, frozen=True):
    """Calls a program with each delivery."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    """Ours, of which the program gets little."""
    root: Path
    """Where it runs."""
    place: str
    """The mirror's root as it is told: a folder, or an address."""
    layout: Layout
    threads: Executor
    """For programs alone: one may take long."""

    async def send(self, delivery: Delivery, within: float) -> DeliveryResult:
        """Make one delivery; what has come of it.

        Cancelled, it ends the program before it returns.
        """
        from artifact_sync.runtime.command import Command, run_command  # noqa: PLC0415 - seldom needed

        said = members(delivery, self.layout)
        facts = environment(said, self.environ, self.place)
        command, stop = Command(self.argv, facts, self.root, within), threading.Event()
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self.threads, run_command, command, body(said), stop.is_set)
        try:
            return DeliveryResult((await asyncio.shield(running)).why)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([running])
            raise
