"""Killed and interrupted midway: a crash costs repeated work only, and not much of it."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from functools import cache, partial
from typing import TYPE_CHECKING

import pytest
import tree
from behaviours import halting, held, honest, stall
from hostile_service import File
from trial import Trial, noise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")

MIB = 1 << 20


@cache
def big() -> bytes:
    """64 MiB, made when they are needed: every worker imports this file."""
    return noise(7, 64 * MIB)


def wait_until(happens: Callable[[], bool]) -> None:
    """Wait for something that a running program is about to do."""
    end = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


def has_staged(trial: Trial, count: int) -> bool:
    return trial.staged() >= count


def rests(trial: Trial, count: int) -> bool:
    """Whether so much of the only staged file is written, and its checkpoint, too."""
    for sidecar, lines in tree.contents(tree.matching(trial.root, ".artifact-sync/staging/*.json")):
        _, _, last = lines.rstrip(b"\n").rpartition(b"\n")
        written = tree.size_of([sidecar.with_suffix(".part")])
        return last.endswith(b"}") and json.loads(last).get("offset") == written >= count
    return False


def sizes(trial: Trial) -> list[int]:
    """Of the staged files; of as many as there are ways to spoil one, at the least."""
    parts = tree.matching(trial.root, ".artifact-sync/staging/*.part")
    found = [tree.size_of([part]) for part in parts]
    return [*found, *[0] * (len(SPOILS) - len(found))]


@pytest.mark.slow
def test_after_sigkill_at_most_8_mebibytes_are_fetched_again(trial: Trial) -> None:
    trial.env["DOWNLOAD__TIMEOUT"] = "10m"
    file = trial.service.file(big(), halting(40 * MIB))
    process = trial.start()
    wait_until(partial(has_staged, trial, 36 * MIB))
    got = file.served
    trial.finish(process, signal.SIGKILL)
    assert trial.has_nothing()
    file.behaviour, file.served = honest, 0
    assert trial.sync().counts == (1, 1, 0, 0)
    assert trial.has(big())
    assert file.visits[-1].header("range") is not None
    assert file.served <= len(big()) - got + 8 * MIB


@pytest.mark.slow
def test_killed_again_and_again_it_still_arrives(trial: Trial) -> None:
    trial.env["DOWNLOAD__TIMEOUT"] = "10m"
    file = trial.service.file(big())
    for mark in (10, 25, 45):
        file.behaviour = halting((mark + 4) * MIB)
        process = trial.start()
        wait_until(partial(has_staged, trial, mark * MIB))
        trial.finish(process, signal.SIGKILL)
        assert trial.has_nothing()
    file.behaviour = honest
    assert trial.sync().exit_code == 0
    assert trial.has(big())
    assert file.served <= len(big()) + 3 * 8 * MIB


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0.0, 0.3])
def test_killed_among_many_small_files_the_next_pass_is_as_if_nothing_had_happened(
    trial: Trial, moment: float
) -> None:
    files = {f"f/{n}.bin": File(big()[n : n + 20_000]) for n in range(300)}
    trial.service.run(files)
    process = trial.start()
    wait_until(lambda: len(trial.service.origin.requests) > moment * 300)
    trial.finish(process, signal.SIGKILL)
    outcome = trial.sync()
    found, downloaded, kept, failed = outcome.counts
    assert (outcome.exit_code, found, downloaded + kept, failed) == (0, 300, 300, 0)
    assert all(trial.has(file.content, name) for name, file in files.items())
    assert trial.displaced() == []
    assert trial.staged() == 0


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_midway_it_says_so_and_can_be_gone_on_with(
    trial: Trial, signum: signal.Signals
) -> None:
    trial.env["DOWNLOAD__TIMEOUT"] = "10m"
    content = big()[: 16 * MIB]
    file = trial.service.file(content, halting(8 * MIB))
    process = trial.start()
    wait_until(lambda: trial.staged() >= 4 * MIB)
    begin = time.monotonic()
    stdout = trial.finish(process, signum)
    assert process.returncode == 130
    assert time.monotonic() - begin < 30
    report = json.loads(stdout)
    assert stdout.count("\n") == 1
    assert (report["exit_code"], report["complete"]) == (130, False)
    assert trial.has_nothing()
    staged = trial.staged()
    assert staged >= 4 * MIB
    file.behaviour = honest
    assert trial.sync().counts == (1, 1, 0, 0)
    assert trial.has(content)
    assert file.visits[-1].header("range") == f"bytes={staged}-"


def test_interrupted_while_nothing_comes_it_ends_at_once(trial: Trial) -> None:
    trial.env["DOWNLOAD__TIMEOUT"] = "10m"
    file = trial.service.file(big()[:MIB], stall(seconds=600))
    process = trial.start()
    wait_until(lambda: len(file.visits) == 1)
    begin = time.monotonic()
    stdout = trial.finish(process, signal.SIGINT)
    assert (process.returncode, json.loads(stdout)["exit_code"]) == (130, 130)
    assert time.monotonic() - begin < 30


def test_interrupted_while_the_service_says_nothing_it_ends_at_once(trial: Trial) -> None:
    trial.env["DOWNLOAD__TIMEOUT"] = "10m"
    trial.service.api_behaviour["*"] = stall(seconds=600)
    process = trial.start()
    wait_until(lambda: len(trial.service.api.requests) == 1)
    stdout = trial.finish(process, signal.SIGINT)
    assert (process.returncode, json.loads(stdout)["exit_code"]) == (130, 130)


def _flip(part: Path, _: Path) -> None:
    with part.open("r+b") as file:
        file.seek(MIB // 2)
        byte = file.read(1)
        file.seek(MIB // 2)
        file.write(bytes([byte[0] ^ 1]))


def _append(part: Path, _: Path) -> None:
    with part.open("ab") as file:
        file.write(b"torn" * 1000)


def _shorten(part: Path, _: Path) -> None:
    with part.open("r+b") as file:
        file.truncate(part.stat().st_size // 2 + 1)


def _tear_the_sidecar(_: Path, sidecar: Path) -> None:
    with sidecar.open("r+b") as file:
        file.truncate(sidecar.stat().st_size - 10)


def _empty_the_sidecar(_: Path, sidecar: Path) -> None:
    sidecar.write_bytes(b"")


def _lose_the_sidecar(_: Path, sidecar: Path) -> None:
    sidecar.unlink()


def _lose_the_part(part: Path, _: Path) -> None:
    part.unlink()


SPOILS = (
    _flip,
    _append,
    _shorten,
    _tear_the_sidecar,
    _empty_the_sidecar,
    _lose_the_sidecar,
    _lose_the_part,
)


def test_what_a_power_cut_leaves_in_staging_never_gets_into_a_file(trial: Trial) -> None:
    """Each of the staged files is spoilt in another way."""
    contents = {f"{n}.bin": noise(100 + n, 4 * MIB) for n in range(len(SPOILS))}
    files = {name: File(c, stall(after=7 * MIB // 2)) for name, c in contents.items()}
    trial.env["DOWNLOAD__TIMEOUT"] = "30s"
    trial.service.run(files)
    process = trial.start()
    wait_until(lambda: all(size >= 2 * MIB for size in sizes(trial)))
    trial.finish(process, signal.SIGKILL)
    parts = sorted((trial.root / ".artifact-sync").rglob("*.part"))
    for part, spoil in zip(parts, SPOILS, strict=True):
        spoil(part, part.with_suffix(".json"))
    for file in files.values():
        file.behaviour = honest
    assert trial.sync().exit_code == 0
    assert all(trial.has(content, name) for name, content in contents.items())
    assert trial.staged() == 0


# Guards against: a lock by a name that can vanish, so that two passes write the same files.
@pytest.mark.parametrize("pattern", ["lock", "id", "*.sqlite-shm"])
def test_a_second_pass_is_refused_whatever_is_removed_beneath_the_first(
    trial: Trial, pattern: str
) -> None:
    content, refused = big()[: 16 * MIB], threading.Event()
    file = trial.service.file(content, held(8 * MIB, refused))
    first = trial.start()
    wait_until(lambda: trial.staged() >= 2 * MIB)
    for path in (trial.root / ".artifact-sync").glob(pattern):
        path.unlink()
    assert trial.sync().exit_code == 7
    refused.set()
    trial.finish(first)
    assert first.returncode == 0
    assert trial.has(content)
    assert len(file.visits) == 1


# Guards against: a file published that is not what was hashed.
@pytest.mark.parametrize("spoil", [_flip, _shorten, _lose_the_part])
def test_staged_bytes_that_somebody_spoils_meanwhile_are_fetched_anew(
    trial: Trial, spoil: Callable[[Path, Path], None]
) -> None:
    content, spoilt = big()[: 8 * MIB], threading.Event()
    file = trial.service.file(content, held(4 * MIB, spoilt))
    process = trial.start()
    wait_until(lambda: rests(trial, 15 * MIB // 4))  # no byte is written while it is spoilt
    (part,) = (trial.root / ".artifact-sync").rglob("*.part")
    spoil(part, part.with_suffix(".json"))
    file.behaviour = honest
    spoilt.set()
    trial.finish(process)
    assert process.returncode == 0
    assert trial.has(content)
    assert len(file.visits) == 2


# Guards against: what a crash leaves in staging and nobody takes away.
def test_what_a_crash_has_left_in_staging_is_gone_with_the_next_pass(trial: Trial) -> None:
    seen = threading.Event()
    trial.service.file(big()[: 2 * MIB], held(3 * MIB // 2, seen))
    process = trial.start()
    staging = trial.root / ".artifact-sync" / "staging"
    wait_until(lambda: trial.staged() >= MIB and bool(list(staging.glob("*.json"))))
    (sidecar,) = staging.glob("*.json")
    left = sidecar.read_bytes()
    seen.set()
    trial.finish(process)
    assert process.returncode == 0
    sidecar.write_bytes(left)  # as if it had been killed before this was removed
    (staging / "0123456789abcdef.new").symlink_to("nowhere")
    assert trial.sync().exit_code == 0
    assert list(staging.iterdir()) == []
