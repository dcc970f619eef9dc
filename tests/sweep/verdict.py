"""What must hold of a mirror after the program was struck, and after the next pass."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import stat
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sweep_shim import Strike
    from user import Done

OWN = ".artifact-sync"
COMPLETE = 0
SIGNATURE = "/SHA256SUMS.sig"
_HELD_AGAINST = re.compile(rb'\s*"ledger:sha-256",|"strength": "[a-z]+",')
"""Evidence of a file that was fetched again; one that a crash left in its place is taken back."""
_CHECKSUM_FILE = re.compile(rb'\s*"sidecar:sha-256",')
"""Evidence that the next pass adds, where the checksum file itself could not be published."""
_UNPACKED = re.compile(rb'\n *"unpacked": \{[^}]*\},')
"""An archive that the disk has refused to be unpacked; the run is complete without that."""
_MOMENT = re.compile(rb'"mirrored_at": "[^"]*"')
_MISSING = re.compile(rb'  "missing": \[.*?\n  \],\n', re.DOTALL)
_TABLES = {"artifacts", "runs", "repositories", "forget_rules"}
_VOLATILE = {"id", "run_id", "repo_id", "mirrored_at", "first_seen", "seen_at", "last_mirrored"}
_VOLATILE |= {"looks", "next_look", "last_pass", "last_complete", "attempts", "digest"}
_VOLATILE |= {"verified_at", "oldest_verified", "gone_since", "strength", "shares", "shared_bytes"}


@dataclass(frozen=True)
class State:
    """A mirror at rest."""

    names: Mapping[str, tuple[int, bytes]]
    """Mode and bytes by path, of links where they point to; without moments, which differ."""
    displaced: Counter[tuple[str, bytes]]
    """What was moved out of the way, by the path that it had."""
    staged: frozenset[str]
    rows: Mapping[str, Mapping[str, Any]]
    """The ledger's artifacts by path."""
    facts: frozenset[tuple[object, ...]]
    """All that the ledger says and that another try would say again."""

    @classmethod
    def of(cls, root: Path) -> State:
        own = root / OWN
        tables = _ledger(own)
        names = {path: it for path, it in _names(root) if not path.startswith(f"{OWN}/")}
        displaced = [(path, content) for path, (_, content) in _names(own / "displaced")]
        return cls(
            names,
            Counter((path.partition("/")[2], content) for path, content in displaced),
            frozenset(path for path, _ in _names(own / "staging")),
            {row["path"]: row for row in tables.get("artifacts", []) if row["path"]},
            frozenset(_facts(tables)),
        )


def _names(root: Path) -> Iterator[tuple[str, tuple[int, bytes]]]:
    for folder, folders, files in os.walk(root):
        for name in (*files, *folders):
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                content = os.fsencode(path.readlink())
            elif stat.S_ISREG(mode):
                content = _MOMENT.sub(b'"mirrored_at": ""', path.read_bytes())
                content = _HELD_AGAINST.sub(b"", content)
            else:
                continue
            yield str(path.relative_to(root)), (stat.S_IMODE(mode), content)


def _ledger(own: Path) -> dict[str, list[dict[str, Any]]]:
    """Its rows by table, read from a copy, which leaves the ledger's files as they are."""
    file = own / "ledger.sqlite"
    if not file.exists():
        return {}
    with TemporaryDirectory() as folder:
        for it in own.glob("ledger.sqlite*"):
            if not it.name.endswith("-shm"):
                shutil.copy(it, folder)
        with closing(sqlite3.connect(Path(folder, file.name))) as connection:
            connection.row_factory = sqlite3.Row
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            wanted = {it["name"] for it in names} & _TABLES
            return {
                name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]  # noqa: S608 - ours
                for name in wanted
            }


def _facts(tables: Mapping[str, list[dict[str, Any]]]) -> Iterator[tuple[object, ...]]:
    for table, rows in tables.items():
        for row in rows:
            for moment in ("lost_since", "pruned_at"):
                row[moment] = row.get(moment) is not None
            row["evidence"] = str(row.get("evidence")).replace('"ledger:sha-256",', "")
            said = (f"{key} = {it}" for key, it in row.items() if key not in _VOLATILE)
            yield (table, *said)


@dataclass
class Judge:
    """Compares with the state before the deed, and with the one that an undisturbed deed leaves."""

    before: State
    right: State
    refusals: frozenset[int]
    """With what the program may end when the disk refuses."""
    faults: list[str] = field(default_factory=list)

    def after_power_cut(self, now: State) -> None:
        self._look_at_names(now)
        self._look_at_rows(now)
        self._look_at_sums(now)
        self._look_at_signatures(now)
        self._look_for_what_was_destroyed(now)

    def after_strike(self, now: State, done: Done, strike: Strike | None) -> None:
        """``strike``: None when the program had ended before it came to that."""
        self.after_power_cut(now)
        self._look_at_words(now, done, strike)

    def after_next_pass(self, now: State, done: Done) -> None:
        if done.code != COMPLETE:
            self.faults.append(f"the next pass ends with {done.code}: {done.out}{done.err}")
        self._must_be_right(now, "after the next pass")
        for name in sorted(now.staged):
            self.faults.append(f"after the next pass staging holds {name}")
        for path, content in (now.displaced - self.right.displaced).elements():
            self.faults.append(f"displaced without need: {path}: {content[:60]!r}")

    def _look_at_names(self, now: State) -> None:
        for path, found in now.names.items():
            if path.endswith(SIGNATURE):
                continue  # of a manifest that is mixed, too
            allowed = [it.names[path] for it in (self.before, self.right) if path in it.names]
            known = found
            if path.endswith("/run.json"):
                known, allowed = _at_rest(found), [_at_rest(it) for it in allowed]
            if _is_mixed(path, known, allowed) or _leads_to_a_complete_run(path, found[1], now):
                continue
            if known not in allowed:
                what = f"mode {found[0]:o}, {len(found[1])} bytes"
                self.faults.append(f"under a final name: {path}: {what}: {found[1][:60]!r}")

    def _look_at_rows(self, now: State) -> None:
        for path, row in now.rows.items():
            if row["state"] != "mirrored" or row == self.before.rows.get(path):
                known = self.before.names.get(path)
                if row["state"] != "mirrored" or now.names.get(path) == known:
                    continue
            found = now.names.get(path)
            if found is None or hashlib.sha256(found[1]).hexdigest() != row["sha256"]:
                what = "nothing" if found is None else f"{len(found[1])} bytes"
                self.faults.append(f"the ledger says mirrored of {path}, where there is {what}")

    def _look_at_sums(self, now: State) -> None:
        """No manifest vouches for a file that the program has just removed for good."""
        for path, (_, content) in now.names.items():
            folder, _, name = path.rpartition("/")
            for line in content.splitlines() if name == "SHA256SUMS" else ():
                sha256, _, file = line.decode().partition("  ")
                place = f"{folder}/{file}"
                known = self.before.names.get(place)
                was_right = known and hashlib.sha256(known[1]).hexdigest() == sha256
                if was_right and place not in now.names and place not in self.right.names:
                    self.faults.append(f"{path} vouches for {file}, which is not there")

    def _look_at_signatures(self, now: State) -> None:
        """No signature stands beside a manifest of another content."""
        for path, (_, signature) in now.names.items():
            _, content = now.names.get(path.removesuffix(".sig"), (0, b""))
            if path.endswith(SIGNATURE) and content:
                right = hashlib.sha256(b"key" + content).hexdigest().encode()
                if signature.split()[:1] != [right]:
                    self.faults.append(f"{path} is of another content")

    def _look_for_what_was_destroyed(self, now: State) -> None:
        kept = {content for _, content in now.names.values()}
        kept |= {content for _, content in now.displaced}
        for path, content in self.right.displaced - self.before.displaced:
            if content not in kept:
                self.faults.append(f"destroyed: {path}: {content[:60]!r}")

    def _look_at_words(self, now: State, done: Done, strike: Strike | None) -> None:
        for bad in ("Traceback", "this is a bug"):
            if bad in done.err:
                self.faults.append(f"said: {done.err}")
        if done.code == COMPLETE:
            self._must_be_right(now, "at exit code 0")
        elif strike is None or done.code not in self._codes(strike):
            self.faults.append(f"ended with {done.code}: {done.out}{done.err}")
        if done.out.startswith("{"):
            self._look_at_report(json.loads(done.out), done.code)

    def _codes(self, strike: Strike) -> frozenset[int]:
        """With what the program may end but 0."""
        if strike.kills:
            return frozenset({-signal.SIGKILL})
        return self.refusals if strike.errno else frozenset()

    def _look_at_report(self, report: dict[str, Any], code: int) -> None:
        if report["exit_code"] != code or report.get("complete", code == 0) != (code == 0):
            self.faults.append(f"ended with {code}, and says {report}")

    def _must_be_right(self, now: State, when: str) -> None:
        for path in sorted({*now.names, *self.right.names}):
            found, expected = now.names.get(path), self.right.names.get(path)
            if found != expected:
                self.faults.append(f"{when}: {path} is {found}, not {expected}"[:400])
        for fact in sorted(map(str, now.facts ^ self.right.facts)):
            whose = "only" if fact in set(map(str, now.facts)) else "not"
            self.faults.append(f"{when}: the ledger {whose}: {fact}")
        for path, content in (self.right.displaced - now.displaced).elements():
            self.faults.append(f"{when}: not among what was displaced: {path}: {content[:60]!r}")


def _is_mixed(path: str, found: tuple[int, bytes], allowed: list[tuple[int, bytes]]) -> bool:
    """Whether a manifest names files of the one state and of the other, as a pass leaves it that
    was broken off while it mended some."""
    if not path.endswith(("/run.json", "/SHA256SUMS")):
        return False
    parts = {part for _, it in allowed for part in _parts(it)}
    return bool(parts) and _parts(found[1]) <= parts


def _parts(manifest: bytes) -> set[bytes]:
    """Lines of sums, or the files of a ``run.json`` and what else it tells."""
    if manifest.startswith(b"{"):
        files = _CHECKSUM_FILE.sub(b"", manifest)
        return set(re.split(rb"\n    [{}],?\n|\n    [}],\n    [{]\n", files))
    return set(manifest.splitlines())


def _at_rest(manifest: tuple[int, bytes]) -> tuple[int, bytes]:
    """A ``run.json`` without what it tells of files that are missing for a while, and of logs that
    could not be had: they hold no manifest back."""
    content = _UNPACKED.sub(b"", _MISSING.sub(b"", manifest[1]))
    return manifest[0], _NOT_MIRRORED.sub(_without_failed_logs, content)


_NOT_MIRRORED = re.compile(rb'(\n  "not_mirrored": )\[\n(.*?)\n  \]', re.DOTALL)


def _without_failed_logs(found: re.Match[bytes]) -> bytes:
    entries = re.split(rb",\n(?=    \{)", found[2])
    left = [it for it in entries if b'"local_path": ""' not in it or b'"state": "failed"' not in it]
    return found[1] + (b"[\n" + b",\n".join(left) + b"\n  ]" if left else b"[]")


def _leads_to_a_complete_run(path: str, target: bytes, now: State) -> bool:
    """While a run is mended, ``latest`` is the newest one that is complete meanwhile."""
    folder, _, name = path.rpartition("/")
    return name.startswith("latest") and f"{folder}/{target.decode()}/SHA256SUMS" in now.names
