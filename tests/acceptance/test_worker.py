"""Workers with the daemon's habits, and a daemon among them: the real program on PostgreSQL."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from daemon_user import Daemon, DaemonUser
from user import contents, organisation

from artifact_sync.simulator import Simulator, running_in_thread

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
                refused(user, "worker one", worker)
                worker.wait_for(lambda: user.files() == contents(simulator))
                assert worker.end() == 0
        with user.daemon() as daemon:
            assert daemon.end() == 0
