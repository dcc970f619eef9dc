"""Trials of one scene: strike at a call, or cut the power after it, judge, go on, judge again."""

from __future__ import annotations

import errno
import itertools
import random
import shutil
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from power_cut import Disk
from scenes import Owner
from sweep_shim import Strike, calls, environ
from verdict import Judge, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from scenes import Scene
    from sweep_shim import Call

    from artifact_sync.simulator import Running

ERRORS = (errno.EIO, errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EINTR)
STAGED = (".part",)
SYNCED = (*STAGED, ".new", "-wal", "-journal", ".sqlite")
"""How the names end of files that are synced."""
LASTING = (errno.EIO, errno.ENOSPC, errno.EROFS)
"""Errors that may be all that the disk says from then on."""


@dataclass(frozen=True)
class PowerCut:
    """The power goes after this call. ``seed``: what of all that was not synced is there."""

    at: int
    seed: int | bool

    def __str__(self) -> str:
        left = {False: "nothing", True: "all"}.get(self.seed, f"some ({self.seed})")
        return f"power cut after call {self.at}, {left} that was not synced is there"

    def chance(self) -> Callable[[], bool]:
        if isinstance(self.seed, bool):
            return lambda: bool(self.seed)
        rng = random.Random(self.seed)  # noqa: S311 - a trial, not a secret
        return lambda: rng.random() < 0.5


@dataclass(frozen=True)
class LostSync:
    """A sync fails, the next pass goes on, and in the midst of it or at its end the power goes."""

    at: int
    """Which of the first pass's syncs of such files fails: the system forgets what was to last."""
    of: str
    """How their names end. By this, as calls have other numbers each time."""
    part: float
    """How much of the next pass there was."""
    seed: int | bool

    @property
    def strike(self) -> Strike:
        return Strike(self.at, str(errno.EIO), syncs=self.of)

    def __str__(self) -> str:
        rest = PowerCut(0, self.seed)
        return f"sync {self.at} of …{self.of} fails, {self.part:.0%} into the next pass: {rest}"


Deed = Strike | PowerCut | LostSync


class Trials:
    """A scene with its service, the state before the deed and the one that is right after it."""

    def __init__(self, scene: Scene, folder: Path, library: Path, service: Running) -> None:
        self.scene = scene
        self._folder = folder
        self._library = library
        self._service = service
        self._numbers = itertools.count(1)
        first = self._owner("before")
        first.watched.mkdir()
        scene.arrange(first, service.simulator)
        self._before = first.watched
        self._state_before = State.of(first.root)
        self.calls, self._right = self._undisturbed()

    def _undisturbed(self) -> tuple[list[Call], State]:
        user, log = self._copy("right")
        done = self.scene.act(user, environ(self._library, user.watched, log))
        right = State.of(user.root)
        judge = Judge(self._state_before, right, self.scene.refusals)
        judge.after_next_pass(right, done)
        assert judge.faults == [], (self.scene.name, judge.faults)
        return calls(log), right

    def _owner(self, name: str) -> Owner:
        folder = self._folder / name
        folder.mkdir()
        return Owner(folder, self._service)

    def _struck(self, name: str) -> Owner:
        """A user who is configured as what is struck asks for."""
        user = self._owner(name)
        self.scene.configure(user)
        return user

    def _copy(self, name: str) -> tuple[Owner, Path]:
        """A user whose mirror is as it was before the deed, and a place for the log of calls."""
        user = self._struck(name)
        shutil.copytree(self._before, user.watched, symlinks=True)
        return user, user.folder / "calls"

    def strikes(self) -> list[Deed]:
        """Every way in which every call can be struck."""
        return [Strike(it.number, *how) for it in self.calls for how in _ways(it)]

    def power_cuts(self, seeds: Sequence[int | bool]) -> list[Deed]:
        """After every call, in as many ways as there are seeds."""
        return [PowerCut(it.number, seed) for it in self.calls for seed in seeds]

    def lost_syncs(self, rng: random.Random, endings: Sequence[str] = SYNCED) -> list[Deed]:
        """After every sync that fails: a power cut within the next pass, and one at its end."""
        found: list[Deed] = []
        for of in endings:
            count = sum(it.name == "sync" and it.path.endswith(of) for it in self.calls)
            for at in range(1, count + 1):
                found += (LostSync(at, of, part, seed=False) for part in (rng.random(), 1.0))
        return found

    def faults(self, deed: Deed) -> list[str]:
        """What is wrong after a deed, and after the next pass."""
        judge = Judge(self._state_before, self._right, self.scene.refusals)
        name = f"trial-{next(self._numbers)}"
        where = ""
        try:
            if isinstance(deed, Strike):
                user, where = self._strike(deed, judge, name)
            elif isinstance(deed, PowerCut):
                user = self._cut(self.calls[: deed.at], deed, judge, name)
            else:
                user = self._lose(deed, judge, name)
            done = self.scene.go_on(user)
            judge.after_next_pass(State.of(user.root), done)
            judge.faults += self.scene.faults(user) if isinstance(deed, Strike) else []
        except (AssertionError, sqlite3.Error) as error:
            judge.faults.append(f"{type(error).__name__}: {error}")
        shutil.rmtree(self._folder / name)
        return [f"{self.scene.name}: {deed}{where}: {fault}" for fault in judge.faults]

    def _strike(self, deed: Strike, judge: Judge, name: str) -> tuple[Owner, str]:
        user, log = self._copy(name)
        done = self.scene.act(user, environ(self._library, user.watched, log, deed))
        struck = next((it for it in calls(log) if it.number == deed.at), None)
        judge.after_strike(State.of(user.root), done, deed if struck else None)
        return user, f" ({struck})"

    def _lose(self, deed: LostSync, judge: Judge, name: str) -> Owner:
        user, log = self._copy(name)
        begun = self.scene.act(user, environ(self._library, user.watched, log, deed.strike))
        further = log.with_name("further calls")
        self.scene.go_on(user, environ(self._library, user.watched, further))
        assert begun.code in {0, *self.scene.refusals}, begun
        then = calls(further)
        made = calls(log) + then[: round(deed.part * len(then))]
        shutil.rmtree(user.folder)
        return self._cut(made, PowerCut(len(made), deed.seed), judge, name)

    def _cut(self, made: Sequence[Call], deed: PowerCut, judge: Judge, name: str) -> Owner:
        user = self._struck(name)
        disk = Disk(self._before)
        disk.replay(made)
        disk.leave(user.watched, deed.chance())
        judge.after_power_cut(State.of(user.root))
        return user


def _ways(call: Call) -> Iterator[tuple[str, bool]]:
    for deed in ("before", "after"):
        yield deed, False
    if len(call.data) > 1:
        yield "torn", False
        yield "short", False
    for number in ERRORS:
        yield str(number), False
    for number in LASTING:
        yield str(number), True
