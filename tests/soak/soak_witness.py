"""What must hold of the mirror and of all that is said, during the soak and at its end."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import subprocess
import time
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from soak_daemon import Program
    from soak_world import World

SUMS = "SHA256SUMS"
MANIFESTS = {SUMS, "run.json"}
BAD_WORDS = re.compile(
    r"a bug|Traceback|ResourceWarning|RuntimeWarning|never retrieved|was destroyed|never awaited"
)
LINKS = re.compile(r"X-Amz-|[?&](?:md5|expires|Signature)=", re.IGNORECASE)

_NOTICING = 6.0
"""Seconds in which a watch over the mirror notices a change; twice, to be fair, what it takes."""


@dataclass
class Witness:
    """Looks at every file that has its final name, and knows what somebody has changed by hand."""

    program: Program
    world: World
    hand: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """SHA-256 of what was put into a file by hand, by path."""
    hand_at: dict[str, float] = field(default_factory=dict)
    """When that was, the last time."""
    unseen: set[str] = field(default_factory=set)
    """Files that were changed while no watch had begun, or just before the daemon's end."""
    damaged: set[str] = field(default_factory=set)
    """Run folders of which something was deleted or changed by hand."""
    looks: int = 0
    manifests: int = 0
    _known: dict[str, tuple[tuple[int, ...], str]] = field(default_factory=dict)

    def look(self) -> None:
        """No file under its final name is anything but whole, and no manifest says too much."""
        self.looks += 1
        for path, digest in self.files().items():
            right = self.world.versions.get(path, set()) | self.hand.get(path, set())
            assert digest in right, f"{path} is nothing that the service ever held: {digest}"
        for sums in self.program.root.glob(f"*/*/*/{SUMS}"):
            if not sums.parent.is_symlink():
                self._check_manifest(sums)

    def files(self) -> dict[str, str]:
        """SHA-256 by path of what is mirrored."""
        found = {str(path.relative_to(self.program.root)): path for path in self._paths()}
        digests = {name: self._digest(path) for name, path in found.items()}
        return {name: digest for name, digest in digests.items() if digest}

    def _paths(self) -> Iterator[Path]:
        root = self.program.root
        for folder, folders, names in _walk(root):
            folders[:] = [it for it in folders if not (folder / it).is_symlink()]
            if folder == root:
                folders[:] = [it for it in folders if it != ".artifact-sync"]
            depth = len(folder.relative_to(root).parts)
            for name in names:
                is_manifest = depth == 3 and name in MANIFESTS
                if not is_manifest and not (folder / name).is_symlink():
                    yield folder / name

    def _digest(self, path: Path) -> str:
        """Empty: it was taken away meanwhile."""
        try:
            with path.open("rb") as file:
                seen = os.fstat(file.fileno())
                mark = (seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
                known = self._known.get(str(path))
                if known is None or known[0] != mark:
                    known = (mark, hashlib.file_digest(file, "sha256").hexdigest())
                    self._known[str(path)] = known
        except FileNotFoundError:
            return ""
        return known[1]

    def _check_manifest(self, sums: Path) -> None:
        """A manifest that stands before and after a look at its files speaks the truth."""
        run = str(sums.parent.relative_to(self.program.root))
        if run in self.damaged:
            return
        try:
            before = sums.stat()
            lines = sums.read_text(encoding="utf-8").splitlines()
            said = dict(reversed(line.split("  ", 1)) for line in lines)
            wrong = {it for it in said if self._digest(sums.parent / it) != said[it]}
            after = sums.stat()
        except FileNotFoundError:
            return
        self.manifests += 1
        if wrong and (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns):
            raise AssertionError(f"the manifest of {run} says what is not so: {sorted(wrong)}")

    def daemon_ends(self) -> None:
        """It is about to end: what was only just changed by hand, it may not have noticed."""
        lately = time.monotonic() - _NOTICING
        self.unseen |= {path for path, at in self.hand_at.items() if at > lately}

    def changed_by_hand(self) -> set[str]:
        """Files that are still as somebody has left them."""
        right = self.world.versions
        return {
            it
            for it, digest in self.files().items()
            if digest in self.hand.get(it, ()) and digest not in right[it]
        }

    # the end

    def differences(self, but: set[str] | None = None) -> list[str]:
        """How the mirror differs from what the service holds; ``but``: paths not looked at."""
        expected, found = self.world.expected(), self.files()
        gone = {str(state.name) for state in self.world.away}
        surplus = [it for it in found if it not in expected and _repo(it) not in gone]
        said = [f"surplus {it}" for it in surplus]
        for path, digest in expected.items():
            if path not in found:
                said.append(f"missing {path}")
            elif found[path] != digest and path not in (but or set()):
                said.append(f"differs {path}")
        return said

    def check_sums(self) -> int:
        """``sha256sum -c`` of every complete run; how many there are."""
        count = 0
        for sums in sorted(self.program.root.glob(f"*/*/*/{SUMS}")):
            if sums.parent.is_symlink():
                continue
            check = ["sha256sum", "--check", "--strict", "--quiet", SUMS]
            done = subprocess.run(check, cwd=sums.parent, capture_output=True, check=False)
            assert done.returncode == 0, (sums, done.stdout, done.stderr)
            count += 1
        return count

    def check_words(self, words: str, where: str) -> None:
        """No secret, and nothing that nobody has foreseen."""
        # a client of the web, accepted in the very moment in which the web was switched off: the
        # cancelled sock_accept had it already, and it is closed as it is freed
        web = rf"laddr=\('[^']+', {self.program.port}\)"
        known = re.sub(rf"ResourceWarning: unclosed <socket\.socket [^>]*{web}", "", words)
        found = BAD_WORDS.search(known)
        assert not found, f"{where}: {_around(known, found)}"
        self.check_secrets(words, where)

    def check_secrets(self, words: str, where: str) -> None:
        for secret in (*self.program.tokens, *(it.decode() for it in self.program.secrets)):
            assert secret not in words, f"{where} holds a secret"
        link = LINKS.search(words)
        assert not link, f"{where}: {_around(words, link)}"

    def check_ledger(self) -> None:
        """SQLite finds it sound, and no secret is in it."""
        file = self.program.own / "ledger.sqlite"
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            (said,) = connection.execute("PRAGMA integrity_check").fetchone()
        assert said == "ok", said
        for path in self.program.own.glob("ledger.sqlite*"):
            self.check_secrets(path.read_bytes().decode("latin-1"), path.name)
        for path in self.program.root.glob("*/*/*/run.json"):
            self.check_secrets(path.read_text(encoding="utf-8"), str(path))

    def staged(self) -> tuple[list[str], int]:
        """What of staging could be gone on with, and how many sidecars of what is mirrored.

        Such a one stays when the process is killed between recording and forgetting; it is swept
        away after days.
        """
        there = {it.name for it in (self.program.own / "staging").iterdir()}
        there = {it for it in there if it.partition(".")[0] not in self.world.left_behind()}
        idle = {it for it in there if it.endswith(".json") and f"{it[:-5]}.part" not in there}
        return sorted(there - idle), len(idle)


def _walk(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    for folder, folders, names in os.walk(root):
        yield root / folder, folders, names


def _repo(path: str) -> str:
    return "/".join(path.split("/")[:2])


def _around(words: str, found: re.Match[str] | None) -> str:
    if found is None:
        return ""
    return words[max(0, found.start() - 600) : found.end() + 1500]
