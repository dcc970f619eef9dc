"""Noticing that a file changes, by whatever way: written, replaced, linked anew, gone and back.

For a handful of files that are read again when they change. The mirror's tree is ``watch``'s.
"""

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


_MOST_LINKS = 40
"""As many as Linux follows (path_resolution(7))."""

Facts = tuple[str, tuple[int, ...] | str]
"""A place, and what stands there: numbers of its inode, or why they cannot be had."""


@dataclass(slots=True)
class Trail:
    """How a path is resolved now. Two trails are equal when nothing about the file differs."""

    facts: list[Facts] = field(default_factory=list)
    """Of every link on the way, and of the file at its end."""
    folders: set[Path] = field(default_factory=set, compare=False)
    """Where each of these stands; where something is missing, what is there of the way to it."""


def trail(path: Path) -> Trail:
    """Follow a path link by link. Blocking; raises nothing: what cannot be seen is a fact too."""
    found = Trail()
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
            at, todo = _turn(at, target, todo)
        else:
            at = place
        if len(found.facts) > 2 * _MOST_LINKS:
            break
    return found


def _start(path: Path) -> tuple[Path, deque[str]]:
    """The root that a path begins at, and the names below it."""
    whole = path if path.is_absolute() else Path.cwd() / path
    anchor = Path(whole.anchor)
    return anchor, deque(whole.relative_to(anchor).parts)


def _step(place: Path, found: Trail, *, last: bool) -> str | None:
    """Note a link or the file itself; a link's target, None where there is no link."""
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


def _turn(at: Path, target: str, todo: deque[str]) -> tuple[Path, deque[str]]:
    """Where a link's target leads, with what was still to go behind it."""
    goal = Path(target)
    if not goal.is_absolute():
        return at, deque([*goal.parts, *todo])
    anchor, parts = _start(goal)
    return anchor, deque([*parts, *todo])


def _numbers(seen: os.stat_result) -> tuple[int, ...]:
    """What differs when a file was written, replaced, or given other rights."""
    return seen.st_ino, seen.st_mode, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns
