"""Files that would keep a reader waiting for ever: the daemon goes on, and ends when it is told."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from daemon_user import DaemonUser, run_complete
from user import TOKEN, Done, User, contents, organisation

from artifact_sync.simulator import running_in_thread as running

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="named pipes as POSIX has them")

ROCKET = "acme/rocket"
PIPE = "it is no regular file"
SEE = "see docs: troubleshooting/configuration#"


def pipe_at(path: Path) -> None:
    """A pipe that nobody writes to, in the place of a file."""
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o600)


def test_a_daemon_whose_configuration_and_token_become_pipes_goes_on_and_ends(
    tmp_path: Path,
) -> None:
    with running(organisation()) as service:
        user = DaemonUser(tmp_path, service)
        user.configure(ROCKET)
        good = user.config.read_text(encoding="utf-8")
        with user.daemon() as daemon:
            pipe_at(user.token_file)
            line = daemon.wait_for_line("the token cannot be read, the old one stays")
            assert f"token file {user.token_file}: cannot be read: {PIPE}" in line["problem"]
            pipe_at(user.config)
            line = daemon.wait_for_line("the new configuration is not used, the old one stays")
            assert line["problem"] == f"{user.config}: cannot be read: {PIPE}"
            daemon.send(signal.SIGHUP)
            assert daemon.get("/metrics")[0] == 200
            assert daemon.post_hook(run_complete(ROCKET, "3")) == 202
            daemon.wait_for(
                lambda: (
                    set(user.files())
                    == {path for path in contents(service.simulator) if path.startswith(ROCKET)}
                )
            )
            user.config.unlink()
            user.put(user.config, good)
            daemon.wait_for_line("the configuration is valid again")
            user.token_file.unlink()
            user.put(user.token_file, TOKEN)
            daemon.wait_for_line("the token can be read again")
            pipe_at(user.config)
            assert daemon.end(bound=25) == 0


def test_a_pipe_as_configuration_or_token_is_refused_in_words(tmp_path: Path) -> None:
    user = User(tmp_path, "http://127.0.0.1:1")
    pipe = tmp_path / "pipe"
    pipe_at(pipe)
    config = user.sync(ROCKET, "--config", pipe)
    token = user.sync(ROCKET, ARTIFACT_SYNC_SOURCE__TOKEN_FILE=str(pipe))
    hint = "write the token into it, or correct source.token_file"
    assert config == Done(2, "", f"{pipe}: cannot be read: {PIPE}\n{SEE}value\n")
    assert token == Done(
        2, "", f"token file {pipe}: cannot be read: {PIPE}; {hint}\n{SEE}secret-file\n"
    )
