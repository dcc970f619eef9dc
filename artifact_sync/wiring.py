"""The composition root: ``Config`` → the concrete parts of a pass. The only importer of adapters."""

from __future__ import annotations

import asyncio
import os
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

from artifact_sync.errors import UsageError
from artifact_sync.fetching import Works
from artifact_sync.ledger import open_ledger
from artifact_sync.links import Links
from artifact_sync.mirror.disk import DiskMirror
from artifact_sync.mirror.layout import Layout
from artifact_sync.mirror.lock import MirrorLock
from artifact_sync.offload import Offload
from artifact_sync.reception import Tools
from artifact_sync.retry import RetryPolicy
from artifact_sync.staging import sweep
from artifact_sync.sync import Parts, Tally

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    from artifact_sync.credentials import Token
    from artifact_sync.events import Observer
    from artifact_sync.ports import Clock, Ledger, Source
    from artifact_sync.settings import Config

_THREADS_BESIDE = 2
"""Disk threads for everything that is not a download."""


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """The wall clock in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(seconds)
