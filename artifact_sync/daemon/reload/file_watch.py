"""Watches a few files for changes of any kind."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from watchfiles._rust_notify import RustNotify

from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.threads import Offload

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

_log = get_logger(__name__)

_STEP = 250
"""Milliseconds between two checks of what the system has reported; a change takes two.

They cost 0.013 % of a core (50 ms, watchfiles' default: 0.05 %).
"""

_DEBOUNCE = 1_000
"""Milliseconds for which uninterrupted changes are collected."""

_PAUSE = 5.0
"""Seconds between two checks of the files themselves, whatever the system reports.

For network file systems, for folders above that are moved, and where watching is impossible.
"""

_TRIES = 3
"""Checks in a row while folders come and go."""


class FileWatch:
    """Watches the files that ``paths`` returns, called on a thread each time."""

    def __init__(self, paths: Callable[[], Sequence[Path]]) -> None:
        self._paths = paths

    async def changes(self) -> AsyncGenerator[None]:
        """Yield once when the watch has begun, and then whenever the files have changed.

        The first stands for changes before the watch. A change is reported within a second, or
        within six where the system does not report it; several are reported once. When cancelled,
        this ends within ``_STEP``. Close it (``aclosing``) when it is left early.
        """
        check = _FileCheck(self._paths)
        with ThreadPoolExecutor(1, thread_name_prefix="files") as executor:
            offload = Offload(executor)
            try:
                while True:
                    await _next(offload, check)
                    yield
            finally:
                check.close()


async def _next(offload: Offload, check: _FileCheck) -> None:
    """Wait for the next change; when cancelled, for the thread to end."""
    work = offload.start(check.next_change)
    try:
        await asyncio.wait([work])
    except asyncio.CancelledError:
        check.stop.set()
        await work
        raise
    work.result()


class _FileCheck:
    """Compares the files with their last state, and watches their folders. For one thread."""

    def __init__(self, paths: Callable[[], Sequence[Path]]) -> None:
        self.stop = threading.Event()
        self._paths = paths
        self._seen: list[Resolution] | None = None
        self._folders: set[tuple[str, int, int]] = set()
        self._watcher: RustNotify | None = None
        self._logged = False

    def next_change(self) -> None:
        """Return when a file has changed, or at ``stop``. Blocking."""
        while not self.stop.is_set() and not self._has_changed():
            self._wait()

    def close(self) -> None:
        """End the system's watch; the next check starts a new one."""
        if self._watcher is not None:
            self._watcher.close()
        self._watcher, self._folders = None, set()

    def _has_changed(self) -> bool:
        """Check the files. Where their folders have changed, check again once those are watched."""
        now: list[Resolution] = []
        for _ in range(_TRIES):
            now = [resolve_path(path) for path in self._paths()]
            if not self._watch(now):
                break
        before, self._seen = self._seen, now
        return now != before

    def _watch(self, resolutions: Sequence[Resolution]) -> bool:
        """Watch the folders of these files; whether something may have changed meanwhile."""
        folders = _identified(resolutions)
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
            self._log_failure(error)
            return False
        self._folders = folders
        return True

    def _wait(self) -> None:
        """Wait for a report of the system, at most ``_PAUSE``."""
        if self._watcher is None:
            self.stop.wait(_PAUSE)
            return
        try:
            changes = self._watcher.watch(_DEBOUNCE, _STEP, int(_PAUSE * 1000), self.stop)
        except (OSError, RuntimeError, ValueError) as error:
            self._log_failure(error)
            self.close()
            self.stop.wait(_PAUSE)
            return
        folders = {folder for folder, _, _ in self._folders}
        if isinstance(changes, set) and folders & {path for _, path in changes}:
            self.close()  # a folder itself was moved, removed or created

    def _log_failure(self, error: Exception) -> None:
        """Log once that the system's watch does not work."""
        if not self._logged:
            self._logged = True
            text = (
                f"cannot watch for a changed configuration, so it is looked at every {_PAUSE:g} s"
            )
            _log.warning(text, why=str(error))


def _identified(resolutions: Sequence[Resolution]) -> set[tuple[str, int, int]]:
    """Path, device and inode of the folders that can be watched."""
    found = set()
    for folder in set().union(*(each.folders for each in resolutions)):
        try:
            seen = folder.stat()
        except OSError:
            continue
        if os.access(folder, os.R_OK):
            found.add((str(folder), seen.st_dev, seen.st_ino))
    return found


_MOST_LINKS = 40
"""As many as Linux follows (path_resolution(7))."""

Fact = tuple[str, tuple[int, ...] | str]
"""A path, and its inode's numbers, its target as a link, or why it cannot be read."""


@dataclass(slots=True)
class Resolution:
    """How a path is resolved; equal when nothing about the file changed."""

    facts: list[Fact] = field(default_factory=list)
    """Of each link on the way, and of the file at its end."""
    folders: set[Path] = field(default_factory=set, compare=False)
    """The folders that hold these; where one is missing, the last existing one above."""


def resolve_path(path: Path) -> Resolution:
    """Resolve a path link by link. Blocking; errors become facts and are not raised."""
    found = Resolution()
    at, todo = _start(path)
    while todo:
        part = todo.popleft()
        if part == os.pardir:
            at = at.parent
            continue
        place = at / part
        try:
            target = _step(place, found, last=not todo)
        except OSError as error:
            found.folders.add(at)
            found.facts.append((str(place), error.strerror or type(error).__name__))
            break
        if target is not None:
            at, todo = _follow(at, target, todo)
        else:
            at = place
        if len(found.facts) > 2 * _MOST_LINKS:
            break
    return found


def _start(path: Path) -> tuple[Path, deque[str]]:
    """The root of a path, and the names below it."""
    whole = path if path.is_absolute() else Path.cwd() / path
    anchor = Path(whole.anchor)
    return anchor, deque(whole.relative_to(anchor).parts)


def _step(place: Path, found: Resolution, *, last: bool) -> str | None:
    """Note a link or the file; the link's target, None for a file or folder."""
    seen = place.lstat()
    is_link = stat.S_ISLNK(seen.st_mode)
    if is_link or last:
        found.folders.add(place.parent)
        found.facts.append((str(place), _numbers(seen)))
    if not is_link:
        return None
    target = str(place.readlink())
    found.facts.append((str(place), target))
    return target


def _follow(at: Path, target: str, todo: deque[str]) -> tuple[Path, deque[str]]:
    """The folder and the names to go on with after a link."""
    goal = Path(target)
    if not goal.is_absolute():
        return at, deque([*goal.parts, *todo])
    anchor, parts = _start(goal)
    return anchor, deque([*parts, *todo])


def _numbers(seen: os.stat_result) -> tuple[int, ...]:
    """What differs when a file was written, replaced, or its mode was changed."""
    return seen.st_ino, seen.st_mode, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns
