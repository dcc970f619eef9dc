"""Few threads, little memory. Guards against: hangs, tracebacks and aborts where a limit is met.

Every place that starts a thread ends in words that name the limit, or does with fewer.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from user import contents, wait_until

from artifact_sync.domain.settings import CONTROL_SOCKET

if TYPE_CHECKING:
    from pathlib import Path

    from user import User

    from artifact_sync.simulator import Running

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's"),
    pytest.mark.skipif(getattr(os, "geteuid", int)() != 0, reason="needs root: it has no limit"),
    pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs util-linux"),
]
_OWN = 1_000_000 + os.getpid()
"""A user who has nothing else: threads are counted by user, also those of a test beside it."""
NOBODY = ("setpriv", f"--reuid={_OWN}", f"--regid={_OWN}", "--clear-groups")
MIB = 2**20
LIMITS = ("the system gives no further thread or process", "the system gives no more memory")


def limited(user: User, limits: list[str], *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["prlimit", *limits, *NOBODY, *user.command(*arguments)],
        cwd="/",
        env=user.environ | {"HOME": "/nowhere", "XDG_CONFIG_HOME": "/nowhere"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 5, 7, 9])
def test_a_pass_does_with_the_threads_that_there_are(
    user: User, service: Running, anywhere: Path, threads: int
) -> None:
    user.root = anywhere / "mirror"
    sync = ("sync", "acme/rocket", "acme/website", "--root", user.root)
    with limited(user, [f"--nproc={threads}"], *sync) as process:
        out, err = process.communicate(timeout=60)
    user.check_words(out + err)
    if process.returncode == 0:
        assert user.files() == contents(service.simulator)
    else:
        assert process.returncode == 1
        assert LIMITS[0] in out + err
        assert "ulimit -u" in out + err
    assert process.returncode == 0 or threads < 5


@pytest.mark.parametrize("stack", [[], [f"--stack={256 * MIB}"]])
@pytest.mark.parametrize("memory", [600, 400, 200, 100])
def test_a_pass_with_little_memory_ends_in_words(
    user: User, anywhere: Path, memory: int, stack: list[str]
) -> None:
    user.root = anywhere / "mirror"
    limits = [f"--as={memory * MIB}", *stack]
    with limited(user, limits, "sync", "acme/website", "--root", user.root) as process:
        out, err = process.communicate(timeout=60)
    user.check_words(out + err)
    assert process.returncode in {0, 1}
    told = (*LIMITS, "MiB of memory is too little")
    assert process.returncode == 0 or any(words in out + err for words in told)


@pytest.mark.parametrize("threads", [1, 4, 6, 8])
def test_a_daemon_ends_at_once_or_when_it_is_told_to(
    user: User, anywhere: Path, threads: int
) -> None:
    config = anywhere / "config.toml"
    config.write_text('[[repo]]\nname = "acme/website"\n[mirror]\nwatch = "report"\n')
    own = anywhere / "mirror" / ".artifact-sync"
    daemon = ("daemon", "--config", config, "--root", anywhere / "mirror")
    with limited(user, [f"--nproc={threads}"], *daemon) as process:
        wait_until(lambda: (own / CONTROL_SOCKET).exists() or process.poll() is not None)
        process.terminate()
        out, err = process.communicate(timeout=60)
    user.check_words(out + err)
    assert process.returncode == 0 or (process.returncode == 1 and LIMITS[0] in err), err
