"""The system's watch over a tree of folders (watchfiles), and what keeps it from working.

What the changes mean is ``damage``'s. Blocking; nothing here keeps a state beside the system's.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from watchfiles import Change
from watchfiles._rust_notify import RustNotify

from artifact_sync.domain.errors import ArtifactSyncError

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection, Iterator

_STEP = 500
"""Milliseconds between two glances at what the system has reported: 0.01 % of a core."""

_DEBOUNCE = 1_500
"""Milliseconds for which changes without rest are gathered."""

_POLL = 30_000
"""Milliseconds between two looks at every file, where the system reports nothing by itself."""

MOST_FOLDERS = 100_000
"""More than these are not watched. Beginning a watch stops everything else in the process for some
60 µs a folder, and each takes a kilobyte of the kernel's memory."""

FLOOD = 8_000
"""Changes at once after which some may have been lost: half of what the kernel queues by itself
(fs.inotify.max_queued_events). That it has lost some is not told by watchfiles."""


class TreeWatcher(Protocol):
    """A watch that is in place."""

    def next(self, stop: threading.Event) -> Collection[tuple[int, str]]:
        """Wait for changes, or for ``stop``, to which it comes within half a second."""

    def close(self) -> None:
        """End it."""


class SystemSight:
    """The system's. ``OSError`` or ``RuntimeError`` when a folder can't be watched."""

    def __init__(self, root: str, recursive: bool) -> None:  # noqa: FBT001 - a callable is passed
        # The last argument, ignore_permission_denied, would ignore the watch limit as well.
        self._watcher = RustNotify([root], False, False, _POLL, recursive, False)  # noqa: FBT003 - it takes no names

    def next(self, stop: threading.Event) -> Collection[tuple[int, str]]:
        """Wait; see ``TreeWatcher``. Without a timeout, at which watchfiles may lose a change."""
        told = self._watcher.watch(_DEBOUNCE, _STEP, 0, stop)
        return told if isinstance(told, set) else ()

    def close(self) -> None:
        """End it."""
        self._watcher.close()


def is_deep(change: int) -> bool:
    """Whether what is below is touched as well: a folder came or went, with all that it holds."""
    return change != Change.modified


class Unwatchable(Exception):
    """The system could watch the tree, but should not. ``str()`` says why and what to do."""


@dataclass(frozen=True, slots=True)
class Survey:
    """A tree before it is watched."""

    folders: int
    links: dict[str, str]
    """Symbolic links to other folders of the tree, by their paths below its root.

    An empty target is the root itself.
    """


def survey(root: str, most: int = MOST_FOLDERS, below: str = "") -> Survey:
    """Walk through the tree, so that the system's watch then finds its folders in memory.

    Or only through what is ``below`` this folder of it.

    Raises ``Unwatchable`` for too many folders, and for a link out of the tree: watchfiles follows
    links, so that one to ``/`` would have everything watched. What can't be read is passed over.
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
    """The same for folders that have come since, by their full paths. Raises as ``survey`` does.

    The system has followed their links by now: the watch must end, and not begin as they are.
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


def real(root: str, path: str) -> str:
    """Where a path below the root leads, below the root; itself when it leads out of it."""
    target = os.path.realpath(os.path.join(root, path))  # noqa: PTH118 - it is text
    prefix = root.rstrip(os.sep) + os.sep
    return target[len(prefix) :].replace(os.sep, "/") if target.startswith(prefix) else path


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why there is no watch, and what to do."""

    why: str
    again: float
    """Seconds after which it is worth another try."""
    brief: bool = False
    """The watch only has to begin anew, and can."""


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


def trouble_of(error: Exception) -> Trouble:
    """What an error of a watch means. Most come from watchfiles as text only."""
    text = str(error)
    if isinstance(error, Unwatchable):
        return Trouble(text, _HOUR)
    if isinstance(error, ArtifactSyncError):
        return Trouble(text, _SOON)
    for code, why in _LIMITS.items():
        if getattr(error, "errno", None) == code or f"(os error {code})" in text:
            return Trouble(why, _HOUR)
    if "file watch limit" in text:
        return Trouble(_LIMITS[errno.ENOSPC], _HOUR)
    if isinstance(error, PermissionError):
        return Trouble(f"a folder of the mirror may not be read: {text}", _LATER)
    odd_name = "Unable to decode" in text
    why = _ODD_NAME if odd_name else f"{type(error).__name__}: {text}"
    return Trouble(why, _AT_ONCE if odd_name else _SOON, brief=odd_name)
