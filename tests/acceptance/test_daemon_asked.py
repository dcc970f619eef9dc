"""``sync`` and ``status`` beside a running daemon: it does the work, they show it."""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from user import PAGE, REPORT, User, contents, organisation, wait_until

from artifact_sync.simulator import Running, running_in_thread
from artifact_sync.simulator.faults import Stall

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no Unix sockets there")

ROCKET, WEBSITE, DOCS = "acme/rocket", "acme/website", "acme/docs"
SHORT = {"ARTIFACT_SYNC_DOWNLOAD__TIMEOUT": "2"}


@contextmanager
def daemon(user: User, *repos: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """A daemon that looks after these repositories, or the empty one, and can be asked."""
    entries = "".join(f'[[repo]]\nname = "{name}"\n' for name in repos or [DOCS])
    config = user.folder / "daemon.toml"
    config.write_text(f'[mirror]\nroot = "{user.root}"\n[daemon]\ninterval = "1h"\n{entries}')
    with user.started("daemon", "--config", config, **environ) as process:
        wait_until((user.root / ".artifact-sync/daemon.sock").is_socket)
        yield process


def ended(user: User, process: subprocess.Popen[str]) -> None:
    """The daemon comes to its end as it should, and takes its socket with it."""
    assert user.finish(process, signal.SIGTERM).code == 0
    assert not (user.root / ".artifact-sync/daemon.sock").exists()


def test_sync_has_the_daemon_do_it_and_shows_its_progress_and_result(
    user: User, service: Running
) -> None:
    with daemon(user) as process:
        done = user.sync(ROCKET, "--jobs", "2")
        assert (done.code, done.out.split(":")[0]) == (0, "complete")
        assert "12 artifacts: 12 downloaded" in done.out
        said = [line.partition("info: ")[2] for line in done.err.splitlines()]
        assert said[:2] == [
            f"the daemon (process {process.pid}) holds the mirror, and does it",
            "--jobs does not count here: the daemon's own limit holds",
        ]
        assert sorted(said[2:]) == [f"{ROCKET} run {n}: complete, 4 files" for n in (1, 2, 3)]
        assert user.files() == contents(service.simulator, ROCKET)
        again = user.sync(ROCKET, "--json")
        assert (again.code, again.counts) == (0, (12, 0, 12, 0))
        ended(user, process)


def test_what_the_user_narrows_is_what_the_daemon_does(user: User) -> None:
    with daemon(user) as process:
        done = user.sync(ROCKET, "--run", "2", "--include", "*.xml", "-q", "--json")
        assert (done.code, done.counts, done.err) == (0, (1, 1, 0, 0), "")
        assert [path.rpartition("/")[2] for path in user.files()] == ["junit.xml"]
        assert (user.sync(ROCKET, "-q").out, user.sync(ROCKET, "-q").err) == ("", "")
        ended(user, process)


def test_what_fails_fails_with_the_same_code_and_the_same_object(
    guest: User, own_service: Running
) -> None:
    own_service.simulator.remove_file(ROCKET, "2", REPORT)
    two = {"ARTIFACT_SYNC_DOWNLOAD__ATTEMPTS": "2"}
    with daemon(guest, **two) as process:
        done = guest.sync(ROCKET, "--json")
        assert (done.code, done.counts) == (1, (12, 11, 0, 1))
        (failure,) = done.answer["failures"]
        assert (failure["reason"], failure["local_path"]) == ("gone", REPORT)
        ended(guest, process)
    alone = guest.sync(ROCKET, "--json", **two)
    assert alone.answer["failures"] == [failure]


def test_a_dry_run_needs_no_daemon(user: User) -> None:
    with daemon(user) as process:
        done = user.sync(WEBSITE, "--dry-run")
        assert done.code == 1
        assert "4 would be downloaded" in done.out
        assert "daemon" not in done.err
        ended(user, process)


def test_another_services_configuration_is_refused(user: User) -> None:
    with daemon(user) as process:
        other = {"ARTIFACT_SYNC_SOURCE__BASE_URL": "https://other.example"}
        done = user.sync(WEBSITE, "--json", **other)
        assert (done.code, done.answer["failures"][0]["reason"]) == (2, "usage")
        assert "the daemon mirrors from http://127.0.0.1:" in done.err
        assert "source.base_url https://other.example" in done.err
        ended(user, process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_waiting_does_not_stop_the_daemon(
    guest: User, own_service: Running, number: signal.Signals
) -> None:
    own_service.simulator.add_fault(Stall(after=0.0, path=PAGE))
    with daemon(guest, **SHORT) as process:
        with guest.started("sync", WEBSITE, "--json", "--root", guest.root) as waiting:
            wait_until(lambda: len(guest.files()) == 3)
            done = guest.finish(waiting, number)
        assert done.code == 130
        (failure,) = done.answer["failures"]
        assert failure["reason"] == "interrupted"
        assert failure["message"] == "not waited for to its end; the daemon goes on with it"
        assert "the daemon goes on with it (artifact-sync status shows it)" in done.err
        own_service.simulator.clear_faults()
        wait_until(lambda: guest.files() == contents(own_service.simulator, WEBSITE))
        ended(guest, process)


def test_a_daemon_that_is_killed_is_lost_and_the_next_sync_does_it_alone(
    guest: User, own_service: Running
) -> None:
    own_service.simulator.add_fault(Stall(after=0.0, path=PAGE))
    asking = ("sync", WEBSITE, "--root", guest.root)
    with daemon(guest) as process, guest.started(*asking) as waiting:
        wait_until(lambda: len(guest.files()) == 3)
        process.kill()
        process.wait()
        done = guest.finish(waiting)
    assert done.code == 1
    assert (
        "the daemon ended before it had answered: its log tells more; run the command" in done.out
    )
    assert (guest.root / ".artifact-sync/daemon.sock").is_socket()
    own_service.simulator.clear_faults()
    assert guest.sync(WEBSITE, "--json").counts[0] == 4
    assert guest.files() == contents(own_service.simulator, WEBSITE)


def test_status_shows_what_the_daemon_does_now(guest: User, own_service: Running) -> None:
    own_service.simulator.add_fault(Stall(after=0.0, path=PAGE))
    with daemon(guest, ROCKET, WEBSITE, **SHORT) as process:
        wait_until(lambda: len(guest.files()) == 12)  # four pages are held up
        done = guest.run("status", "--root", guest.root)
        assert (done.code, done.err) == (0, "")
        lines = done.out.splitlines()
        assert lines[0].startswith(f"daemon: process {process.pid}, started ")
        assert any(line.startswith(f"{ROCKET}: under way for ") for line in lines)
        assert any(line.startswith(f"{WEBSITE}: under way for ") for line in lines)
        assert any(line.endswith("LAST COMPLETE  NEXT LOOK") for line in lines)
        assert [line.split()[-1] for line in lines if line.startswith("acme/")][-1] == "running"
        own_service.simulator.clear_faults()
        wait_until(lambda: len(guest.runs()) == 4)
        wait_until(lambda: not status(guest)["daemon"]["passes"])
        found = status(guest)
        assert [it["repo"] for it in found["repositories"]] == [ROCKET, WEBSITE]
        assert found["daemon"]["pid"] == process.pid
        assert datetime.fromisoformat(found["daemon"]["since"]).tzinfo is not None
        ended(guest, process)
    assert status(guest)["daemon"] is None


def status(user: User) -> dict[str, object]:
    done = user.run("status", "--root", user.root, "--json")
    assert done.code == 0
    found: dict[str, object] = json.loads(done.out)
    return found


def test_a_root_with_a_long_name_is_no_hindrance(tmp_path: Path) -> None:
    with running_in_thread(organisation()) as service:
        user = User(tmp_path, service)
        user.root = tmp_path / ("long" * 50) / "mirror"
        with daemon(user) as process:
            assert user.sync(WEBSITE, "--json").counts == (4, 4, 0, 0)
            assert status(user)["daemon"]
            ended(user, process)


def is_socket(user: User) -> bool:
    return (user.root / ".artifact-sync/daemon.sock").is_socket()


def test_a_socket_that_somebody_removes_is_bound_again(user: User, service: Running) -> None:
    """Guards against: a daemon that nobody can ask any more, whatever befell its socket."""
    path = user.root / ".artifact-sync/daemon.sock"

    def by_a_file() -> None:
        path.unlink()
        path.write_text("in the way")
        time.sleep(2)  # it goes on, however often it looks
        path.unlink()

    def by_another_socket() -> None:
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))

    with daemon(user) as process:
        for removed in (path.unlink, by_a_file, by_another_socket):
            removed()
            wait_until(lambda: user.run("status", "--root", user.root, "--json").answer["daemon"])
        assert path.stat().st_mode & 0o777 == 0o600
        assert user.sync(ROCKET).code == 0
        assert user.files() == contents(service.simulator, ROCKET)
        ended(user, process)


def test_a_socket_in_the_place_of_its_own_is_left_alone_at_the_end(user: User) -> None:
    path = user.root / ".artifact-sync/daemon.sock"
    with daemon(user) as process:
        process.send_signal(signal.SIGSTOP)
        path.rename(path.with_name("moved"))
        path.write_text("another's")
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert path.read_text() == "another's"
        path.unlink()


def test_a_mirror_that_a_daemon_holds_without_a_socket_is_told_as_a_daemons(user: User) -> None:
    """Guards against: "wait for it to end", said of a daemon, which never does."""
    path = user.root / ".artifact-sync/daemon.sock"
    with daemon(user) as process:
        path.unlink()
        path.mkdir()
        done = user.sync(ROCKET)
        assert done.code == 7
        assert f"is in use by process {process.pid} (artifact-sync daemon, since " in done.err
        assert "it cannot be asked" in done.err
        assert "wait for it to end" not in done.err
        path.rmdir()
        assert user.sync(ROCKET).code == 0  # it waits until the socket is bound again
        path.unlink()
        assert user.run("verify", "--root", user.root, "--repair").code == 0
        ended(user, process)


def test_a_repair_beside_a_daemon_is_the_daemons(guest: User, own_service: Running) -> None:
    """Guards against: ``verify --repair`` that has to wait for a daemon to end."""
    expected = contents(own_service.simulator, ROCKET)
    with daemon(guest) as process:
        assert guest.sync(ROCKET).code == 0
        changed, gone = sorted(expected)[:2]
        (guest.root / changed).write_bytes(b"changed")
        (guest.root / gone).unlink()
        assert guest.run("verify", "--root", guest.root).code == 1
        done = guest.run("verify", "--root", guest.root, "--repair")
        assert (done.code, done.out.splitlines()[-1].rpartition(", ")[2]) == (0, "2 repaired")
        assert f"the daemon (process {process.pid}) holds the mirror, and repairs it" in done.err
        assert guest.files() == expected
        assert guest.run("verify", "--root", guest.root).code == 0
        own_service.simulator.remove_file(ROCKET, "2", REPORT)
        (missing,) = [path for path in expected if "/2/" in path and path.endswith(REPORT)]
        (guest.root / missing).unlink()
        done = guest.run("verify", ROCKET, "--root", guest.root, "--repair", "--json")
        assert (done.code, done.answer["repaired"], done.answer["missing"]) == (1, [], [missing])
        assert done.answer["failures"]
        ended(guest, process)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ('[download]\njobs = "many"\n', "download.jobs"),
        ("[download\n", "not valid TOML"),
        ('[[repo]]\nname = "acme/rocket\n', "not valid TOML"),
        ("[daemon]\nintervall = 5\n", "unknown key"),
        ('[ledger]\nurl = "nonsense://x"\n', "ledger.url"),
    ],
)
def test_a_daemon_is_shown_also_under_a_configuration_that_is_not_valid_any_more(
    user: User, wrong: str, problem: str
) -> None:
    """Guards against: a mistake in the file that hides what the running daemon does."""
    config = user.folder / "daemon.toml"
    with daemon(user) as process:
        assert user.sync(ROCKET, "-q").code == 0
        good, _, _ = config.read_text().partition("[daemon]")
        config.write_text(good + wrong)
        status = user.run("status", "--config", config, "--json")
        assert (status.code, status.answer["daemon"]["pid"]) == (0, process.pid)
        assert problem in status.err
        listed = user.run("ls", ROCKET, "--config", config, "--json")
        assert (listed.code, len(listed.answer["artifacts"])) == (0, 12)
        assert problem in listed.err
        ended(user, process)
    alone = user.run("status", "--config", config)
    assert (alone.code, alone.out) == (2, "")
    assert problem in alone.err
