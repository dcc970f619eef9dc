"""Several processes on one folder whose file system gives no locks, as over a network."""

from __future__ import annotations

import errno
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from failing_calls import failing
from user import User, organisation

from artifact_sync.simulator import Simulator, running_in_thread

if TYPE_CHECKING:
    from pathlib import Path

    from postgres_server import Postgres


@pytest.mark.servers
def test_no_lock_of_the_file_system_is_asked_for_where_the_ledger_is_on_a_server(
    tmp_path: Path, postgres: Postgres
) -> None:
    simulator = Simulator(organisation())
    with running_in_thread(simulator) as running:
        user = User(tmp_path, running)
        user.environ["ARTIFACT_SYNC_LEDGER__URL"] = postgres.ledger()
        user.environ |= failing("flock", errno.ENOLCK)
        with ExitStack() as stack:
            command = ("sync", "acme/*", "--root", user.root)
            started = [stack.enter_context(user.started(*command)) for _ in range(2)]
            both = [user.finish(it) for it in started]
        assert [it.code for it in both] == [0, 0], both
        assert simulator.requests["file"] == len(user.files())
        for also in (("verify", "--repair"), ("forget", "acme/rocket", "1", "--delete", "--yes")):
            done = user.run(*also, "--root", user.root)
            assert done.code == 0, (also, done.err)
