"""Workers with the daemon's habits, and a daemon among them: the real program on PostgreSQL."""

from __future__ import annotations

import json
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from daemon_user import Daemon, DaemonUser, run_complete
from user import contents, organisation, run_of_four

from artifact_sync.simulator import Simulator, running_in_thread
from artifact_sync.simulator.faults import Stall

if TYPE_CHECKING:
    from pathlib import Path

    from postgres_server import Postgres

pytestmark = pytest.mark.servers

PLANS = "this worker plans from now on"


def refused(user: DaemonUser, planner: str, daemon: Daemon) -> None:
    """A daemon is refused, since this process plans."""
    done = user.run("daemon", "--config", user.config)
    assert done.code == 7, done.err
    assert f"artifact-sync {planner} on " in done.err
    assert f"(process {daemon.process.pid}) plans the passes over this mirror" in done.err


HOOK = """
[[hook]]
on = ["run.complete"]
command = ["%s"]
"""
HOLDERS = "SELECT count(DISTINCT pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
LONG_AGO = "2020-01-01T00:00:00.000000Z"


def workers(user: DaemonUser) -> dict[str, dict[str, Any]]:
    """Who works, by name, as any machine sees it."""
    done = user.run("status", "--config", user.config, "--json")
    assert done.code == 0, done.err
    return {it["name"]: it for it in done.answer["workers"]}


def age(url: str) -> None:
    """Have everything been verified long ago, and not since."""
    with psycopg.connect(url, autocommit=True) as ledger:
        ledger.execute("UPDATE artifacts SET verified_at = %s", [LONG_AGO])
        ledger.execute("UPDATE runs SET oldest_verified = %s WHERE mirrored > 0", [LONG_AGO])


def tell_of_each_other(planner: Daemon, idle: Daemon, name: str) -> None:
    """Both tell of both; of repositories the planner alone."""
    for worker in (planner, idle):
        said = json.loads(worker.get("/api/status")[1])
        assert [it["name"] for it in said["workers"]] == ["one", "two"]
        assert said["planner"] == name
        assert set(said["queue"]) == {"waiting", "running", "stalled"}
        metrics = worker.get("/metrics")[1].decode().splitlines()
        assert "artifact_sync_fleet_workers 2.0" in metrics
        (age,) = (it for it in metrics if it.startswith("artifact_sync_fleet_planner_age_seconds"))
        assert 0 <= float(age.split()[1]) < 30
    repos = {it["repo"] for it in planner.ask()["repositories"]}
    assert repos == {"acme/*", "acme/docs", "acme/rocket", "acme/website"}
    complete = 'artifact_sync_last_complete_pass_age_seconds{repo="acme/website"}'
    planner.wait_for(lambda: complete in planner.get("/metrics")[1].decode())
    assert complete not in idle.get("/metrics")[1].decode()


def is_held_up(worker: Daemon) -> bool:
    """Whether it fetches the files of ``acme/docs``, of which one has halted."""
    passes = [it for it in worker.ask()["passes"] if it["repo"] == "acme/docs"]
    return [it["planned"] for it in passes] == [4]


def tell_who_is_busy(user: DaemonUser, busy: Daemon, name: str) -> None:
    """Who waits for a repository, and who looks, is told which worker has it."""
    with user.started("sync", "acme/docs", "--config", user.config) as waiting:
        assert waiting.stderr is not None
        line = str(waiting.stderr.readline())
        waiting.kill()
    assert f"acme/docs is being worked on by artifact-sync worker {name} on " in line
    assert f"(process {busy.process.pid}): waiting" in line
    head, *rest = user.run("status", "--config", user.config).out.splitlines()
    assert head.startswith("2 workers, ")
    shown = [it for it in rest if it.startswith(f"worker {name} (process {busy.process.pid} on ")]
    assert ["acme/docs" in it for it in shown] == [True]


def test_workers_hear_webhooks_reload_tell_hooks_mend_damage_and_stop_at_once(
    tmp_path: Path, postgres: Postgres
) -> None:
    simulator, url = Simulator(organisation()), postgres.schema()
    hook, told = tmp_path / "tell", tmp_path / "told"
    hook.write_text(f"#!/bin/sh\ncat >> {told}\n")
    hook.chmod(0o755)
    with running_in_thread(simulator) as running, ExitStack() as stack:
        user = DaemonUser(tmp_path, running)
        rare = {"text": HOOK % hook, "ledger__url": url, "daemon__interval": "1h"}
        rare["verify__every"] = "20s"
        user.configure("acme/*", **rare)
        one, two = (
            stack.enter_context(user.daemon("--name", name, "--sign", 1, command="worker"))
            for name in ("one", "two")
        )

        def is_whole() -> bool:
            return user.files() == contents(simulator)

        one.wait_for(is_whole)
        one.wait_for(lambda: [it["planner"] for it in workers(user).values()].count(True) == 1)
        planner, idle = (one, two) if workers(user)["one"]["planner"] else (two, one)
        tell_of_each_other(planner, idle, "one" if planner is one else "two")
        assert len([*one.said("organisation listed"), *two.said("organisation listed")]) == 1
        one.wait_for(lambda: postgres.ask(HOLDERS) == [(2,)])  # one connection for all locks
        postgres.cut()
        one.wait_for(lambda: len([*one.said(PLANS), *two.said(PLANS)]) >= 2)
        planner.wait_for(lambda: bool(planner.said("the planner's lock was lost")))

        simulator.add_run("acme/rocket", run_of_four("9"))
        assert idle.post_hook(run_complete("acme/rocket", "9")) == 202
        idle.wait_for(is_whole)
        idle.wait_for(lambda: told.exists() and len(told.read_text().splitlines()) == 5)

        age(url)
        rotten = next(iter(sorted(user.files())))
        (user.root / rotten).write_bytes(b"rotten")
        one.wait_for(is_whole)

        user.configure("acme/*", **rare | {"daemon__interval": "1s"})
        for worker in (one, two):
            worker.send(signal.SIGHUP)
        simulator.add_run("acme/website", run_of_four("8"))
        one.wait_for(is_whole)

        simulator.add_fault(Stall(after=0.5, first=1))
        simulator.add_run("acme/docs", run_of_four("1"))
        one.wait_for(lambda: is_held_up(one) or is_held_up(two))
        busy, other = (one, two) if is_held_up(one) else (two, one)
        busy.wait_for(lambda: "acme/docs" in str(workers(user)))
        tell_who_is_busy(user, busy, "one" if busy is one else "two")
        busy.send(signal.SIGTERM)
        busy.wait_for_line("stopping")
        assert busy.end(signal.SIGTERM, 10) == 130
        other.wait_for(is_whole)
        other.wait_for(lambda: len(told.read_text().splitlines()) == 7)
        assert other.end() == 0


def test_a_daemon_or_one_of_the_workers_plans_and_never_two(
    tmp_path: Path, postgres: Postgres
) -> None:
    simulator = Simulator(organisation())
    with running_in_thread(simulator) as running:
        user = DaemonUser(tmp_path, running)
        user.configure("acme/*", ledger__url=postgres.schema(), web__listen=None)
        with user.daemon() as daemon:
            refused(user, "daemon", daemon)
            with user.daemon("--name", "one", "--sign", 1, command="worker") as worker:
                assert worker.said(PLANS) == []
                daemon.send(signal.SIGSTOP)
                postgres.cut()  # the connection of its locks, too, while it does not look
                worker.wait_for_line(PLANS)
                daemon.send(signal.SIGCONT)
                assert daemon.end(None) == 7
                worker.wait_for(lambda: workers(user).get("one", {}).get("planner", False))
                refused(user, "worker one", worker)
                worker.wait_for(lambda: user.files() == contents(simulator))
                assert worker.end() == 0
        with user.daemon() as daemon:
            assert daemon.end() == 0
