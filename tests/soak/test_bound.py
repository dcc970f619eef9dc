"""A mirror that holds ``max_size`` for minutes, under load, damage and kills.

``make soak`` runs it; its story is told again by ``SOAK_SEED``.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from soak_daemon import COMPLETE, Program, Settings, wait_for
from soak_witness import Witness
from soak_world import SIZES, World, scenario

from artifact_sync.simulator import faults, running_in_thread

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
]

SEED = os.environ.get("SOAK_SEED") or str(random.SystemRandom().randrange(10**6))
SECONDS = float(os.environ.get("SOAK_SECONDS") or 180)
TOKEN = "pv1_soak-first-token"
DAMAGE = b"damaged"
BOUND = 24 << 20
IN_HAND = 6 * max(SIZES)
"""What a kill may leave in its place and not on record; the next passes have others go for it."""
FURTHER = f"""
[keep]
max_size = {BOUND}
"""
FAULTS = (
    faults.StatusFault(status=503, retry_after=1, every=3),
    faults.CutFault(after=0.5, every=3),
    faults.Flip(every=4),
    faults.Truncate(on="api", endpoint="runs", every=3),
    faults.StatusFault(on="api", status=500, every=3),
)


class Bounded:
    """A daemon that prunes, a service that goes on and on, and somebody who damages files."""

    def __init__(self, program: Program, world: World, rng: random.Random) -> None:
        self.program = program
        self.world = world
        self.rng = rng
        self.witness = Witness(program, world)
        self.most = 0
        self.kills = self.damaged = self.put_in = 0
        self._faults = 0

    def step(self) -> None:
        deeds = [self.run] * 8 + [self.damage] * 2 + [self.fault, self.kill]
        self.rng.choice(deeds)()
        self.look()
        time.sleep(self.rng.uniform(0.02, 0.2))

    def run(self) -> None:
        """One more run is there, and finished."""
        self.world.new_run()
        self.world.finish(self.rng.randrange(len(self.world.unfinished)))

    def damage(self) -> None:
        files = sorted(self.witness.files())
        if files:
            path = self.program.root / self.rng.choice(files)
            self.witness.damaged.add(str(path.parent.relative_to(self.program.root)))
            with suppress(FileNotFoundError):  # it has been pruned meanwhile
                self.put_in += path.stat().st_size + len(DAMAGE)
                with path.open("r+b") as file:
                    file.seek(0, os.SEEK_END)
                    file.write(DAMAGE)
                self.damaged += 1

    def fault(self) -> None:
        self._faults += 1
        self.world.mend_all()
        self.world.break_(self._faults, self.rng.choice(FAULTS))

    def kill(self) -> None:
        self.program.send(signal.SIGKILL)
        self.program.ended("SIGKILL")
        self.program.start()
        self.kills += 1

    def look(self) -> None:
        """What is mirrored is within the bound, but for what a kill has left, and strangers."""
        sizes = 0
        for path in self.witness._paths():
            try:
                sizes += path.stat().st_size
            except FileNotFoundError:
                continue
        self.most = max(self.most, sizes)
        assert sizes <= BOUND + IN_HAND + self.put_in, f"{sizes} bytes are mirrored"

    def told(self, *arguments: str) -> dict[str, Any]:
        code, said = self.program.run(*arguments, "--json")
        assert code == COMPLETE, (arguments, code, said)
        found: dict[str, Any] = json.loads(said)
        return found


def test_a_mirror_holds_its_bound_under_load_and_damage(tmp_path: Path) -> None:
    sys.stdout.write(f"\nthe story with the seed {SEED}\n")
    rng = random.Random(SEED)  # noqa: S311 - a story, not a secret
    settings = Settings(watch="restore", further=FURTHER)
    with running_in_thread(scenario(TOKEN)) as service:
        program = Program(tmp_path, service.base_url, TOKEN, settings)
        story = Bounded(program, World(service.simulator, rng), rng)
        program.start()
        try:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                story.step()
            come_to_rest(story)
            tell_one_story(story)
        except BaseException as error:
            error.add_note(program.log.read_text(encoding="utf-8", errors="replace")[-8_000:])
            raise
        finally:
            if program.process is not None:
                program.process.kill()
                program.process.wait()
    sys.stdout.write(
        f"{story.world.made} runs, {story.kills} kills, {story.damaged} times damaged,"
        f" {story.most:,} of {BOUND:,} bytes at most\n"
    )


def come_to_rest(story: Bounded) -> None:
    """Nothing goes wrong any more, and the daemon ends in order."""
    story.world.mend_all()
    while story.world.unfinished:
        story.world.finish(0)
    wait_for("it is at rest", story.program.at_rest, 60)
    story.look()
    story.program.send(signal.SIGTERM)
    assert story.program.ended("SIGTERM") == COMPLETE


def tell_one_story(story: Bounded) -> None:
    """All commands, the files and the manifests agree."""
    code, said = story.program.run("verify", "--repair")  # what the watch had no time for
    assert code == COMPLETE, said
    verified = story.told("verify")
    listed = [it for it in story.told("ls")["artifacts"] if it["state"] == "mirrored"]
    size = sum(it["size"] for it in listed)
    assert {it["path"] for it in listed} | set(verified["extra"]) == set(story.witness.files())
    manifests = 2 * len({(it["repo"], it["run"]) for it in listed})  # of runs that are complete
    assert len(listed) <= verified["ok"] <= len(listed) + manifests
    assert story.told("du")["bytes"] == size <= BOUND
    assert story.told("prune", "--dry-run")["refused"] == []
    for sums in story.program.root.glob("*/*/*/SHA256SUMS"):
        command = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
        assert subprocess.run(command, cwd=sums.parent, check=False).returncode == 0, sums
