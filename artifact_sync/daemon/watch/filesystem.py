"""Watches a tree of folders by watchfiles. Blocking."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from watchfiles import Change
from watchfiles._rust_notify import RustNotify

from artifact_sync.domain.errors import ArtifactSyncError, system_limit
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.names import fold
from artifact_sync.runtime.threads import check_threads

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection, Iterator

_STEP = 500
"""Milliseconds between two checks of what the system has reported: 0.01 % of a core."""

_DEBOUNCE = 1_500
"""Milliseconds for which uninterrupted changes are collected."""

_POLL = 30_000
"""Milliseconds between two scans of every file, where the system reports no changes itself."""

MOST_FOLDERS = 100_000
"""More folders are not watched. Starting a watch blocks the whole process for some 60 µs a folder,
and each takes a kilobyte of the kernel's memory."""

FLOOD = 8_000
"""Changes at once after which some may have been lost: half of the kernel's default queue
(fs.inotify.max_queued_events). watchfiles does not report an overflow."""


_THREADS = 2
"""watchfiles starts one and aborts the process where there is none; others may start meanwhile."""


class TreeWatcher:
    """A watch over a tree of folders. Blocking.

    ``OSError`` or ``RuntimeError`` when it cannot watch.
    """

    def __init__(self, root: str, recursive: bool) -> None:  # noqa: FBT001 - a callable is passed
        check_threads(_THREADS)
        # The last argument, ignore_permission_denied, would ignore the watch limit as well.
        self._watcher = RustNotify([root], False, False, _POLL, recursive, False)  # noqa: FBT003 - it takes no names

    def next(self, stop: threading.Event) -> Collection[tuple[int, str]]:
        """Wait for changes: kinds and paths. Returns soon after ``stop``."""
        # without a timeout, at which watchfiles may lose a change
        changes = self._watcher.watch(_DEBOUNCE, _STEP, 0, stop)
        return changes if isinstance(changes, set) else ()

    def close(self) -> None:
        """End it."""
        self._watcher.close()


def is_deep(change: int) -> bool:
    """Whether everything below may have changed, too: a folder was added or removed."""
    return change != Change.modified


class Unwatchable(Exception):
    """The tree should not be watched. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Survey:
    """The folders and links of a tree."""

    folders: int
    links: dict[str, str]
    """Symbolic links to other folders of the tree, by their paths below its root.

    An empty target is the root itself.
    """


def survey(root: str, most: int = MOST_FOLDERS, below: str = "") -> Survey:
    """Walk through the tree, or the part ``below`` one of its folders.

    This also brings its folders into the kernel's cache. ``Unwatchable`` for too many folders, and
    for a link out of the tree: watchfiles follows links, and one to ``/`` would have everything
    watched. Unreadable folders are skipped.
    """
    folders, waiting = 0, [below]
    links: dict[str, str] = {}
    while waiting:
        folder = waiting.pop()
        folders += 1
        if folders > most:
            raise Unwatchable(f"the mirror has more than {most:,} folders, too many to be watched")
        for name, is_link in _folders_in(os.path.join(root, folder)):  # noqa: PTH118 - it is text
            path = f"{folder}/{name}" if folder else name
            if is_link:
                links[path] = _target(root, path)
            else:
                waiting.append(path)
    return Survey(folders, links)


def survey_added(root: str, added: Collection[str]) -> None:
    """Survey folders that were added to a watched tree, by their full paths. ``Unwatchable``.

    The system has followed their links already, so the watch must end.
    """
    for path in added:
        inside = os.path.dirname(path) not in added  # noqa: PTH120 - it is text
        if inside and not os.path.islink(path) and os.path.isdir(path):  # noqa: PTH112, PTH114
            survey(root, below=os.path.relpath(path, root).replace(os.sep, "/"))


def _target(root: str, path: str) -> str:
    target = os.path.realpath(os.path.join(root, path))  # noqa: PTH118 - it is text
    if target == root:
        return ""
    if (found := real(root, path)) == path:
        raise Unwatchable(
            f"{path!r} in the mirror is a symbolic link out of it, to {target!r}, which would be"
            " watched as well: move it away"
        )
    return found


def _folders_in(folder: str) -> Iterator[tuple[str, bool]]:
    """The folders in it, and whether each is a symbolic link."""
    try:
        with os.scandir(folder) as entries:
            yield from ((it.name, it.is_symlink()) for it in entries if it.is_dir())
    except OSError:
        return


def below_root(path: str, root: str) -> str | None:
    """A path relative to the root; None for the root and our own folder."""
    if not path.startswith(root):
        return None
    below = path[len(root) :].replace(os.sep, "/").strip("/")
    return None if not below or fold(below.split("/", 1)[0]) == OWN_FOLDER else below


def real(root: str, path: str) -> str:
    """Resolve symbolic links of a path, unless they leave the root."""
    target = os.path.realpath(os.path.join(root, path))  # noqa: PTH118 - it is text
    prefix = root.rstrip(os.sep) + os.sep
    return target[len(prefix) :].replace(os.sep, "/") if target.startswith(prefix) else path


@dataclass(frozen=True, slots=True)
class WatchFailure:
    """Why a watch has ended, and when to start the next one."""

    why: str
    retry_in: float
    """Seconds."""
    transient: bool = False
    """The watch can be restarted at once."""


_AT_ONCE, _SOON, _LATER, _HOUR = 0.1, 5.0, 300.0, 3600.0
_ODD_NAME = (
    "a file's name in the mirror is no UTF-8, which the system's watch cannot tell of: each change"
    " of such a file has it begin anew; rename it"
)
_LIMITS = {
    errno.ENOSPC: (
        "the system's limit on watched folders is reached: raise fs.inotify.max_user_watches"
        " (sysctl) above the number of folders in the mirror"
    ),
    errno.EMFILE: (
        "the system's limit on watches or on open files is reached: raise"
        " fs.inotify.max_user_instances (sysctl), or LimitNOFILE"
    ),
}


def failure_of(error: Exception) -> WatchFailure:
    """Explain an error of a watch. Most of watchfiles' errors have a text only."""
    text = str(error)
    if isinstance(error, Unwatchable):
        return WatchFailure(text, _HOUR)
    if isinstance(error, ArtifactSyncError):
        return WatchFailure(text, _SOON)
    if (limit := _limit_of(error)) is not None:
        return limit
    if isinstance(error, PermissionError):
        return WatchFailure(f"a folder of the mirror may not be read: {text}", _LATER)
    odd_name = "Unable to decode" in text
    why = _ODD_NAME if odd_name else f"{type(error).__name__}: {text}"
    return WatchFailure(why, _AT_ONCE if odd_name else _SOON, transient=odd_name)


def _limit_of(error: Exception) -> WatchFailure | None:
    """The limit of the system that is reached; None: another error."""
    text = str(error)
    if (limit := system_limit(error)) is not None:
        return WatchFailure(str(limit), _LATER)
    for code, why in _LIMITS.items():
        if getattr(error, "errno", None) == code or f"(os error {code})" in text:
            return WatchFailure(why, _HOUR)
    return WatchFailure(_LIMITS[errno.ENOSPC], _HOUR) if "file watch limit" in text else None
