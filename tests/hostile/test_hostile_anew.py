"""A repository that is deleted and made anew under its name: its runs count from 1 again.

Guards against: old bytes, manifests or links as a new run's, also where artifacts carry no dates.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest
from behaviours import halting, store_error
from hostile_service import File, Run

if TYPE_CHECKING:
    from trial import Trial

LATER = "2026-12-11T10:00:00Z"
TOLD = "its repository was made anew"


def old(run: int) -> bytes:
    return b"old, of run %d" % run


def new(run: int) -> bytes:
    return b"new, of run %d!" % run


def undated(content: bytes) -> File:
    return File(content, updated_at="")


def mirror_old(trial: Trial, runs: int) -> None:
    for run in range(1, runs + 1):
        trial.service.run({"app.bin": undated(old(run)), "old.txt": b"only the old"}, str(run))
        trial.also_right |= {old(run), new(run), b"only the old"}
    assert trial.sync().exit_code == 0


def make_anew(trial: Trial, *runs: int, **about: str) -> list[Run]:
    trial.service.repos.clear()
    made = [trial.service.run({"app.bin": undated(new(run))}, str(run)) for run in runs]
    for run in made:
        for name, value in ({"created_at": LATER} | about).items():
            setattr(run, name, value)
    return made


def kept(trial: Trial) -> dict[str, bytes]:
    """What was moved aside, by its path below the folder of the move."""
    folder = trial.root / ".artifact-sync" / "displaced"
    files = (path for path in folder.rglob("*") if path.is_file())
    return {"/".join(path.relative_to(folder).parts[3:]): path.read_bytes() for path in files}


def latest(trial: Trial) -> list[str]:
    links = (trial.root / "org" / "repo" / name for name in ("latest", "latest-success"))
    return [str(link.readlink()) for link in links]


@pytest.mark.parametrize(
    "about", [{"created_at": LATER}, {"created_at": "2026-11-20T10:00:00Z", "id": "b"}]
)
def test_its_runs_get_files_and_manifests_of_their_own(trial: Trial, about: dict[str, str]) -> None:
    mirror_old(trial, 5)
    assert latest(trial) == ["5", "5"]
    if "id" in about:
        for run in trial.service.repos["org/repo"]:
            run.id = "a"
        assert trial.sync().exit_code == 0
    make_anew(trial, 1, 2, **about)
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.counts[1]) == (0, 2)
    assert outcome.stderr.count(TOLD) == 2
    for run in (1, 2):
        assert trial.has(new(run), run=str(run))
        assert not trial.place("old.txt", str(run)).exists()
        assert kept(trial)[f"{run}/build/linux/compile/app.bin"] == old(run)
        assert f"{run}/SHA256SUMS" in kept(trial)
    assert all(trial.has(old(run), run=str(run)) for run in (3, 4, 5))
    if "id" not in about:
        assert latest(trial) == ["2", "2"]
    again = trial.sync()
    assert (again.exit_code, again.counts[1]) == (0, 0)
    assert TOLD not in again.stderr


def test_a_run_that_has_not_finished_or_is_not_wanted_takes_the_place_too(trial: Trial) -> None:
    mirror_old(trial, 3)
    first, second = make_anew(trial, 1, 2)
    first.status = "processing"
    second.status = "failed"
    second.files = []
    assert trial.sync().exit_code == 0
    assert [path.name for path in (trial.root / "org" / "repo").iterdir() if path.is_dir()]
    assert not trial.place(run="1").exists()
    assert not trial.place(run="2").exists()
    assert latest(trial) == ["3", "3"]
    first.status = "success"
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.stderr.count(TOLD)) == (0, 0)
    assert trial.has(new(1))


def test_a_run_that_is_named_is_told_apart_without_a_list(trial: Trial) -> None:
    mirror_old(trial, 1)
    make_anew(trial, 1)
    assert trial.sync("--run", "1").stderr.count(TOLD) == 1
    assert trial.has(new(1))


def test_old_bytes_are_no_stand_in_for_what_cannot_be_had(trial: Trial) -> None:
    mirror_old(trial, 1)
    (run,) = make_anew(trial, 1)
    run.files[0][1].behaviour = store_error(404, "NoSuchKey")
    assert trial.sync().exit_code != 0
    assert not trial.place().exists()
    assert kept(trial)["1/build/linux/compile/app.bin"] == old(1)


def test_a_dry_run_plans_it_and_moves_nothing(trial: Trial) -> None:
    mirror_old(trial, 1)
    make_anew(trial, 1)
    outcome = trial.sync("--dry-run")
    assert (outcome.exit_code, outcome.report["found"], outcome.report["kept"]) == (1, 1, 0)
    assert trial.has(old(1))
    assert trial.sync().counts[1] == 1


def test_a_disk_that_refuses_the_move_is_told_and_the_next_pass_goes_on(trial: Trial) -> None:
    mirror_old(trial, 1)
    make_anew(trial, 1)
    displaced = trial.root / ".artifact-sync" / "displaced"
    displaced.rmdir()
    displaced.write_bytes(b"in the way")
    assert trial.sync().exit_code == 6
    assert not trial.manifest().exists() or trial.has(old(1))
    displaced.unlink()
    assert trial.sync().exit_code == 0
    assert trial.has(new(1))


def test_what_was_staged_of_the_earlier_run_is_not_gone_on_with(trial: Trial) -> None:
    tag = {"ETag": '"x"'}
    before, after = old(1) * 300_000, new(1) * 300_000
    trial.env["DOWNLOAD__TIMEOUT"] = "10m"
    trial.service.run({"app.bin": File(before, halting(len(before) // 2), tag, updated_at="")})
    process = trial.start()
    while not trial.staged():
        time.sleep(0.01)
    trial.finish(process, signal.SIGKILL)
    trial.service.repos.clear()
    run = trial.service.run({"app.bin": File(after, headers=tag, updated_at="")})
    run.created_at = LATER
    assert trial.sync().exit_code == 0
    assert trial.has(after)
