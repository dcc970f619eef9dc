"""A disk that is full, read-only or somebody else's: exit 6 or 7, nothing lost, and then on."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

import pytest
from behaviours import Visit, honest
from forked_program import call_program
from hostile_service import File, Service
from small_disk import remount, tmpfs
from trial import REPOSITORY, Trial, noise

SMALL = b"built at night"

Mount = Callable[[str], Path]


@cache
def big() -> bytes:
    """20 MiB, made when they are needed: every worker imports this file."""
    return noise(6, 20 << 20)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Mount]:
    """Mounts a tmpfs with these options over a guarded mirror's folder, made for the purpose."""
    with ExitStack() as stack:
        folder = tmp_path / "guarded" / "mirror"
        yield lambda options: stack.enter_context(tmpfs(folder, options))


@pytest.fixture
def small_disk(service: Service, mounted: Mount) -> Trial:
    """A trial whose mirror is a disk of 8 MiB."""
    return Trial(service, mounted("size=8m").parent)


@pytest.mark.root
def test_a_full_disk_keeps_the_partial_and_a_bigger_one_goes_on_with_it(small_disk: Trial) -> None:
    file = small_disk.service.file(big())
    outcome = small_disk.sync()
    assert (outcome.exit_code, outcome.reasons) == (6, ["no_space"])
    assert small_disk.has_nothing()
    staged = small_disk.staged()
    assert staged > 1 << 20
    remount(small_disk.root, "size=64m")
    assert small_disk.sync().counts == (1, 1, 0, 0)
    assert small_disk.has(big())
    assert file.visits[-1].header("range") == f"bytes={staged}-"


@pytest.mark.root
def test_a_full_disk_fails_what_is_too_big_and_keeps_what_has_come(small_disk: Trial) -> None:
    small_disk.service.run({"big.bin": big(), "app.bin": SMALL})
    small_disk.env["DOWNLOAD__JOBS"] = "1"
    outcome = small_disk.sync()
    assert outcome.exit_code == 6
    assert "big.bin" in [failure["local_path"] for failure in outcome.failures]
    assert set(outcome.reasons) == {"no_space"}
    remount(small_disk.root, "size=64m")
    assert small_disk.sync().exit_code == 0
    assert small_disk.has(SMALL)
    assert small_disk.has(big(), "big.bin")


@pytest.mark.root
def test_a_disk_without_a_free_byte_is_told_as_such(small_disk: Trial) -> None:
    small_disk.service.file(SMALL)
    ballast = small_disk.root / "ballast"
    ballast.write_bytes(bytes(1))
    small_disk.also_right = {bytes(1)}
    with ballast.open("wb", buffering=0) as file:
        size = 0
        try:
            while True:
                size += file.write(bytes(4096))
        except OSError:
            pass
    small_disk.also_right = {bytes(size)}
    outcome = small_disk.sync()
    assert outcome.exit_code == 6
    assert set(outcome.reasons) <= {"no_space", "disk"}
    ballast.unlink()
    assert small_disk.sync().exit_code == 0
    assert small_disk.has(SMALL)


@pytest.mark.root
def test_a_disk_without_inodes_is_told_as_such(service: Service, mounted: Mount) -> None:
    trial = Trial(service, mounted("size=64m,nr_inodes=40").parent)
    trial.service.run({f"{n}/app.bin": SMALL for n in range(60)})
    outcome = trial.sync()
    assert outcome.exit_code == 6
    assert set(outcome.reasons) <= {"no_space", "disk"}
    remount(trial.root, "nr_inodes=10000")
    assert trial.sync().exit_code == 0
    assert len(trial.files()) == 60


@pytest.mark.root
@pytest.mark.parametrize("used_before", [False, True])
def test_a_read_only_disk_is_told_as_such(small_disk: Trial, *, used_before: bool) -> None:
    small_disk.service.file(SMALL)
    if used_before:
        assert small_disk.sync().exit_code == 0
    small_disk.service.run({"app.bin": b"new"}, "2")
    remount(small_disk.root, "ro")
    outcome = small_disk.sync()
    assert outcome.exit_code == 6
    assert set(outcome.reasons) == {"disk"}
    remount(small_disk.root, "rw")
    assert small_disk.sync().exit_code == 0
    assert small_disk.has(b"new", run="2")


def test_min_free_that_is_reached_is_no_space_and_without_it_the_pass_goes_on(
    trial: Trial,
) -> None:
    trial.service.file(SMALL)
    trial.env["MIRROR__MIN_FREE"] = "100000TiB"
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (6, ["no_space"])
    assert trial.has_nothing()
    del trial.env["MIRROR__MIN_FREE"]
    assert trial.sync().exit_code == 0
    assert trial.has(SMALL)


@pytest.mark.root
def test_min_free_that_is_reached_midway_keeps_the_partial(
    service: Service, mounted: Mount
) -> None:
    trial = Trial(service, mounted("size=64m").parent, {"MIRROR__MIN_FREE": "55MiB"})
    file = trial.service.file(big())
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (6, ["no_space"])
    staged = trial.staged()
    assert staged > 1 << 20
    assert shutil.disk_usage(trial.root).free >= 55 << 20
    trial.env["MIRROR__MIN_FREE"] = "1MiB"
    assert trial.sync().exit_code == 0
    assert trial.has(big())
    assert file.visits[-1].header("range") == f"bytes={staged}-"


def test_a_root_that_is_a_file_is_left_alone(trial: Trial) -> None:
    trial.service.file(SMALL)
    trial.root.write_bytes(SMALL)
    process = trial.start()
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode in {2, 6}
    assert "Traceback" not in stdout + stderr
    assert trial.root.read_bytes() == SMALL


def test_the_second_of_two_processes_exits_7_and_names_the_first(trial: Trial) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def hold(visit: Visit) -> None:
        inside.set()
        go_on.wait(30)
        honest(visit)

    trial.env["DOWNLOAD__TIMEOUT"] = "30s"
    trial.service.run({"app.bin": File(SMALL, hold)})
    first = trial.start()
    try:
        assert inside.wait(30)
        second = trial.sync()
        assert second.exit_code == 7
        assert str(first.pid) in second.stderr + str(second.failures)
    finally:
        go_on.set()
        trial.finish(first)
    assert first.returncode == 0
    assert trial.has(SMALL)
    assert trial.sync().exit_code == 0


def fill(folder: Path) -> None:
    """Take all that is free there."""
    with suppress(OSError), (folder / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@pytest.mark.root
def test_runs_can_go_from_a_disk_without_a_free_byte(small_disk: Trial) -> None:
    for number in range(3):
        small_disk.service.run({"app.bin": noise(number, 100_000)})
    assert small_disk.sync().exit_code == 0
    fill(small_disk.root)
    small_disk.env |= {"KEEP__LAST": "1", "KEEP__MAX_SHARE": "100%"}
    arguments = ["prune", "org/repo", "--root", str(small_disk.root), "--json"]
    said = call_program(arguments, REPOSITORY, small_disk.environment(), 60)
    assert said.code == 0, said
    assert {it.name for it in small_disk.files()} == {"app.bin", "ballast"}
    assert len(small_disk.files()) == 2


# Guards against: a warning, and a line of the summary, for each file that finds no room.
@pytest.mark.root
def test_a_disk_that_fills_up_is_told_once_with_how_many_files_it_concerns(
    small_disk: Trial,
) -> None:
    def filled(visit: Visit) -> None:
        fill(small_disk.root)
        honest(visit)

    small_disk.service.run({f"{n}/app.bin": File(noise(n, 1000), filled) for n in range(30)})
    arguments = [it for it in small_disk.arguments() if it != "--json"]
    said = call_program(arguments, REPOSITORY, small_disk.environment(), 60)
    assert said.code == 6
    assert said.err.count("failures could not be recorded") <= 1, said.err
    head, *causes, _ = said.out.splitlines()
    assert len(causes) == 1
    failed = int(head.partition(" failed")[0].rpartition(" ")[2])
    assert causes[0].endswith(f"[no_space] (and {failed - 1} more of this cause)")
