"""What a power cut leaves: the tree rebuilt from a log of calls, without what was not synced.

POSIX promises that bytes last once their file was synced, and names once their folder was. What was
not may be there or not, each by itself. A rename is one thing: it lasts once either of its folders
was synced, as journals of names have it.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from sweep_shim import Call


@dataclass(eq=False)
class _Change:
    """Bytes that were written at an offset, or a new length, or a new mode."""

    kind: str
    value: int
    data: bytes = b""
    lasts: bool = False
    is_lost: bool = False
    """Whether a sync of it failed: the next one knows nothing of it any more."""


@dataclass(eq=False)
class _Thing:
    """A file, a symbolic link or a folder."""

    mode: int = 0o600
    content: bytes = b""
    """What was safe in the beginning."""
    changes: list[_Change] = field(default_factory=list)
    """What has become of it since."""
    target: str | None = None
    """Of a symbolic link."""
    first: Mapping[str, _Thing] | None = None
    """What a folder held in the beginning."""
    entries: dict[str, _Thing] = field(default_factory=dict)
    """What the program sees in a folder."""


@dataclass(eq=False)
class _Renaming:
    """Names that have changed at once: what has them from then on, or None."""

    after: list[tuple[_Thing, str, _Thing | None]]
    lasts: bool = False


class Disk:
    """Replays the log of a program that began with a tree in which everything was safe."""

    def __init__(self, before: Path) -> None:
        self._top = _read(before)
        self._renamings: list[_Renaming] = []

    def replay(self, calls: Iterable[Call]) -> None:
        for call in calls:
            if call.result >= 0:
                getattr(self, f"_{call.name}")(call)
            elif call.name == "sync":
                self._lose(call)

    def leave(self, folder: Path, chance: Callable[[], bool]) -> None:
        """Make what a power cut leaves now. ``chance``: whether what was not synced is there."""
        left: dict[_Thing, dict[str, _Thing]] = {}
        for renaming in self._renamings:
            if renaming.lasts or chance():
                for above, name, thing in renaming.after:
                    _put(left.setdefault(above, dict(above.first or {})), name, thing)
        _write(self._top, folder, left, chance)

    def _find(self, path: str) -> _Thing:
        thing = self._top
        for part in path.split("/") if path != "." else ():
            thing = thing.entries[part]
        return thing

    def _name(self, *after: tuple[str, _Thing | None]) -> None:
        renaming = _Renaming([])
        for path, thing in after:
            above, _, name = path.rpartition("/")
            folder = self._find(above or ".")
            renaming.after.append((folder, name, thing))
            _put(folder.entries, name, thing)
        self._renamings.append(renaming)

    def _create(self, call: Call) -> None:
        self._name((call.path, _Thing(call.value)))

    def _mkdir(self, call: Call) -> None:
        self._name((call.path, _Thing(call.value, first={})))

    def _symlink(self, call: Call) -> None:
        self._name((call.path, _Thing(target=call.other)))

    def _bind(self, call: Call) -> None:
        self._name((call.path, _Thing()))  # nobody answers at a socket after a power cut

    def _link(self, call: Call) -> None:
        self._name((call.other, self._find(call.path)))

    def _rename(self, call: Call) -> None:
        above, _, name = call.other.rpartition("/")
        if self._find(above or ".").entries.get(name) is self._find(call.path):
            return  # of two names of one file nothing becomes of either
        self._name((call.path, None), (call.other, self._find(call.path)))

    def _unlink(self, call: Call) -> None:
        self._name((call.path, None))

    _rmdir = _unlink

    def _write(self, call: Call) -> None:
        self._find(call.path).changes.append(_Change("write", call.value, call.data))

    def _truncate(self, call: Call) -> None:
        self._find(call.path).changes.append(_Change("truncate", call.value))

    _allocate = _truncate  # of files that are shorter

    def _chmod(self, call: Call) -> None:
        self._find(call.path).changes.append(_Change("chmod", call.value))

    def _times(self, _: Call) -> None:
        """Nobody relies on them."""

    def _sync(self, call: Call) -> None:
        thing = self._find(call.path)
        for change in thing.changes:
            change.lasts = not change.is_lost
        for renaming in self._renamings:
            renaming.lasts = renaming.lasts or any(it[0] is thing for it in renaming.after)

    def _lose(self, call: Call) -> None:
        for change in self._find(call.path).changes:
            change.is_lost = not change.lasts


def _put(entries: dict[str, _Thing], name: str, thing: _Thing | None) -> None:
    if thing is None:
        entries.pop(name, None)
    else:
        entries[name] = thing


def _read(path: Path) -> _Thing:
    """A tree as it is on disk."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return _Thing(target=os.readlink(path))  # noqa: PTH115 - as it was written
    if stat.S_ISDIR(mode):
        below = {it.name: _read(it) for it in path.iterdir()}
        return _Thing(stat.S_IMODE(mode), first=below, entries=dict(below))
    return _Thing(stat.S_IMODE(mode), path.read_bytes() if stat.S_ISREG(mode) else b"")


def _write(
    thing: _Thing,
    path: Path,
    left: Mapping[_Thing, Mapping[str, _Thing]],
    chance: Callable[[], bool],
) -> None:
    if thing.target is not None:
        path.symlink_to(thing.target)
    elif thing.first is not None:
        path.mkdir()
        for name, below in left.get(thing, thing.first).items():
            _write(below, path / name, left, chance)
        path.chmod(thing.mode)
    else:
        mode, content = _left(thing, chance)
        path.write_bytes(content)
        path.chmod(mode)


def _left(thing: _Thing, chance: Callable[[], bool]) -> tuple[int, bytes]:
    mode, content = thing.mode, bytearray(thing.content)
    for change in thing.changes:
        if change.is_lost or not (change.lasts or chance()):
            continue
        if change.kind == "chmod":
            mode = change.value
            continue
        if change.kind == "truncate":
            del content[change.value :]
        content.extend(bytes(max(0, change.value - len(content))))
        if change.kind == "write":
            content[change.value : change.value + len(change.data)] = change.data
    return mode, bytes(content)
