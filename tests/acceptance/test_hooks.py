"""Hooks are told what happens to the mirror: at least once, and without holding anything up."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from daemon_user import DaemonUser, run_complete
from user import TOKEN, User, organisation, run_of_four

from artifact_sync.simulator import running_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROCKET = "acme/rocket"


class HookUser(User):
    """Has a configuration with hooks."""

    def configure(self, *hooks: str) -> None:
        """Write the configuration: a repository, and these tables of hooks."""
        text = f'[mirror]\nroot = "{self.root}"\n[[repo]]\nname = "{ROCKET}"\n'
        tables = (f"[[hook]]\n{hook}\n" for hook in hooks)
        (self.folder / "config.toml").write_text(text + "".join(tables))

    def program(self, script: str, name: str = "hook") -> str:
        """Write a script; a line of configuration that calls it."""
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return f'command = ["{path}"]'

    def call(self, *arguments: object) -> Any:
        return self.run(*arguments, "--config", self.folder / "config.toml")

    @property
    def told(self) -> list[dict[str, Any]]:
        """What the script has written down."""
        path = self.folder / "told"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


WRITE_DOWN = "cat >> $HOME/told"


@pytest.fixture
def user(tmp_path: Path) -> Iterator[HookUser]:
    with running_in_thread(organisation()) as service:
        yield HookUser(tmp_path, service)


def test_a_program_is_told_of_each_run_that_is_complete_and_of_none_twice(user: HookUser) -> None:
    script = f"{WRITE_DOWN}; env > $HOME/environ; pwd > $HOME/folder"
    user.configure('on = ["run.complete"]\n' + user.program(script))
    assert user.call("sync").code == 0
    assert sorted(it["run"] for it in user.told) == ["1", "2", "3"]
    for it in user.told:
        assert (it["event"], it["repo"], it["path"]) == (
            "run.complete",
            ROCKET,
            f"{ROCKET}/{it['run']}",
        )
        assert (user.root / it["path"] / "SHA256SUMS").is_file()
        assert it["files"] == 4
    assert len({it["id"] for it in user.told}) == 3
    environ = dict(
        line.split("=", 1) for line in (user.folder / "environ").read_text().splitlines()
    )
    last = user.told[-1]
    assert environ["ARTIFACT_SYNC_HOOK_ID"] == last["id"]
    assert environ["ARTIFACT_SYNC_HOOK_PATH"] == last["path"]
    assert environ["ARTIFACT_SYNC_HOOK_ROOT"] == str(user.root)
    assert TOKEN not in (user.folder / "environ").read_text()
    ours = {name for name in environ if not name.startswith(("ARTIFACT_SYNC_HOOK_", "LC_"))}
    assert ours <= {"PATH", "HOME", "PWD", "OLDPWD", "SHLVL", "_"}
    assert (user.folder / "folder").read_text().strip() == str(user.root)
    assert user.call("sync").code == 0
    assert len(user.told) == 3


def test_a_program_that_fails_is_told_again_by_a_later_sync(user: HookUser) -> None:
    user.configure('on = ["run.complete"]\n' + user.program("echo no room in the mailbox; exit 3"))
    done = user.call("sync")
    assert done.code == 0
    assert "a hook could not be told, and is tried again" in done.err
    assert "ended with 3: no room in the mailbox" in done.err
    user.program(WRITE_DOWN)
    for _ in range(200):
        assert user.call("sync").code == 0
        if len(user.told) == 3:
            break
    assert sorted(it["run"] for it in user.told) == ["1", "2", "3"]


def test_what_waits_is_listed_told_now_and_dropped(user: HookUser) -> None:
    user.configure('name = "mail"\non = ["run.complete"]\n' + user.program("exit 3"))
    assert user.call("sync").code == 0
    answer = user.call("hooks", "--json").answer
    assert [(it["hook"], it["event"], it["tries"]) for it in answer["waiting"]] == [
        ("mail", "run.complete", 1)
    ] * 3
    assert answer["failed"] == []
    assert {it["last_error"] for it in answer["waiting"]} == {"ended with 3"}
    assert user.call("hooks").out.count("mail") == 3
    done = user.call("hooks", "retry")
    assert (done.code, done.out.splitlines()[0]) == (1, "told 0 of 3 deliveries")
    first, second, third = (it["id"] for it in answer["waiting"])
    user.program(WRITE_DOWN)
    answer = user.call("hooks", "retry", first, "--json").answer
    assert [it["id"] for it in answer["delivered"]] == [first]
    assert [it["id"] for it in user.told] == [first]
    answer = user.call("hooks", "drop", second, "--json").answer
    assert [it["id"] for it in answer["dropped"]] == [second]
    assert [it["id"] for it in answer["waiting"]] == [third]
    assert user.call("hooks", "retry").code == 0
    assert [it["id"] for it in user.told] == [first, third]
    done = user.call("hooks", "drop", first, "--json")
    assert (done.code, done.answer["failures"][0]["reason"]) == (2, "usage")


def test_what_waits_for_a_hook_that_was_removed_is_dropped_and_told(user: HookUser) -> None:
    hooks = [f'name = "{name}"\non = ["run.complete"]\n' + user.program("exit 1") for name in "ab"]
    user.configure(*hooks)
    assert user.call("sync").code == 0
    user.configure(hooks[0])
    done = user.call("sync")
    message = "deliveries were dropped: their hook is not in the configuration any more"
    assert f"{message} hook=b deliveries=3" in done.err
    assert {it["hook"] for it in user.call("hooks", "--json").answer["waiting"]} == {"a"}
    user.configure()
    assert f"{message} hook=a deliveries=3" in user.call("sync").err
    assert message not in user.call("sync").err


def test_a_program_that_hangs_is_killed_after_its_timeout_and_told_again_later(
    user: HookUser,
) -> None:
    script = "trap '' TERM; echo $$ >> $HOME/pids; while :; do sleep 0.2; done"
    user.configure('on = ["run.complete"]\ntimeout = "1s"\n' + user.program(script))
    done = user.call("sync", ROCKET, "--run", "1")
    assert done.code == 0
    assert "took more than 1 s" in done.err
    (pid,) = (user.folder / "pids").read_text().split()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
    assert len(user.call("hooks", "--json").answer["waiting"]) == 1


def test_killed_in_the_midst_of_a_delivery_it_is_made_once_more_with_the_same_id(
    user: HookUser,
) -> None:
    script = f"{WRITE_DOWN}; test -e $HOME/killed || {{ touch $HOME/killed; kill -9 $PPID; }}"
    user.configure('on = ["run.complete"]\n' + user.program(script))
    assert user.call("sync", ROCKET, "--run", "1").code == -signal.SIGKILL
    (first,) = user.told
    assert user.call("sync", ROCKET, "--run", "1").code == 0
    assert user.told == [first, first]
    assert user.call("hooks", "--json").answer["waiting"] == []


def test_files_that_are_removed_are_told_by_the_command_that_removes_them(user: HookUser) -> None:
    user.configure('on = ["pruned"]\n' + user.program(WRITE_DOWN))
    assert user.call("sync").code == 0
    assert user.told == []
    assert user.call("forget", ROCKET, "1", "--delete", "--yes").code == 0
    (it,) = user.told
    assert (it["event"], it["run"], it["files"]) == ("pruned", "1", 4)


def test_the_check_of_a_configuration_names_what_cannot_be_called(user: HookUser) -> None:
    line = user.program("exit 0")
    (user.folder / "hook").chmod(0o600)
    secret = user.folder / "secret"
    secret.write_text("s3cret\n")
    secret.chmod(0o644)
    url = 'url = "https://u:pw@hooks.example.org/T0/key?k=v"'
    user.configure(
        f'on = ["pruned"]\n{line}',
        'name = "no-such"\non = ["pruned"]\ncommand = ["no-such-program"]',
        f'name = "signed"\non = ["pruned"]\n{url}\nsecret_file = "{secret}"',
        f'name = "plain"\non = ["pruned"]\n{url}',
    )
    done = user.call("config", "check")
    assert done.code == 2
    assert "hook hook: " in done.err
    assert "hook no-such: no-such-program is not there" in done.err
    assert f"hook's secret file {secret}: others can read or write it" in done.err
    assert "hook plain: has no secret_file: what is posted is not signed" in done.err
    shown = user.call("config", "show").out
    assert 'url = "https://hooks.example.org/…"' in shown
    assert "pw" not in shown
    assert "T0" not in shown


class _Address(BaseHTTPRequestHandler):
    """Answers with the statuses in turn, then with 204."""

    got: ClassVar[list[tuple[str, dict[str, str], bytes]]]
    statuses: ClassVar[list[int]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.path, dict(self.headers), body))
        status = self.statuses.pop(0) if self.statuses else 204
        self.send_response(status)
        if status == 503:
            self.send_header("Retry-After", "3000")
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[tuple[str, type[_Address]]]:
    """Where to post, with a password and a key; and what came."""
    answers = type("Answers", (_Address,), {"got": [], "statuses": [302, 500]})
    with HTTPServer(("127.0.0.1", 0), answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://u:hidden-pw@127.0.0.1:{server.server_port}/hidden-T0/x?k=hidden-key", answers
        server.shutdown()
        thread.join()


def test_a_daemon_posts_signed_events_until_they_are_taken(
    tmp_path: Path, address: tuple[str, type[_Address]]
) -> None:
    url, answers = address
    with running_in_thread(organisation()) as service:
        user = DaemonUser(tmp_path, service)
        secret = tmp_path / "secret"
        user.put(secret, "s3cret-of-ours\n")
        hook = f'[[hook]]\non = ["run.complete"]\nurl = "{url}"\nsecret_file = "{secret}"\n'
        user.configure(ROCKET, text=hook)
        with user.daemon() as daemon:
            deadline = time.monotonic() + 60
            while len({body for _, _, body in answers.got}) < 3 or len(answers.got) < 5:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            log = daemon.log.read_text()
    for path, headers, body in answers.got:
        assert path == "/hidden-T0/x?k=hidden-key"
        digest = hmac.new(b"s3cret-of-ours", body, hashlib.sha256).hexdigest()
        assert headers["X-Artifact-Sync-Signature"] == f"sha256={digest}"
        assert headers["X-Artifact-Sync-Delivery"] == json.loads(body)["id"]
        assert TOKEN not in str(headers)
    assert "answered with a redirect (302), which is not followed" in log
    assert "127.0.0.1 answered 500" in log
    for hidden in ("hidden", "s3cret-of-ours"):
        assert hidden not in log


def test_what_a_hook_has_put_off_a_daemon_tells_when_it_is_asked_to(
    tmp_path: Path, address: tuple[str, type[_Address]]
) -> None:
    url, answers = address
    answers.statuses[:] = [503]
    with running_in_thread(organisation()) as service:
        user = DaemonUser(tmp_path, service)
        user.configure(ROCKET, text=f'[[hook]]\non = ["run.complete"]\nurl = "{url}"\n')
        with user.daemon() as daemon:
            listing = ("hooks", "--json", "--config", user.config)
            daemon.wait_for_line("a hook could not be told")
            (put_off, *_) = user.run(*listing).answer["waiting"]
            moment = datetime.fromisoformat(put_off["next_try"])
            assert moment > datetime.now(UTC) + timedelta(minutes=40)
            done = user.run("hooks", "retry", put_off["id"], "--config", user.config)
            assert "the process that holds the mirror tells it" in done.err
            daemon.wait_for(lambda: _count(answers, put_off["id"]) == 2)
            daemon.wait_for(lambda: put_off["id"] not in user.run(*listing).out)
            assert daemon.end() == 0


def _count(answers: type[_Address], delivery: str) -> int:
    return sum(json.loads(body)["id"] == delivery for _, _, body in answers.got)


def test_a_daemon_goes_by_hooks_that_are_added_changed_and_removed(tmp_path: Path) -> None:
    """Also in the midst of a delivery, which is made to its end, and not again."""
    with running_in_thread(organisation()) as service:
        user = DaemonUser(tmp_path, service)

        def configure(**scripts: str) -> None:
            hooks = ""
            for name, file in scripts.items():
                command = ["/bin/sh", "-c", f"cat >> {tmp_path / file}; sleep 0.3"]
                hooks += f'[[hook]]\nname = "{name}"\non = ["run.complete"]\n'
                hooks += f"command = {json.dumps(command)}\n"
            user.configure(ROCKET, text=hooks)

        def told(file: str) -> list[str]:
            path = tmp_path / file
            lines = path.read_text().splitlines() if path.exists() else []
            return [json.loads(line)["run"] for line in lines]

        configure(a="one")
        with user.daemon() as daemon:
            daemon.wait_for(lambda: sorted(told("one")) == ["1", "2", "3"])
            for run, changes, hooks, expected in (
                ("12", 2, {"a": "two", "b": "three"}, {"two": ["12"], "three": ["12"]}),
                ("13", 3, {"b": "three"}, {"two": ["12"], "three": ["12", "13"]}),
            ):
                configure(**hooks)
                daemon.send(signal.SIGHUP)
                daemon.wait_for_line("the configuration has changed", changes)
                service.simulator.add_run(ROCKET, run_of_four(run, days=0))
                assert daemon.post_hook(run_complete(ROCKET, run, run)) == 202
                daemon.wait_for(lambda now=expected: {it: told(it) for it in now} == now)
            assert daemon.end() == 0
        assert sorted(told("one")) == ["1", "2", "3"]
