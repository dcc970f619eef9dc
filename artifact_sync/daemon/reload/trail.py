"""What a path leads through to its file: links, folders, and what they look like. Only looks."""

from __future__ import annotations

import os
import stat
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

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
