"""The rules for what an archive holds: names, links, limits. Pure.

Nothing that breaks one is left out or mended: the archive as a whole is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator  # noqa: TC003 - msgspec reads the annotations at run time
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from artifact_sync.domain.errors import UnsafeArchive, UnsafePath
from artifact_sync.mirror.names import check_component, fold, quoted, utf8_size

if TYPE_CHECKING:
    from artifact_sync.domain.archives import ExtractLimits

Parts = tuple[str, ...]

_LONGEST_PATH = 1024
_LONGEST_TARGET = 1024
_DEEPEST = 64
_MOST_HOPS = 40
"""Links that may be followed one after the other, as Linux has it."""
_MOST_STEPS = 20
"""Names that links may lead through, for each entry that there may be: seconds, not hours."""
_DRIVE = r"[A-Za-z]:"

Kind = Literal["file", "folder", "link", "copy"]


class Member(Struct, frozen=True):
    """One thing in an archive, as its reader has found it."""

    name: str
    """As it stands there; nobody has checked it."""
    kind: Kind
    """``link``: a symbolic one. ``copy``: a hard link, to an earlier file."""
    is_executable: bool = False
    target: str = ""
    """Of a link or copy, as it stands there."""
    content: Iterator[bytes] | None = None
    """Of a file; to be read before the next member is asked for."""


class _Node(Struct):
    path: Parts
    kind: Kind
    target: str = ""
    has_any: bool = False
    """Of a folder: something is in it."""


class Members:
    """What has been found in an archive so far. Every verb may raise ``UnsafeArchive``."""

    def __init__(self, limits: ExtractLimits) -> None:
        self._limits = limits
        self._nodes: dict[str, _Node] = {}
        """By the folded path: two names that are one on some file system are refused."""
        self._count = 0
        self._implied = 0
        self._steps = 0
        """Of links, that were followed."""

    def add(self, member: Member) -> Parts:
        """Where a member goes, below the archive's folder; empty: it is that folder itself."""
        self._count += 1
        check_count(self._count, self._limits)
        parts = path_of(member.name)
        if not parts and member.kind != "folder":
            raise UnsafeArchive(f"{quoted(member.name)} is no name of a file")
        for depth in range(1, len(parts)):
            self._enter(parts[:depth], member.name)
        if len(parts) > 1:  # many share the names of their folders in memory
            parts = (*self._nodes[_key(parts[:-1])].path, parts[-1])
        if parts:
            self._put(_Node(parts, member.kind, member.target), member.name)
        return parts

    def _enter(self, folder: Parts, name: str) -> None:
        """The folder of a member, whether the archive has named it or not."""
        if self._node(folder, name) is None:
            self._implied += 1
            check_count(self._implied, self._limits)
            self._nodes[_key(folder)] = _Node(folder, "folder")
        elif self._nodes[_key(folder)].kind != "folder":
            where = quoted("/".join(folder))
            raise UnsafeArchive(f"{quoted(name)} is below {where}, which is no folder")
        self._nodes[_key(folder)].has_any = True

    def _put(self, new: _Node, name: str) -> None:
        old = self._node(new.path, name)
        if old is None:
            self._nodes[_key(new.path)] = new
        elif not (old.kind == new.kind == "folder"):
            raise UnsafeArchive(f"{quoted(name)} is in it twice")

    def _node(self, path: Parts, name: str) -> _Node | None:
        """What has this path. One that differs from it in case or form alone is refused."""
        found = self._nodes.get(_key(path))
        if found is not None and found.path != path:
            other = quoted("/".join(found.path))
            raise UnsafeArchive(f"{quoted(name)} and {other} are one name on some file systems")
        return found

    def source(self, member: Member) -> Parts:
        """The earlier file that a hard link stands for."""
        parts = path_of(member.target)
        found = self._nodes.get(_key(parts))
        if found is None or found.path != parts or found.kind not in {"file", "copy"}:
            where = quoted(member.target)
            raise UnsafeArchive(
                f"{quoted(member.name)} is a hard link to {where}, no file before it"
            )
        return parts

    def links(self) -> Iterator[tuple[Parts, str, Parts]]:
        """Each symbolic link, its target, and the path to which it leads."""
        for node in self._nodes.values():
            if node.kind == "link":
                yield node.path, node.target, self._resolved(node)

    def empty_folders(self) -> Iterator[Parts]:
        """The folders with nothing in them."""
        for node in self._nodes.values():
            if node.kind == "folder" and not node.has_any:
                yield node.path
        if not self._nodes:
            yield ()

    def is_file(self, path: Parts) -> bool:
        """Whether a regular file has this path."""
        found = self._nodes.get(_key(path))
        return found is not None and found.kind in {"file", "copy"}

    def _resolved(self, link: _Node) -> Parts:
        """Follow a link as the system does, which must not lead out, or nowhere."""
        here, hops = list(link.path[:-1]), 1
        left = self._counted(link, link)
        while left:
            step = left.pop()
            if step == ".":
                continue
            if step == "..":
                if not here:
                    raise _bad(link, "leads out of the archive's folder")
                here.pop()
                continue
            here.append(step)
            found = self._nodes.get(_key(tuple(here)))
            if found is None or found.path != tuple(here):
                raise _bad(link, "leads to nothing in the archive")
            if found.kind == "link":
                hops += 1
                if hops > _MOST_HOPS:
                    raise _bad(link, "leads round in a circle, or over too many others")
                here.pop()
                left += self._counted(found, link)
            elif left and found.kind != "folder":
                raise _bad(link, "leads through a file")
        return tuple(here)

    def _counted(self, link: _Node, first: _Node) -> list[str]:
        """The components of a link's target, of which all links together have not too many."""
        steps = _steps(link, link.target)
        self._steps += len(steps)
        if self._steps > _MOST_STEPS * self._limits.entries:
            raise _bad(first, "and those before it take more steps than are followed")
        return steps


def check_count(count: int, limits: ExtractLimits) -> None:
    """Refuse more entries than there may be."""
    if count > limits.entries:
        raise UnsafeArchive(f"it has more than {limits.entries:,} entries (extract.max_entries)")


def _bad(link: _Node, why: str) -> UnsafeArchive:
    what = f"the link {quoted('/'.join(link.path))} to {quoted(link.target)}"
    return UnsafeArchive(f"{what} {why}")


def _steps(link: _Node, target: str) -> list[str]:
    """The components of a link's target, the last one first."""
    if target.startswith("/") or re.match(_DRIVE, target):
        raise _bad(link, "leads out of the archive's folder")
    if not target or utf8_size(target) > _LONGEST_TARGET:
        raise _bad(link, "leads nowhere, or its target is too long")
    steps = [step or "." for step in target.split("/")]  # "a/" is nothing where "a" is a file
    for step in steps:
        if step not in {".", ".."}:
            _check(step, target)
    return steps[::-1]


def path_of(name: str) -> Parts:
    """The components of a member's name. ``UnsafeArchive``."""
    if name.startswith("/"):
        raise UnsafeArchive(f"{quoted(name)} is an absolute path")
    if re.match(_DRIVE, name):
        raise UnsafeArchive(f"{quoted(name)} begins with a drive of Windows")
    if utf8_size(name) > _LONGEST_PATH:
        raise UnsafeArchive(f"{quoted(name)} is longer than {_LONGEST_PATH} bytes")
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if len(parts) > _DEEPEST:
        raise UnsafeArchive(f"{quoted(name)} is more than {_DEEPEST} folders deep")
    for part in parts:
        _check(part, name)
    return parts


def _check(part: str, name: str) -> None:
    try:
        check_component(part)
    except UnsafePath as error:
        inside = "" if part == name else f" (in {quoted(name)})"
        raise UnsafeArchive(f"{error}{inside}") from None


def _key(path: Parts) -> str:
    return fold("/".join(path))
