"""One path into the mirror: what a repair takes, how it ends, and that whoever comes next goes on.

The faults that these tests guard against came from a second path, taken by repairs only.
"""

from __future__ import annotations

import hashlib
import signal
from typing import TYPE_CHECKING, Any

import pytest
from daemon_user import DaemonUser
from user import (
    ARCHIVE,
    PAGE,
    REPORT,
    SIDECAR,
    User,
    contents,
    organisation,
    wait_until,
    with_module,
)

from artifact_sync.simulator import Running, running_in_thread
from artifact_sync.simulator.faults import Delay, Stall, StatusFault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROCKET = "acme/rocket"
OTHER = b"what the checksum file denies"
TWO_TRIES = {"ARTIFACT_SYNC_DOWNLOAD__ATTEMPTS": "2"}

AT_RENAME = """
import ctypes, errno, os, signal

class Library(ctypes.CDLL):
    def __getattr__(self, name):
        if name == "renameat2":  # so that every renaming goes by Python's own functions
            raise AttributeError(name)
        return super().__getattr__(name)

def striking(move):
    def strike(source, target, **places):
        if os.path.basename(target) == {name!r}:
            {deed}
        return move(source, target, **places)
    return strike

ctypes.CDLL = Library
os.rename, os.replace = striking(os.rename), striking(os.replace)
os.supports_dir_fd |= {{os.rename, os.replace}}
"""
"""A disk, or a killer, that strikes when a file of this name is put in its place."""

REFUSE = "raise OSError(errno.{error}, os.strerror(errno.{error}))"
KILL = "os.kill(os.getpid(), signal.SIGKILL)"


def place(local_path: str, run: str = "3") -> str:
    cube = "docs/site/pages" if local_path == PAGE else "ci/build/build"
    return f"{ROCKET}/{run}/{cube}/{local_path.removeprefix('./')}"


@pytest.fixture
def served() -> Iterator[Running]:
    """A service of this test's own."""
    with running_in_thread(organisation()) as running:
        yield running


@pytest.fixture
def owner(tmp_path: Path, served: Running) -> User:
    """A user with a complete mirror: runs 1 to 3, the last one not a success."""
    user = User(tmp_path, served)
    assert user.sync(ROCKET).code == 0
    return user


def verify(user: User, *arguments: str, **environ: str) -> int:
    return user.run("verify", "--root", user.root, *arguments, **environ).code


def is_whole(user: User, served: Running) -> bool:
    """Whether the mirror is as if nothing had ever happened to it."""
    links = {name: str((user.root / ROCKET / name).readlink()) for name in LATEST}
    return (
        user.files() == contents(served.simulator, ROCKET)
        and user.runs() == {f"{ROCKET}/{run}" for run in "123"}
        and links == LATEST
        and user.staged() == 0
        and verify(user) == 0
    )


LATEST = {"latest": "3", "latest-success": "2"}


def spoil(user: User, path: str) -> bytes:
    (user.root / path).write_bytes(b"spoilt")
    return b"spoilt"


def serve_what_is_denied(served: Running, checksum_file: bytes) -> None:
    """Leave other bytes anew, beside the checksum file as it was."""
    served.simulator.set_content(ROCKET, "3", ARCHIVE, OTHER)
    served.simulator.corrupt_file(ROCKET, "3", SIDECAR, checksum_file)


def recorded(user: User, path: str) -> dict[str, Any]:
    """What the ledger holds of a file."""
    listed = user.run("ls", "--root", user.root, "--json").answer["artifacts"]
    found: dict[str, Any] = next(it for it in listed if it["path"] == path)
    return found


def test_a_repair_takes_no_bytes_that_a_checksum_file_denies(owner: User, served: Running) -> None:
    path = place(ARCHIVE)
    before, files = recorded(owner, path), owner.files()
    spoilt = spoil(owner, path)
    serve_what_is_denied(served, files[place(SIDECAR)])
    done = owner.run("verify", "--root", owner.root, "--repair", **TWO_TRIES)
    assert done.code == 5
    assert "[integrity]" in done.out
    assert path not in owner.files()
    assert owner.displaced() == {path: spoilt}
    assert owner.staged() == 0
    after = recorded(owner, path)
    assert (after["state"], after["sha256"]) == ("failed", before["sha256"])
    assert verify(owner) == 1
    assert owner.sync(ROCKET, **TWO_TRIES).code == 5


@pytest.mark.parametrize("gone", [False, True])
def test_a_missing_file_whose_bytes_are_denied_is_an_integrity_failure_too(
    owner: User, served: Running, *, gone: bool
) -> None:
    files = owner.files()
    for local_path in (ARCHIVE, SIDECAR) if gone else (ARCHIVE,):
        (owner.root / place(local_path)).unlink()
    serve_what_is_denied(served, files[place(SIDECAR)])
    assert verify(owner, "--repair", **TWO_TRIES) == 5
    assert place(ARCHIVE) not in owner.files()
    assert (place(SIDECAR) in owner.files()) is True


def test_a_repair_that_is_killed_while_files_come_is_finished_by_the_next_one(
    owner: User, served: Running
) -> None:
    kill_repair(owner, served)
    assert verify(owner) == 1
    assert verify(owner, "--repair") == 0
    assert is_whole(owner, served)


def test_a_repair_that_is_killed_while_files_come_is_finished_by_a_pass(
    owner: User, served: Running
) -> None:
    kill_repair(owner, served)
    assert owner.sync(ROCKET).code == 0
    assert is_whole(owner, served)


def kill_repair(owner: User, served: Running) -> None:
    """Damage the newest run and an old one, and kill a repair that waits for files of both."""
    spoil(owner, place(REPORT))
    (owner.root / place(ARCHIVE)).unlink()
    spoil(owner, place(PAGE, "1"))
    served.simulator.add_fault(Stall(after=0.0))
    served.simulator.requests.clear()
    with owner.started("verify", "--root", owner.root, "--repair") as process:
        wait_until(lambda: served.simulator.requests["file"] >= 2)
        owner.finish(process, signal.SIGKILL)
    served.simulator.clear_faults()
    assert recorded(owner, place(REPORT))["state"] == "wanted"  # while its name holds nothing


def test_a_repair_that_is_killed_before_good_files_are_recorded_is_finished_by_the_next_one(
    owner: User, served: Running
) -> None:
    """Guards against: a repair that ends with 0 while a run is not put together.

    As if it had been killed after files got their names.
    """
    files = owner.files()
    kill_repair(owner, served)
    for path in files.keys() - owner.files().keys():
        (owner.root / path).write_bytes(files[path])
    assert verify(owner) == 0
    assert recorded(owner, place(REPORT))["state"] == "mirrored"
    assert verify(owner, "--repair") == 0
    assert recorded(owner, place(REPORT))["state"] == "mirrored"
    assert is_whole(owner, served)


@pytest.mark.parametrize("name", ["run.json", "latest"])
@pytest.mark.parametrize("finish", ["verify", "sync"])
def test_a_repair_that_is_killed_before_its_end_leaves_no_success_behind(
    owner: User, served: Running, name: str, finish: str
) -> None:
    spoil(owner, place(REPORT))
    if name == "latest":
        (owner.root / ROCKET / "latest").unlink()
    kill = AT_RENAME.format(name=name, deed=KILL)
    environ = with_module(owner.folder / "kill", "sitecustomize", kill)
    assert verify(owner, "--repair", **environ) == -signal.SIGKILL
    if finish == "verify":
        assert verify(owner, "--repair") == 0
    else:
        assert owner.sync(ROCKET).code == 0
    assert is_whole(owner, served)


def test_a_repair_is_made_good_once_the_file_is_back(owner: User, served: Running) -> None:
    spoil(owner, place(REPORT))
    served.simulator.add_fault(StatusFault(status=404, run="3", path=REPORT))
    assert verify(owner, "--repair", **TWO_TRIES) == 5
    assert verify(owner, "--repair", **TWO_TRIES) == 1  # it is missing by now
    served.simulator.clear_faults()
    assert verify(owner, "--repair") == 0
    assert is_whole(owner, served)


def test_a_repair_that_the_service_refuses_leaves_manifests_alone_and_displaces_none(
    owner: User, served: Running
) -> None:
    """Kind: what a request has begun is taken for damage by the next one."""
    path, sums = place(REPORT), owner.root / ROCKET / "3" / "SHA256SUMS"
    spoilt, before = spoil(owner, path), sums.read_bytes()
    served.simulator.add_fault(StatusFault(on="api", status=403, endpoint="run"))
    assert verify(owner, "--repair") == 5
    assert sums.read_bytes() == before
    assert str((owner.root / ROCKET / "latest").readlink()) == "3"
    assert verify(owner, "--repair") == 1
    again = owner.run("verify", "--root", owner.root, "--json").answer
    assert (again["missing"], again["changed"]) == ([path], [])
    assert owner.displaced() == {path: spoilt}
    served.simulator.clear_faults()
    assert verify(owner, "--repair") == 0
    assert is_whole(owner, served)


def test_a_repair_killed_as_it_begins_leaves_sound_manifests_alone(
    owner: User, served: Running
) -> None:
    """Kind: what a request has begun is taken for damage by the next one."""
    path = place(REPORT)
    spoilt = spoil(owner, path)
    served.simulator.add_fault(Delay(on="api", endpoint="run", seconds=60))
    served.simulator.requests.clear()
    with owner.started("verify", "--root", owner.root, "--repair") as process:
        wait_until(lambda: served.simulator.requests["run"] >= 1)
        owner.finish(process, signal.SIGKILL)
    again = owner.run("verify", "--root", owner.root, "--json").answer
    assert (again["missing"], again["changed"]) == ([path], [])
    served.simulator.clear_faults()
    assert verify(owner, "--repair") == 0
    assert owner.displaced() == {path: spoilt}
    assert is_whole(owner, served)


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("name", ["SHA256SUMS", "run.json"])
def test_a_disk_that_refuses_a_manifest_is_exit_code_6(
    owner: User, served: Running, name: str, error: str
) -> None:
    spoil(owner, place(REPORT))
    (owner.root / ROCKET / "2" / name).unlink()
    refuse = AT_RENAME.format(name=name, deed=REFUSE.format(error=error))
    environ = with_module(owner.folder / "full", "sitecustomize", refuse)
    assert verify(owner, "--repair", **environ) == 6
    assert verify(owner) == 1
    assert verify(owner, "--repair") == 0
    assert is_whole(owner, served)


@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EROFS"])
def test_a_disk_that_refuses_a_link_is_exit_code_6_and_hides_no_repair(
    owner: User, served: Running, error: str
) -> None:
    """Guards against: an exit code, or a count, that leaves out a part of what happened."""
    path = place(REPORT)
    spoil(owner, path)
    (owner.root / ROCKET / "latest").unlink()
    refuse = AT_RENAME.format(name="latest", deed=REFUSE.format(error=error))
    environ = with_module(owner.folder / "full", "sitecustomize", refuse)
    done = owner.run("verify", "--root", owner.root, "--repair", "--json", **environ)
    assert (done.code, done.answer["repaired"]) == (6, [path])
    assert {it["reason"] for it in done.answer["failures"]} <= {"disk", "no_space"}
    assert verify(owner, "--repair") == 0
    assert is_whole(owner, served)


def test_bytes_that_are_denied_and_a_disk_that_refuses_are_both_told(
    owner: User, served: Running
) -> None:
    """Guards against: an exit code, or a count, that leaves out a part of what happened."""
    files = owner.files()
    spoil(owner, place(ARCHIVE))
    serve_what_is_denied(served, files[place(SIDECAR)])
    (owner.root / ROCKET / "2" / "run.json").unlink()
    refuse = AT_RENAME.format(name="run.json", deed=REFUSE.format(error="EIO"))
    environ = with_module(owner.folder / "full", "sitecustomize", refuse)
    done = owner.run("verify", "--root", owner.root, "--repair", "--json", **TWO_TRIES, **environ)
    assert done.code == 1
    assert {it["reason"] for it in done.answer["failures"]} == {"integrity", "disk"}


def test_a_repair_is_told_where_a_pass_is(owner: User, served: Running) -> None:
    """Guards against: words of a repair on another stream than those of a pass."""
    served.simulator.add_fault(StatusFault(status=404, run="3", path=REPORT))
    (owner.root / place(REPORT)).unlink()
    repair = ("verify", "--root", owner.root, "--repair")
    told, as_json = (owner.run(*repair, *more, **TWO_TRIES) for more in ((), ("--json",)))
    of_pass = owner.sync(ROCKET, **TWO_TRIES)
    assert (told.code, as_json.code, of_pass.code) == (1, 1, 1)
    (line,) = [line for line in of_pass.out.splitlines() if line.endswith("[lost]")]
    assert line in told.out.splitlines()
    assert told.err == of_pass.err == "see docs: troubleshooting/artifacts#lost\n"
    assert as_json.err == ""
    assert as_json.answer["failures"] == owner.sync(ROCKET, "--json").answer["failures"]


def test_a_repair_that_is_stopped_says_so_and_is_finished_by_the_next_one(
    owner: User, served: Running
) -> None:
    spoil(owner, place(REPORT))
    served.simulator.add_fault(Stall(after=0.0))
    served.simulator.requests.clear()
    with owner.started("verify", "--root", owner.root, "--repair", "--json") as process:
        wait_until(lambda: served.simulator.requests["file"] >= 1)
        done = owner.finish(process, signal.SIGTERM)
    assert (done.code, done.answer["repaired"]) == (130, [])
    assert "interrupted" in {it["reason"] for it in done.answer["failures"]}
    served.simulator.clear_faults()
    assert verify(owner, "--repair") == 0
    assert is_whole(owner, served)


def test_the_repair_of_an_old_run_leaves_latest_alone(owner: User, served: Running) -> None:
    spoil(owner, place(PAGE, "1"))
    served.simulator.add_fault(StatusFault(status=404, run="1"))
    assert verify(owner, "--repair", **TWO_TRIES) == 5
    links = {name: str((owner.root / ROCKET / name).readlink()) for name in LATEST}
    assert links == LATEST
    served.simulator.clear_faults()
    assert owner.sync(ROCKET).code == 0
    assert is_whole(owner, served)


@pytest.mark.parametrize("finish", [(), ("--run", "2")])
def test_a_named_run_that_was_settled_is_finished_after_a_kill(
    owner: User, served: Running, finish: tuple[str, ...]
) -> None:
    (owner.root / ROCKET / "2" / "run.json").write_text("{}")
    kill = AT_RENAME.format(name="run.json", deed=KILL)
    environ = with_module(owner.folder / "kill", "sitecustomize", kill)
    assert owner.sync(ROCKET, "--run", "2", **environ).code == -signal.SIGKILL
    assert owner.sync(ROCKET, *finish).code == 0
    assert is_whole(owner, served)


def test_a_file_left_anew_is_wanted_while_it_is_replaced(owner: User, served: Running) -> None:
    """Killed after the new file has its name: the ledger must not call the old one mirrored."""
    new, path = b"left anew", place(REPORT)
    served.simulator.set_content(ROCKET, "3", REPORT, new)
    served.simulator.add_fault(Stall(after=0.0))
    served.simulator.requests.clear()
    with owner.started("sync", ROCKET, "--root", owner.root, "--run", "3") as process:
        wait_until(lambda: served.simulator.requests["file"] >= 1)
        owner.finish(process, signal.SIGKILL)
    served.simulator.clear_faults()
    assert recorded(owner, path)["state"] == "wanted"
    (owner.root / path).write_bytes(new)  # as if published, but not recorded any more
    assert verify(owner) == 1
    assert verify(owner, "--repair") == 0
    assert owner.displaced() == {}  # the good new file was not taken for damage
    assert owner.files()[path] == new


def test_evidence_gets_stronger_when_a_checksum_file_comes_later(
    tmp_path: Path, served: Running
) -> None:
    user = User(tmp_path, served)
    served.simulator.add_fault(StatusFault(status=404, run="3", path=SIDECAR))
    assert user.sync(ROCKET, "--run", "3", **TWO_TRIES).code == 1
    assert recorded(user, place(ARCHIVE))["strength"] != "digest"
    served.simulator.clear_faults()
    assert user.sync(ROCKET, "--run", "3").code == 0
    late = recorded(user, place(ARCHIVE))
    assert (late["strength"], late["evidence"][0]) == ("digest", "sidecar:sha-256")
    about = (user.root / ROCKET / "3" / "run.json").read_text()
    assert about.count("sidecar:sha-256") == 1


def test_what_the_daemon_restores_is_held_against_the_checksum_file(
    tmp_path: Path, served: Running
) -> None:
    user = DaemonUser(tmp_path, served)
    user.configure(ROCKET, mirror__watch="restore", daemon__interval="1h")
    path = place(ARCHIVE)
    with user.daemon():
        wait_until(lambda: user.runs() == {f"{ROCKET}/{run}" for run in "123"})
        files = user.files()
        serve_what_is_denied(served, files[place(SIDECAR)])
        (user.root / path).write_bytes(b"spoilt")
        wait_until(lambda: user.displaced() == {path: b"spoilt"})
        wait_until(lambda: recorded(user, path)["reason"] == "integrity")
        assert path not in user.files()
        right = files[path]
        served.simulator.set_content(ROCKET, "3", ARCHIVE, right)
        assert user.run("sync", ROCKET, "--config", user.config).code == 0
        assert user.files()[path] == right
        assert user.runs() == {f"{ROCKET}/{run}" for run in "123"}
    assert hashlib.sha256(right).hexdigest() in (user.root / ROCKET / "3/SHA256SUMS").read_text()


def test_the_daemons_watch_takes_back_what_was_put_back(tmp_path: Path, served: Running) -> None:
    user = DaemonUser(tmp_path, served)
    user.configure(ROCKET, mirror__watch="restore", daemon__interval="1h", download__attempts=2)
    path = place(REPORT)
    with user.daemon():
        wait_until(lambda: user.runs() == {f"{ROCKET}/{run}" for run in "123"})
        served.simulator.remove_file(ROCKET, "3", REPORT)
        content = (user.root / path).read_bytes()
        (user.root / path).unlink()
        wait_until(lambda: recorded(user, path)["state"] == "lost")
        (user.root / path).write_bytes(content)
        wait_until(lambda: recorded(user, path)["state"] == "mirrored")
        assert user.run("sync", ROCKET, "--config", user.config).code == 0
        assert user.runs() == {f"{ROCKET}/{run}" for run in "123"}
