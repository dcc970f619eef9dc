"""``sync`` as people type it, against the simulator: what it selects, says and leaves."""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from user import (
    ARCHIVE,
    DAY,
    PAGE,
    REPORT,
    SIDECAR,
    TOKEN,
    User,
    contents,
    organisation,
    run_of_four,
    wait_until,
)

from artifact_sync.simulator import (
    Cube,
    Files,
    Repo,
    Running,
    Scenario,
    ScenarioApi,
    ScenarioArtifact,
    ScenarioRun,
    running_in_thread,
)
from artifact_sync.simulator.faults import Flip, Stall

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROCKET = "acme/rocket"
MIB = 1 << 20
KEYS = [
    *("complete", "exit_code", "runs", "found", "downloaded", "kept", "failed", "bytes"),
    *("failures", "expired", "lost"),
]
FAILURE_KEYS = ["repo", "run", "workflow", "task", "cube", "local_path", "reason", "message"]
ONE_TRY = {"ARTIFACT_SYNC_DOWNLOAD__ATTEMPTS": "1"}
TWO_TRIES = {"ARTIFACT_SYNC_DOWNLOAD__ATTEMPTS": "2"}

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals as POSIX has")


def plain(local_path: str) -> str:
    return local_path.removeprefix("./")


def names(user: User) -> set[tuple[str, str]]:
    """Run and ``local_path`` of what is mirrored of the rocket."""
    parts = (path.split("/", 6) for path in user.files(ROCKET))
    return {(part[2], part[6]) for part in parts}


def test_without_configuration_everything_finished_comes_and_the_next_pass_is_one_request(
    user: User, service: Running
) -> None:
    right = contents(service.simulator, ROCKET)
    size = sum(map(len, right.values()))
    done = user.sync(ROCKET)
    assert done.code == 0
    assert done.out == (
        f"complete: 3 runs, 12 artifacts: 12 downloaded ({size / 1024:.1f} KiB), 0 kept,"
        " 1 not there yet\n"
    )
    # without a terminal there are lines and no bars
    line = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ info: acme/rocket run \d: complete, 4 files\n"
    assert re.fullmatch(f"({line}){{3}}", done.err)
    assert user.files() == right
    assert user.runs() == {"acme/rocket/1", "acme/rocket/2", "acme/rocket/3"}
    assert (user.root / ROCKET / "latest").readlink().name == "3"
    assert (user.root / ROCKET / "latest-success").readlink().name == "2"
    service.simulator.requests.clear()
    done = user.sync(ROCKET)
    assert (done.code, done.out) == (
        0,
        "complete: 3 runs, 12 artifacts: 0 downloaded (0 B), 12 kept, 1 not there yet\n",
    )
    assert (service.simulator.requests.api, service.simulator.requests["file"]) == (1, 0)
    assert user.files() == right


def test_a_star_stands_for_every_repository_of_the_organisation(
    user: User, service: Running
) -> None:
    done = user.sync("acme/*", "--json")
    assert (done.code, done.counts) == (0, (16, 16, 0, 0))
    assert user.files() == contents(service.simulator)


def test_a_configuration_says_what_comes_and_a_name_of_its_own_goes_before_a_star(
    user: User,
) -> None:
    file = user.folder / "mine.toml"
    file.write_text(
        """
        [mirror]
        root = "mirror"
        [[repo]]
        name = "acme/*"
        include = ["*.tar.gz"]
        [[repo]]
        name = "acme/website"
        workflows = ["docs"]
        """
    )
    done = user.run("sync", "--config", file)
    assert (done.code, done.err.count(": complete, ")) == (0, 4)
    assert names(user) == {(run, plain(ARCHIVE)) for run in "123"}
    assert list(user.files("acme/website")) == [f"acme/website/1/docs/site/pages/{PAGE}"]
    again = user.run("sync", "acme/website", "--dry-run", ARTIFACT_SYNC_CONFIG=str(file))
    assert again.code == 0
    other = user.run("sync", "acme/website", "--config", file, "--root", "elsewhere", "--json")
    assert other.counts == (1, 1, 0, 0)
    assert (user.folder / "elsewhere/acme/website/1/SHA256SUMS").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ["--run", "1", "--run=3", "--workflow", "docs"],
            {("1", PAGE), ("3", PAGE)},
        ),
        (
            ["--since", "7d", "--include", "site", "--include", "*.xml"],
            {("2", PAGE), ("2", REPORT), ("3", PAGE), ("3", REPORT)},
        ),
        (
            ["--run", "2", "--exclude", "*.sha256", "--exclude", "/report/", "--workflow", "c?"],
            {("2", plain(ARCHIVE))},
        ),
    ],
)
def test_only_what_is_selected_comes(
    user: User, options: list[str], expected: set[tuple[str, str]]
) -> None:
    done = user.sync(ROCKET, *options, "--json")
    assert (done.code, done.counts) == (0, (len(expected), len(expected), 0, 0))
    assert names(user) == expected
    assert user.runs() == {f"{ROCKET}/{run}" for run, _ in expected}


def test_a_wider_selection_brings_the_rest_and_keeps_what_is_there(user: User) -> None:
    assert user.sync(ROCKET, "--workflow", "docs", "--json").counts == (3, 3, 0, 0)
    assert user.sync(ROCKET, "--json").counts == (12, 9, 3, 0)
    assert len(user.runs()) == 3


def test_a_run_that_is_named_but_is_not_there_or_not_finished_is_a_failure(user: User) -> None:
    done = user.sync(ROCKET, "--run", "4", "--run", "99", "--run", "1", "--json")
    assert (done.code, done.counts) == (1, (4, 4, 0, 2))
    told = {failure["run"]: failure["reason"] for failure in done.answer["failures"]}
    assert told == {"4": "unfinished", "99": "not_found"}
    assert user.runs() == {f"{ROCKET}/1"}


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    """Everything below a folder by size and time; not what SQLite keeps for its readers."""
    found = {}
    for path in root.rglob("*"):
        if not path.name.endswith(("-wal", "-shm")):
            about = path.lstat()
            found[str(path)] = (about.st_size, about.st_mtime_ns) if path.is_file() else (0, 0)
    return found


def test_a_dry_run_tells_what_would_come_and_writes_nothing(user: User) -> None:
    done = user.sync(ROCKET, "--dry-run", "--run", "2")
    assert done.code == 1
    assert done.out.splitlines() == [
        "acme/rocket run 2 (success): 0 kept",
        f"  get  acme/rocket/2/ci/build/build/{plain(ARCHIVE)}  (new)",
        f"  get  acme/rocket/2/ci/build/build/{plain(SIDECAR)}  (new)",
        f"  get  acme/rocket/2/ci/build/build/{REPORT}  (new)",
        f"  get  acme/rocket/2/docs/site/pages/{PAGE}  (new)",
        "incomplete: 1 run, 4 artifacts: 4 would be downloaded, 0 are there",
    ]
    assert not user.root.exists()
    assert user.sync(ROCKET, "--run", "2", "-q").code == 0
    before = snapshot(user.root)
    done = user.sync(ROCKET, "--dry-run", "--run", "2")
    assert done.code == 0
    assert done.out.splitlines() == [
        "acme/rocket run 2 (success): 4 kept",
        "complete: 1 run, 4 artifacts: 0 would be downloaded, 4 are there",
    ]
    done = user.sync(ROCKET, "--dry-run", "--json")
    assert (done.code, list(done.answer), done.counts) == (1, [*KEYS, "plan"], (12, 0, 4, 0))
    assert len(done.answer["plan"]) == 8
    assert snapshot(user.root) == before


def test_the_plan_of_a_dry_run_in_json_is_what_the_pass_then_fetches(user: User) -> None:
    """Guards against: a plan that programs cannot read, or that says other than the pass does."""
    plan = user.sync(ROCKET, "--dry-run", "--json").answer["plan"]
    assert user.sync(ROCKET).code == 0
    paths = [it["path"] for it in plan]
    assert sorted(paths) == sorted(user.files())
    assert list(plan[0]) == [*FAILURE_KEYS[:6], "kind", "path", "size", "why"]
    assert {(it["size"], it["why"]) for it in plan} == {(None, "new")}
    (user.root / paths[0]).unlink()
    size = len(user.files()[paths[1]])
    (user.root / paths[1]).write_bytes(b"")
    again = user.sync(ROCKET, "--dry-run", "--json").answer["plan"]
    assert sorted(it["path"] for it in again) == sorted(paths[:2])
    assert {it["path"]: it["size"] for it in again}[paths[1]] == size
    assert user.sync(ROCKET).code == 0
    done = user.sync(ROCKET, "--dry-run", "--json")
    assert (done.code, done.answer["plan"]) == (0, [])


def test_json_is_one_object_with_just_these_keys_and_nothing_else_is_on_stdout(
    guest: User, own_service: Running
) -> None:
    own_service.simulator.remove_file("acme/website", "1", REPORT)
    done = guest.sync("acme/website", "--json", **TWO_TRIES)
    assert (done.code, list(done.answer)) == (1, KEYS)
    size = sum(map(len, contents(own_service.simulator, "acme/website").values()))
    assert done.answer | {"failures": []} == {
        "complete": False, "exit_code": 1, "runs": 1, "found": 4, "downloaded": 3, "kept": 0,
        "failed": 1, "bytes": size, "failures": [], "expired": 0, "lost": 0,
    }  # fmt: skip
    [failure] = done.answer["failures"]
    assert list(failure) == FAILURE_KEYS
    assert failure == {
        "repo": "acme/website", "run": "1", "workflow": "ci", "task": "build", "cube": "build",
        "local_path": REPORT, "reason": "gone",
        "message": "the file's server answered 404 (NoSuchKey)",
    }  # fmt: skip
    assert not (guest.root / "acme/website/1/SHA256SUMS").exists()
    again = guest.sync("acme/website", **TWO_TRIES)
    where = f"acme/website/1/ci/build/build/{REPORT}"
    assert again.out.splitlines() == [
        "incomplete: 1 run, 4 artifacts: 0 downloaded (0 B), 3 kept, 1 failed",
        f"  {where}: the file's server answered 404 (NoSuchKey) [gone]",
    ]


def test_quiet_says_nothing_and_verbose_names_each_file(user: User) -> None:
    done = user.sync("acme/website", "-q")
    assert (done.code, done.out, done.err) == (0, "", "")
    done = user.run("sync", "acme/website", "--root", "other", "-v")
    assert done.code == 0
    assert len(re.findall(r"debug: mirrored path=acme/website/1/", done.err)) == 4


def on_a_terminal(user: User, *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout, and what a terminal was sent that is stderr."""
    import fcntl  # noqa: PLC0415 - no such modules on Windows
    import pty  # noqa: PLC0415
    import termios  # noqa: PLC0415

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    command = user.command("sync", *arguments, "--root", user.root)
    with subprocess.Popen(
        command, cwd=user.folder, env=user.environ, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=theirs,
    ) as process:  # fmt: skip
        os.close(theirs)
        shown = b"".join(iter(lambda: _read(ours), b""))
        assert process.stdout is not None
        out = process.stdout.read().decode()
    os.close(ours)
    user.check_words(out + shown.decode())
    return process.returncode, out, shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""


@posix
def test_on_a_terminal_there_is_a_bar_for_all_and_one_for_each_running_file(user: User) -> None:
    code, out, shown = on_a_terminal(user, "acme/website")
    assert (code, out.split(":")[0]) == (0, "complete")
    assert re.search(r"\d+%\|.*\| \d/\d files, .*B/s", shown)
    assert re.search(rf"{plain(ARCHIVE)}: +\d+%\|", shown)
    assert ": complete, " in shown


@posix
def test_a_terminal_without_a_cursor_gets_no_bars(user: User) -> None:
    """Guards against: sequences on terminals that do not obey them."""
    user.environ["TERM"] = "dumb"
    code, _, shown = on_a_terminal(user, "acme/website")
    assert (code, shown) == (0, "acme/website run 1: complete, 4 files\r\n")


@posix
def test_on_a_terminal_bars_can_be_switched_off(user: User) -> None:
    code, _, shown = on_a_terminal(user, "acme/website", "--no-progress")
    assert (code, shown) == (0, "acme/website run 1: complete, 4 files\r\n")


def test_what_was_taken_or_altered_comes_back_and_the_altered_file_is_kept_apart(
    user: User, service: Running
) -> None:
    user.sync(ROCKET)
    right = user.files()
    page = f"{ROCKET}/1/docs/site/pages/{PAGE}"
    (user.root / page).write_text("mine")
    (user.root / ROCKET / "1/ci/build/build" / ARCHIVE).unlink()
    for path in sorted((user.root / ROCKET / "2").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    service.simulator.requests.clear()
    done = user.sync(ROCKET, "--json")
    assert (done.code, done.counts) == (0, (12, 6, 6, 0))
    assert user.files() == right
    assert len(user.runs()) == 3
    assert user.displaced() == {page: b"mine"}
    assert service.simulator.requests["run"] == 2


def test_manifests_that_were_taken_come_back(user: User) -> None:
    user.sync("acme/website", "-q")
    manifests = [user.root / "acme/website/1" / name for name in ("SHA256SUMS", "run.json")]
    before = [path.read_bytes() for path in manifests]
    for path in manifests:
        path.unlink()
    assert user.sync("acme/website", "--json").counts == (4, 0, 4, 0)
    assert [path.read_bytes() for path in manifests] == before


def test_no_manifest_names_a_file_that_is_not_there(user: User) -> None:
    user.sync("acme/website", "-q")
    (user.root / f"acme/website/1/docs/site/pages/{PAGE}").unlink()
    assert user.sync("acme/website", "--workflow", "ci", "--json").counts == (3, 0, 3, 0)
    assert user.runs() <= {"acme/website/1"}  # and sha256sum agrees with a manifest that is there


def test_an_artifact_left_anew_is_fetched_again_and_the_old_one_is_kept_apart(
    guest: User, own_service: Running
) -> None:
    guest.sync("acme/website")
    page = f"acme/website/1/docs/site/pages/{PAGE}"
    old = guest.files()[page]
    own_service.simulator.set_content("acme/website", "1", PAGE, b"<p>anew")
    done = guest.sync("acme/website", "--json")
    assert (done.code, done.counts) == (0, (4, 1, 3, 0))
    assert guest.files()[page] == b"<p>anew"
    assert guest.displaced() == {page: old}
    assert guest.runs() == {"acme/website/1"}


def test_latest_moves_to_complete_runs_only(guest: User, own_service: Running) -> None:
    simulator, home = own_service.simulator, guest.root / ROCKET

    def latest() -> tuple[str, str]:
        return (home / "latest").readlink().name, (home / "latest-success").readlink().name

    guest.sync(ROCKET)
    assert latest() == ("3", "2")
    simulator.add_run(ROCKET, run_of_four("5"))
    simulator.remove_file(ROCKET, "5", PAGE)
    assert guest.sync(ROCKET, "--json", **TWO_TRIES).counts == (16, 3, 12, 1)
    assert latest() == ("3", "2")
    simulator.set_content(ROCKET, "5", PAGE, b"<p>back")
    assert guest.sync(ROCKET, "--json").counts == (16, 1, 15, 0)
    assert latest() == ("5", "5")


def test_a_registered_artifact_comes_once_it_is_there(guest: User, own_service: Running) -> None:
    artifacts = (
        ScenarioArtifact("now", text="now"),
        ScenarioArtifact("late", text="late", status="registered"),
    )
    own_service.simulator.add_run("acme/docs", ScenarioRun(cubes=(Cube(artifacts=artifacts),)))
    done = guest.sync("acme/docs")
    assert (done.code, done.out) == (
        0,
        "complete: 1 run, 1 artifact: 1 downloaded (3 B), 0 kept, 1 not there yet\n",
    )
    assert guest.runs() == {"acme/docs/1"}
    own_service.simulator.set_artifact_status("acme/docs", "1", "late", "success")
    assert guest.sync("acme/docs", "--json").counts == (2, 1, 1, 0)
    assert [*guest.files().values()] == [b"late", b"now"]
    assert guest.runs() == {"acme/docs/1"}


def test_a_run_that_ends_later_comes_then(guest: User, own_service: Running) -> None:
    own_service.simulator.set_artifact_status(ROCKET, "4", "late", "success")
    assert guest.sync(ROCKET, "--json").counts == (12, 12, 0, 0)
    own_service.simulator.set_status(ROCKET, "4", "canceled")
    assert guest.sync(ROCKET, "--json").counts == (13, 1, 12, 0)
    assert f"{ROCKET}/4" in guest.runs()


@posix
def test_jobs_bounds_the_downloads_at_a_time(guest: User, own_service: Running) -> None:
    own_service.simulator.add_fault(Stall(after=0.0))
    requests = own_service.simulator.requests
    with guest.started("sync", ROCKET, "--jobs", "2", "--root", guest.root) as process:
        # the three runs each begin with their sidecar
        wait_until(lambda: requests["run"] == 3 and requests["file"] == 2)
        assert guest.finish(process, signal.SIGINT).code == 130
    assert requests["file"] == 2


@posix
def test_interrupted_midway_it_ends_with_130_and_one_object_and_goes_on_from_there(
    tmp_path: Path,
) -> None:
    big = ScenarioRun(cubes=(Cube(artifacts=(ScenarioArtifact("big.iso", size=8 * MIB),)),))
    scenario = Scenario(
        api=ScenarioApi(tokens=(TOKEN,)),
        files=Files(bandwidth=4 * MIB),
        repos=(Repo("acme/images", runs=(big,)),),
    )
    with running_in_thread(scenario) as service:
        user = User(tmp_path, service)
        with user.started("sync", "acme/images", "--json", "--root", user.root) as process:
            wait_until(lambda: user.staged() >= 3 * MIB)
            done = user.finish(process, signal.SIGINT)
        assert (done.code, list(done.answer)) == (130, KEYS)
        assert done.answer["complete"] is False
        assert [failure["reason"] for failure in done.answer["failures"]] == ["interrupted"]
        assert user.files() == {}
        staged = user.staged()
        assert user.sync("acme/images", "--json").answer["bytes"] == 8 * MIB - staged
        assert user.files() == contents(service.simulator)
        asked = [seen.range for seen in service.simulator.requests if seen.kind == "file"]
    assert asked == ["", f"bytes={staged}-"]


@posix
def test_of_two_at_once_the_second_ends_with_7_and_names_the_first(
    guest: User, own_service: Running
) -> None:
    own_service.simulator.add_fault(Stall(after=0.0, path=PAGE))
    with guest.started("sync", "acme/website", "--root", guest.root) as first:
        wait_until(lambda: len(guest.files()) == 3)
        second = guest.sync("acme/website", "--json")
        assert (second.code, list(second.answer)) == (7, KEYS)
        [failure] = second.answer["failures"]
        assert failure["reason"] == "busy"
        owner = f"is in use by process {first.pid} (artifact-sync, since "
        assert owner in failure["message"]
        assert owner in second.err
        repair = guest.run("verify", "--repair", "--root", guest.root)
        assert (repair.code, owner in repair.err) == (7, True)
        listed = guest.run("ls", "--root", guest.root, "--json")
        states = {it["local_path"]: it["state"] for it in listed.answer["artifacts"]}
        assert (listed.code, states[PAGE]) == (0, "wanted")
        assert guest.sync("acme/website", "--dry-run").code == 1
        assert guest.finish(first, signal.SIGINT).code == 130
    own_service.simulator.clear_faults()
    assert guest.sync("acme/website").code == 0


def failed(done: Any) -> tuple[int, list[str]]:
    return done.code, sorted(failure["reason"] for failure in done.answer["failures"])


def test_a_refused_token_or_none_at_all_is_exit_code_3(user: User) -> None:
    wrong = user.sync(ROCKET, "--json", SOURCECRAFT_TOKEN="pv1_other-not-for-anybodys-eyes")
    assert failed(wrong) == (3, ["credentials"])
    assert "the service refused the token" in wrong.answer["failures"][0]["message"]
    del user.environ["SOURCECRAFT_TOKEN"]
    missing = user.sync(ROCKET)
    assert missing.code == 3
    assert "none was given: set SOURCECRAFT_TOKEN or source.token_file" in missing.out


def test_no_service_is_exit_code_4(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        user = User(tmp_path, f"http://127.0.0.1:{closed.getsockname()[1]}")
        assert failed(user.sync(ROCKET, "--json", **ONE_TRY)) == (4, ["unreachable"])


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["acme", "--root", "m"], "ORG/REPO"),
        (["acme/a/b", "--root", "m"], "ORG/REPO"),
        (["--root", "m"], "no repository: name one"),
        (["acme/rocket"], "no mirror: give --root DIR"),
    ],
)
def test_what_cannot_be_meant_is_exit_code_2_with_a_hint(
    user: User, arguments: list[str], hint: str
) -> None:
    done = user.run("sync", *arguments, "--json")
    assert failed(done) == (2, ["usage"])
    assert hint in done.err
    assert not (user.folder / "m").exists()


@pytest.fixture(scope="module")
def troubled() -> Iterator[Running]:
    """A repository that nobody may read, one whose files are damaged or gone, and a good one."""
    rotten = (ScenarioArtifact("flipped.bin", size=1000), ScenarioArtifact("gone.bin", size=1000))
    repos = (
        Repo("acme/secret", forbidden=True),
        Repo("acme/rotten", runs=(ScenarioRun(age=DAY, cubes=(Cube(artifacts=rotten),)),)),
        Repo("acme/website", runs=(run_of_four("1"),)),
    )
    files = Files(digests=("repr-digest",))
    scenario = organisation(repos=repos, files=files, faults=(Flip(path="flipped.bin"),))
    with running_in_thread(scenario) as running:
        running.simulator.remove_file("acme/rotten", "1", "gone.bin")
        yield running


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["acme/website", "acme/secret"], (3, ["credentials"])),
        (["acme/secret", "acme/none"], (1, ["credentials", "not_found"])),
        (["acme/rotten", "--include", "flipped.bin"], (5, ["integrity"])),
        (["acme/*"], (1, ["credentials", "gone", "integrity"])),
    ],
)
def test_a_code_of_its_own_only_where_all_failures_share_it(
    tmp_path: Path, troubled: Running, arguments: list[str], expected: tuple[int, list[str]]
) -> None:
    user = User(tmp_path, troubled)
    done = user.sync(*arguments, "--json", **TWO_TRIES)
    assert failed(done) == expected
    good = {"acme/website", "acme/*"} & set(arguments)
    assert user.files() == (contents(troubled.simulator, "acme/website") if good else {})


@pytest.mark.parametrize("command", ["sync", "status", "ls", "verify"])
def test_an_empty_root_is_refused_and_not_taken_for_the_working_directory(
    user: User, command: str
) -> None:
    done = user.run(command, "--root", "")
    assert done.code == 2
    assert "name the mirror's folder" in done.err
    assert not (user.folder / ".artifact-sync").exists()


def test_a_root_that_is_a_file_is_refused_with_its_name(user: User) -> None:
    user.root.write_bytes(b"precious")
    for command in (["sync", ROCKET], ["sync", ROCKET, "--dry-run"], ["status"], ["verify"]):
        done = user.run(*command, "--root", user.root)
        assert (done.code, "is no folder" in done.err) == (2, True)
    assert user.root.read_bytes() == b"precious"


@posix
def test_a_dry_run_into_a_reader_that_leaves_ends_quietly(user: User) -> None:
    line = f"{sys.executable} -m artifact_sync sync {ROCKET} --root {user.root} --dry-run | head -1"
    done = subprocess.run(
        ["sh", "-c", line], env=user.environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"{ROCKET} run ")
    assert done.stderr == ""


@posix
@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_without_standard_streams_the_mirror_comes_all_the_same(user: User, closed: str) -> None:
    line = f"{sys.executable} -m artifact_sync sync {ROCKET} --root {user.root} --json {closed}"
    done = subprocess.run(["sh", "-c", line], env=user.environ, capture_output=True, check=False)
    assert done.returncode == 0
    assert user.files(ROCKET)


@pytest.mark.parametrize("option", ["--include", "--exclude", "--workflow", "--run"])
def test_an_empty_filter_is_refused(user: User, option: str) -> None:
    done = user.run("sync", ROCKET, "--root", user.root, option, "")
    assert (done.code, "selects nothing" in done.err) == (2, True)
