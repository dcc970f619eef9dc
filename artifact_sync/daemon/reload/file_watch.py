"""Noticing that a file changes, by whatever way: written, replaced, linked anew, gone and back.

For a handful of files that are read again when they change. The mirror's tree is ``watch``'s.
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from watchfiles._rust_notify import RustNotify

from artifact_sync.daemon.reload.trail import trail
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.threads import Offload

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from pathlib import Path

    from artifact_sync.daemon.reload.trail import Trail

_log = get_logger(__name__)

_STEP = 250
"""Milliseconds between two glances at what the system has reported; a change takes two.

They cost 0.013 % of a core (50 ms, watchfiles' default: 0.05 %).
"""

_DEBOUNCE = 1_000
"""Milliseconds for which a folder without rest is waited for."""

_PAUSE = 5.0
"""Seconds between two looks at the files themselves, whatever the system reports.

For network file systems, a folder above that is moved away, and when watching is not possible.
"""

_TRIES = 3
"""Looks in a row while folders come and go under our eyes."""


class FileWatch:
    """Watches the files that ``paths`` names, which is asked anew at each look.

    ``paths`` is called on a thread of the watch.
    """

    def __init__(self, paths: Callable[[], Sequence[Path]]) -> None:
        self._paths = paths

    async def changes(self) -> AsyncGenerator[None]:
        """One None when the watch has begun, and then one whenever the files differ from before.

        The first stands for what may have happened before. A change is told within a second,
        where the system does not report it within six; several in between are told once. When it
        is cancelled it ends within ``_STEP``. Close it (``aclosing``) when it is left early.
        """
        look = _Look(self._paths)
        with ThreadPoolExecutor(1, thread_name_prefix="files") as executor:
            offload = Offload(executor)
            try:
                while True:
                    await _next(offload, look)
                    yield
            finally:
                look.close()


async def _next(offload: Offload, look: _Look) -> None:
    """Wait for the next difference; when cancelled, first for the thread to end."""
    work = offload.start(look.next_difference)
    try:
        await asyncio.wait([work])
    except asyncio.CancelledError:
        look.stop.set()
        await work
        raise
    work.result()


class _Look:
    """What was seen last, and the system's watch over the folders. Blocking, for one thread."""

    def __init__(self, paths: Callable[[], Sequence[Path]]) -> None:
        self.stop = threading.Event()
        self._paths = paths
        self._seen: list[Trail] | None = None
        self._folders: set[tuple[str, int, int]] = set()
        self._watcher: RustNotify | None = None
        self._told = False

    def next_difference(self) -> None:
        """Return when something differs from what was seen last, or at ``stop``."""
        while not self.stop.is_set() and not self._differs():
            self._wait()

    def close(self) -> None:
        """End the system's watch; the next look begins a new one."""
        if self._watcher is not None:
            self._watcher.close()
        self._watcher, self._folders = None, set()

    def _differs(self) -> bool:
        """Look. Where the folders are others than before, look again once they are watched."""
        now: list[Trail] = []
        for _ in range(_TRIES):
            now = [trail(path) for path in self._paths()]
            if not self._watch(now):
                break
        before, self._seen = self._seen, now
        return now != before

    def _watch(self, trails: Sequence[Trail]) -> bool:
        """Watch these trails' folders; whether something may have changed meanwhile."""
        folders = _identified(trails)
        if self._watcher is not None and folders == self._folders:
            return False
        self.close()
        try:
            watched = sorted(folder for folder, _, _ in folders)
            # The fifth, ignore_permission_denied, would ignore the system's watch limit as well.
            self._watcher = RustNotify(watched, False, False, 300, False, False)  # noqa: FBT003 - it takes no names
        except FileNotFoundError:
            return True
        except (OSError, RuntimeError, ValueError) as error:
            self._deaf(error)
            return False
        self._folders = folders
        return True

    def _wait(self) -> None:
        """Wait for the system to report something, at most a pause."""
        if self._watcher is None:
            self.stop.wait(_PAUSE)
            return
        try:
            told = self._watcher.watch(_DEBOUNCE, _STEP, int(_PAUSE * 1000), self.stop)
        except (OSError, RuntimeError, ValueError) as error:
            self._deaf(error)
            self.close()
            self.stop.wait(_PAUSE)
            return
        if isinstance(told, set) and {path for _, path in told} & {f for f, _, _ in self._folders}:
            self.close()  # one of the folders itself was moved, removed or made again

    def _deaf(self, error: Exception) -> None:
        """Say once that the system's watch does not work."""
        if not self._told:
            self._told = True
            text = (
                f"cannot watch for a changed configuration, so it is looked at every {_PAUSE:g} s"
            )
            _log.warning(text, why=str(error))


def _identified(trails: Sequence[Trail]) -> set[tuple[str, int, int]]:
    """The folders that can be watched: one made again under its name is another one."""
    found = set()
    for folder in set().union(*(each.folders for each in trails)):
        try:
            seen = folder.stat()
        except OSError:
            continue
        if os.access(folder, os.R_OK):
            found.add((str(folder), seen.st_dev, seen.st_ino))
    return found
