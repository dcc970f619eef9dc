"""``forget --delete`` removes what is ours and nothing else; a daemon does it when asked."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from user import ARCHIVE, PAGE, REPORT, SIDECAR, User, contents, organisation, wait_until

from artifact_sync.simulator import running_in_thread
from artifact_sync.simulator.faults import Stall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from artifact_sync.simulator import Running

ROCKET = "acme/rocket"
RUNS = {f"{ROCKET}/{number}" for number in (1, 2, 3)}


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Running]]:
    """A complete mirror, and its service."""
    with running_in_thread(organisation()) as service:
        user = User(tmp_path_factory.mktemp("home"), service)
        assert user.sync(ROCKET).code == 0
        yield user.root, service


@pytest.fixture
def user(mirrored: tuple[Path, Running], tmp_path: Path) -> User:
    root, service = mirrored
    user = User(tmp_path, service)
    shutil.copytree(root, user.root, symlinks=True)
    (user.root / ".artifact-sync/daemon.sock").unlink(missing_ok=True)
    return user


def forget(user: User, *arguments: str, delete: bool = True) -> dict:
    options = ("--delete", "--yes") if delete else ()
    done = user.run("forget", ROCKET, *arguments, *options, "--root", user.root, "--json")
    assert done.code == 0, done.err
    return done.answer


def place(user: User, run: str, local_path: str) -> Path:
    cube = "docs/site/pages" if local_path == PAGE else "ci/build/build"
    return user.root / ROCKET / run / cube / local_path.removeprefix("./")


def check_one_story(user: User) -> None:
    """Every command is content, and the manifests agree."""
    done = user.run("verify", "--root", user.root, "--json")
    assert done.code == 0, done.out
    done = user.sync(ROCKET, "--json")
    assert (done.code, done.answer["downloaded"]) == (0, 0), done.out
    user.runs()


def test_a_run_goes_with_its_folder_and_latest_leads_elsewhere(user: User) -> None:
    before = user.files()
    assert (user.root / ROCKET / "latest").readlink().name == "3"
    answer = forget(user, "3")
    assert (len(answer["forgotten"]), answer["left"]) == (4, [])
    assert {it["path"] for it in answer["removed"]} == {it for it in before if "/3/" in it}
    assert {it["state"] for it in answer["removed"]} == {"forgotten"}
    assert not (user.root / ROCKET / "3").exists()
    assert (user.root / ROCKET / "latest").readlink().name == "2"
    assert user.files() == {path: it for path, it in before.items() if "/3/" not in path}
    check_one_story(user)
    assert user.runs() == RUNS - {f"{ROCKET}/3"}
    assert forget(user, "3")["removed"] == []


def test_a_file_goes_with_its_lines_and_its_empty_folders(user: User) -> None:
    answer = forget(user, "1", "site")
    assert [it["local_path"] for it in answer["removed"]] == [PAGE]
    assert not (user.root / ROCKET / "1/docs").exists()
    sums = (user.root / ROCKET / "1/SHA256SUMS").read_text()
    about = (user.root / ROCKET / "1/run.json").read_text()
    (absent,) = json.loads(about)["not_mirrored"]
    assert (absent["local_path"], absent["state"]) == (PAGE, "forgotten")
    assert ("index.html" in sums, '"sha256"' in about.partition("index.html")[2]) == (False, False)
    check_one_story(user)
    assert user.runs() == RUNS
    done = user.run("remember", ROCKET, "1", "--root", user.root, "--json")
    assert [it["state"] for it in done.answer["remembered"]] == ["lost"]
    assert user.sync(ROCKET, "--json").answer["downloaded"] == 1
    assert place(user, "1", PAGE).is_file()
    check_one_story(user)


def test_what_is_not_ours_stays_and_is_told(user: User) -> None:
    changed, stranger = place(user, "2", REPORT), user.root / ROCKET / "2/mine/notes.txt"
    changed.write_bytes(changed.read_bytes()[::-1])
    stranger.parent.mkdir()
    stranger.write_bytes(b"mine")
    answer = forget(user, "2")
    left = sorted(str(path.relative_to(user.root)) for path in (changed, stranger))
    assert (sorted(answer["left"]), len(answer["removed"])) == (left, 3)
    assert sorted(it for it in user.files() if "/2/" in it) == left
    done = user.run("verify", "--root", user.root, "--json")
    assert (done.code, sorted(done.answer["extra"])) == (0, left)
    check_one_story(user)
    assert user.runs() == RUNS - {f"{ROCKET}/2"}


def test_a_repository_leaves_nothing_and_comes_back_when_it_is_remembered(user: User) -> None:
    before = user.files()
    assert len(forget(user)["removed"]) == len(before) == 12
    assert [it for it in user.files() if it.startswith("acme")] == []
    assert not list((user.root / ROCKET).glob("*"))
    check_one_story(user)
    assert user.run("remember", ROCKET, "--root", user.root).code == 0
    assert user.sync(ROCKET, "--json").answer["downloaded"] == 12
    assert user.files() == before
    check_one_story(user)


def test_what_was_forgotten_before_can_be_removed_later(user: User) -> None:
    forget(user, "1", delete=False)
    assert place(user, "1", ARCHIVE).is_file()
    assert len(forget(user, "1")["removed"]) == 4
    assert not (user.root / ROCKET / "1").exists()


def test_where_nobody_can_be_asked_it_wants_yes(user: User) -> None:
    done = user.run("forget", ROCKET, "1", "--delete", "--root", user.root)
    assert done.code == 2
    assert "--yes" in done.err
    assert user.runs() == RUNS


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo terminals")
@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"\n", 1), (b"n\n", 1), (b"\x04", 1)])
def test_on_a_terminal_it_asks_with_the_number_of_files(
    user: User, answer: bytes, code: int
) -> None:
    ours, theirs = pty.openpty()
    command = user.command("forget", ROCKET, "1", "--delete", "--root", user.root)
    with subprocess.Popen(
        command, env=user.environ, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        os.write(ours, answer)
        _, words = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == code, words
    assert b"Remove 4 files (" in words
    assert b"[y/N]" in words
    assert (f"{ROCKET}/1" in user.runs()) == bool(code)


@pytest.mark.skipif(sys.platform != "linux", reason="looks in /proc")
def test_who_leaves_at_the_question_reads_it_on_a_line_of_its_own(user: User) -> None:
    ours, theirs = pty.openpty()
    command = user.command("forget", ROCKET, "1", "--delete", "--root", user.root)
    with subprocess.Popen(
        command, env=user.environ, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        words = b""
        while not words.endswith(b"[y/N]: "):
            words += process.stderr.read(1)
        stat = Path("/proc", str(process.pid), "stat")
        wait_until(lambda: ") S " in stat.read_text())  # it waits for the answer
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[1] == b"\nartifact-sync: interrupted\n"
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 130
    assert user.runs() == RUNS


def test_a_glob_that_fits_nothing_is_told_what_is_there(user: User) -> None:
    done = user.run("forget", ROCKET, "1", "*/nothing.gz", "--root", user.root, "--json")
    (failure,) = done.answer["failures"]
    paths = [ARCHIVE, SIDECAR, REPORT, PAGE]
    there = ", ".join(path.removeprefix("./") for path in paths)
    assert f"fits */nothing.gz; there is {there}: artifact-sync ls" in failure["message"]
    assert done.code == 2
    assert f"{failure['message']}\nsee docs: troubleshooting/artifacts#nothing-" in done.err


@contextmanager
def daemon(user: User, **environ: str) -> Iterator[subprocess.Popen[str]]:
    config = user.folder / "daemon.toml"
    config.write_text(
        f'[mirror]\nroot = "{user.root}"\n[daemon]\ninterval = "1h"\n[[repo]]\nname = "{ROCKET}"\n'
    )
    with user.started("daemon", "--config", config, **environ) as process:
        wait_until((user.root / ".artifact-sync/daemon.sock").is_socket)
        yield process
        done = user.finish(process, signal.SIGTERM)
        assert done.code == 0
        assert "were taken or changed" not in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="no Unix sockets there")
def test_the_daemon_that_holds_the_mirror_does_it(
    user: User, mirrored: tuple[Path, Running]
) -> None:
    with daemon(user) as process:
        done = user.run("forget", ROCKET, "3", "--delete", "--yes", "--root", user.root, "--json")
        assert done.code == 0, done.err
        assert f"the daemon (process {process.pid}) holds the mirror" in done.err
        assert (len(done.answer["forgotten"]), len(done.answer["removed"])) == (4, 4)
        assert not (user.root / ROCKET / "3").exists()
        check_one_story(user)
        done = user.run("remember", ROCKET, "3", "--root", user.root, "--json")
        assert len(done.answer["remembered"]) == 4
        wait_until(lambda: f"{ROCKET}/3" in user.runs())
        wrong = user.run("forget", ROCKET, "99", "--root", user.root)
        assert (wrong.code, "has no run 99" in wrong.err) == (2, True)
    assert user.files() == contents(mirrored[1].simulator, ROCKET)


@pytest.mark.skipif(sys.platform == "win32", reason="no Unix sockets there")
def test_what_is_being_downloaded_is_forgotten_and_does_not_come_back(tmp_path: Path) -> None:
    with running_in_thread(organisation()) as service:
        user = User(tmp_path, service)
        service.simulator.add_fault(Stall(after=0.5, path=ARCHIVE, run="1", seconds=6))
        with daemon(user):
            wait_until(lambda: len(user.files()) >= 3)
            for extra in ((), ("--delete", "--yes")):
                done = user.run("forget", ROCKET, "1", "*.gz", *extra, "--root", user.root)
                assert done.code == 0, done.err
            listed = user.run("ls", ROCKET, "--run", "1", "--root", user.root, "--json").answer
            (row,) = (it for it in listed["artifacts"] if it["local_path"] == ARCHIVE)
            assert row["state"] == "forgotten"
        assert len(user.files()) == 11
        assert not place(user, "1", ARCHIVE).exists()
        check_one_story(user)
        assert user.runs() == RUNS
