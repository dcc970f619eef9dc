"""The daemon for some minutes with everything that can happen to it, told again by ``SOAK_SEED``.

``make soak`` runs the long one, ``make test`` the short one.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING

import pytest
from soak_daemon import COMPLETE, Life, Program, Settings, wait_for
from soak_story import Story
from soak_witness import Witness
from soak_world import World, scenario

from artifact_sync.simulator import running_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")

SEED = os.environ.get("SOAK_SEED") or str(random.SystemRandom().randrange(10**6))
SECONDS = float(os.environ.get("SOAK_SECONDS") or 180)
WATCH = os.environ.get("SOAK_WATCH") or "restore"
"""``restore``: what is damaged by hand comes back by itself. ``off``: what a pass can see of it."""
TOKEN = "pv1_soak-first-token"
CAUGHT_UP = 90.0
"""Seconds in which everything is here once nothing goes wrong any more."""


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + 600)
def test_nothing_is_lost_and_nothing_leaks_whatever_happens(tmp_path: Path) -> None:
    with telling(tmp_path, SEED) as story:
        carry_on(story, SECONDS / 3, SECONDS, rests=4)
        come_to_an_end(story)
        check_memory(story.program.life)


@pytest.mark.timeout(180)
def test_some_seconds_of_everything_at_once(tmp_path: Path) -> None:
    with telling(tmp_path, os.environ.get("SOAK_SEED") or "7") as story:
        carry_on(story, 8, 12, rests=0)
        come_to_an_end(story)


@contextmanager
def telling(folder: Path, seed: str) -> Iterator[Story]:
    """A story about a daemon that has just started. When it ends badly, what led to it is told."""
    sys.stdout.write(f"\nthe story with the seed {seed}, mirror.watch = {WATCH}\n")
    rng = random.Random(seed)  # noqa: S311 - a story, not a secret
    with running_in_thread(scenario(TOKEN)) as service:
        program = Program(folder, service.base_url, TOKEN, Settings(watch=WATCH))
        world = World(service.simulator, rng)
        story = Story(program, world, Witness(program, world), rng)
        try:
            program.start()
            yield story
        except BaseException as error:
            error.add_note(what_led_to_it(story, seed))
            raise
        finally:
            if program.process is not None:
                program.process.kill()
                program.process.wait()
        sys.stdout.write(table(story))


def carry_on(story: Story, killing: float, seconds: float, *, rests: int) -> None:
    """Let the story go on for so many seconds; ``killing``: as long as processes are killed."""
    began = time.monotonic()
    pauses = [killing + (seconds - killing) * n / (rests + 1) for n in range(1, rests + 1)]
    looked = 0.0
    while (passed := time.monotonic() - began) < seconds:
        story.killing = passed < killing
        story.step()
        if passed - looked >= 1:
            looked = passed
            story.program.sample()
            story.witness.look()
        if pauses and passed >= pauses[0]:
            pauses.pop(0)
            story.take_stock()


def come_to_an_end(story: Story) -> None:
    """Nothing goes wrong any more: the mirror becomes what the service holds, all by itself."""
    program, witness = story.program, story.witness
    story.calm_down()
    story.finish_everything()
    wait_for("every repository is known", lambda: set(story.world.repos) <= program.known(), 30)
    story._new_token()  # after it everything known is looked at, also what was put off for hours
    story.pass_time(4)  # the daemon has seen the new one before the old one is revoked
    story.calm_down()
    left: list[str] = []

    def all_is_here() -> bool:
        left[:] = witness.differences(expected_to_differ(story))
        return not left

    try:
        took = wait_for("all is here", all_is_here, CAUGHT_UP)
    except AssertionError as error:
        error.add_note("\n".join(left[:40]))
        raise
    story.tell("all is here", f"after {took:.1f} s")
    look_again_at_what_was_replaced(story)
    check_descriptors(story)
    witness.check_secrets(str(program.status()) + program.ask("GET", "/metrics")[1], "status")
    assert program.ask("GET", "/readyz")[0] == 200
    program.send(signal.SIGTERM)
    assert program.ended("SIGTERM") == COMPLETE
    check_what_is_left(story)


def expected_to_differ(story: Story) -> set[str]:
    """Of another version, or of other bytes but the right size, where no pass would look."""
    anew = tuple(f"{repo}/{slug}/" for repo, slug in story.world.runs_anew())
    found = {it for it in story.witness.files() if it.startswith(anew)}
    hand = story.witness.changed_by_hand()
    return found | (hand if WATCH == "off" else hand & story.witness.unseen)


def look_again_at_what_was_replaced(story: Story) -> None:
    """A run that was settled is looked at again when its user says so."""
    for repo, slug in sorted(story.world.runs_anew()):
        code, said = story.program.run("sync", "--json", repo, "--run", slug)
        assert code == COMPLETE, (repo, slug, code, said)


def check_what_is_left(story: Story) -> None:
    """Of the mirror, the ledger, staging and the log, once the daemon has ended."""
    program, witness = story.program, story.witness
    if hand := witness.changed_by_hand():  # to the same size: only hashing finds that
        assert WATCH == "off" or hand <= witness.unseen, hand
        code, said = program.run("verify", "--repair")
        assert code == COMPLETE, said
    assert witness.differences() == []
    code, said = program.run("verify", "--json")
    verdict = json.loads(said)
    assert [code, verdict["missing"], verdict["changed"], verdict["extra"]] == [0, [], [], []], said
    story.counts["runs mirrored"] = witness.check_sums()
    witness.look()
    witness.check_ledger()
    witness.check_words(program.log.read_text(encoding="utf-8", errors="replace"), "the log")
    staged, sidecars = witness.staged()
    broken_off = story.counts["kill"] + story.counts["hurry"]
    assert staged == []
    assert sidecars <= broken_off, "a stop in order leaves nothing in staging"


def check_descriptors(story: Story) -> None:
    """What is open at rest does not grow; sockets are those of the pools."""
    last, first = story.take_stock(), story.program.life.quiet[0]
    grown = {
        kind: (first.get(kind, 0), count)
        for kind, count in last.items()
        if kind not in {"socket", "threads"} and count > first.get(kind, 0)
    }
    assert not grown, grown
    assert last.get("socket", 0) <= 40, last
    assert last["threads"] <= 32, last
    assert not [kind for kind in last if "staging" in kind], last


def check_memory(life: Life) -> None:
    """What it takes in the last third of the last process's life is what it took in the second."""
    third = life.samples[-1].seconds / 3
    second = [it.rss for it in life.samples if third <= it.seconds < 2 * third]
    last = [it.rss for it in life.samples if it.seconds >= 2 * third]
    assert median(last) <= 1.1 * median(second), (median(second), median(last))


def what_led_to_it(story: Story, seed: str) -> str:
    events = "\n".join(story.events)
    log = story.program.log.read_text(encoding="utf-8", errors="replace")[-12_000:]
    return f"seed {seed}\n{table(story)}\nlast events:\n{events}\n\nlog:\n{log}"


def table(story: Story) -> str:
    program = story.program
    seconds = time.monotonic() - story._began
    files = story.witness.files()
    size = sum((program.root / it).stat().st_size for it in files)
    witness, lives = story.witness, program.lives
    lines = [
        f"{seconds:.0f} s, {len(lives)} processes, CPU {sum(it.cpu for it in lives):.0f} s",
        f"{story.world.made} runs made, {len(files)} files mirrored, {size >> 20} MiB",
        f"{witness.looks} looks at the mirror, {witness.manifests} at manifests",
        ", ".join(f"{what} {count}" for what, count in sorted(story.counts.items())),
        *(_life(life) for life in lives),
    ]
    return "\n".join(lines) + "\n"


def _life(life: Life) -> str:
    if not life.samples:
        return f"  process {life.pid}: {life.ended}"
    every = max(1, len(life.samples) // 12)
    rss = " ".join(f"{it.rss >> 10}" for it in life.samples[::every])
    seconds = life.samples[-1].seconds
    return (
        f"  process {life.pid}: {seconds:.0f} s, CPU {life.cpu:.1f} s, RSS MiB {rss},"
        f" {life.samples[-1].threads} threads, {life.ended or 'runs'}"
    )
