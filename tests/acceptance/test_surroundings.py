"""Odd surroundings: no home folder, streams that nobody reads, ignored signals, authorities."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from user import TOKEN, User, wait_until

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full, /proc and uids")
PROGRAM = [sys.executable, "-m", "artifact_sync"]
NOBODY = 54_321
"""A uid without an account."""


def called(*arguments: object, uid: int | None = None, **environ: str) -> tuple[int, str, str]:
    """A call with nothing in its environment but these."""
    become = (
        [] if uid is None else ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    )
    done = subprocess.run(
        [*become, *PROGRAM, *map(str, arguments)],
        env={"PATH": os.environ["PATH"], "SOURCECRAFT_TOKEN": TOKEN, **environ},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "bug" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


# Guards against: a home folder that is taken for granted (any uid in a container; HOME that is
# empty, relative or a tilde).
@linux
@pytest.mark.skipif(getattr(os, "geteuid", int)() != 0, reason="needs root to be somebody else")
@pytest.mark.parametrize("home", [{}, {"HOME": ""}, {"HOME": "here/below"}, {"HOME": "~"}])
@pytest.mark.parametrize("uid", [NOBODY, None])
def test_without_a_home_folder_everything_works_that_needs_none(
    anywhere: Path, uid: int | None, home: dict[str, str]
) -> None:
    site = anywhere / "site" / "artifact-sync"
    site.mkdir(parents=True)
    (site / "config.toml").write_text("[download]\njobs = 3\n")
    environ = {**home, "XDG_CONFIG_DIRS": str(site.parent)}
    assert called("status", "--root", anywhere / "m", uid=uid, **environ)[0] == 0
    code, out, _ = called("config", "show", uid=uid, **environ)
    assert (code, "jobs = 3" in out) == (0, True)


@linux
@pytest.mark.skipif(getattr(os, "geteuid", int)() != 0, reason="needs root to be somebody else")
def test_what_would_need_a_home_folder_says_so(anywhere: Path) -> None:
    for home in ({}, {"HOME": ""}, {"HOME": "rel"}, {"HOME": "~"}):
        code, _, err = called("config", "init", uid=NOBODY, **home)
        assert code == 2
        assert err.splitlines() == [
            "no home folder is known: name the file by --config or ARTIFACT_SYNC_CONFIG",
            "see docs: troubleshooting/configuration#no-file",
        ]
        code, _, err = called("status", "--root", "~/mirror", uid=NOBODY, **home)
        assert (code, "no home folder is known for ~" in err) == (2, True)
        environ = {**home, "ARTIFACT_SYNC_MIRROR__ROOT": "~/mirror"}
        code, _, err = called("config", "show", uid=NOBODY, **environ)
        assert (code, "no home folder is known for ~" in err) == (2, True)
    path = anywhere / "mine.toml"
    assert called("config", "init", "--path", path, uid=NOBODY)[0] == 0


# Guards against: an exit code that depends on who reads the log (120 is the interpreter's own).
@linux
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["sync", "acme/website"], 0),
        (["sync", "acme/nowhere"], 1),
        (["sync"], 2),
        (["sync", "--no-such-option"], 2),
        (["ls"], 0),
        (["status"], 0),
        (["verify"], 2),
    ],
)
def test_the_exit_code_is_the_same_whatever_becomes_of_stderr(
    user: User, arguments: list[str], code: int, *, full: bool
) -> None:
    assert code_without_reader(user, [*arguments, "--root", user.root], "stderr", full=full) == code


@linux
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize(
    ("arguments", "codes"),
    [
        (["sync", "acme/website"], {True: 6, False: 1}),
        (["sync", "acme/website", "--json"], {True: 6, False: 1}),
        (["sync", "acme/nowhere"], {True: 1, False: 1}),
        (["sync", "acme/website", "acme/nowhere", "--json"], {True: 1, False: 1}),
        (["status"], {True: 6, False: 1}),
    ],
)
def test_a_result_that_nobody_can_read_does_not_hide_a_failure(
    user: User, arguments: list[str], codes: dict[bool, int], *, full: bool
) -> None:
    arguments = [*arguments, "--root", str(user.root)]
    assert code_without_reader(user, arguments, "stdout", full=full) == codes[full]


@linux
@pytest.mark.parametrize("full", [True, False])
def test_a_failure_of_integrity_is_told_by_the_code_alone(user: User, *, full: bool) -> None:
    assert user.sync("acme/website").code == 0
    victim = next(iter(user.files()))
    (user.root / victim).write_bytes(b"other bytes")
    arguments = ["verify", "--root", str(user.root)]
    told = user.run(*arguments).code
    assert told not in {0, 120}
    for stream in ("stdout", "stderr"):
        assert code_without_reader(user, arguments, stream, full=full) == told


@linux
def test_a_daemon_whose_log_is_lost_ends_with_its_own_code(user: User) -> None:
    for full in (True, False):
        with without_reader(user, ["daemon", "--root", user.root], "stderr", full=full) as process:
            wait_until((user.root / ".artifact-sync" / "daemon.sock").exists)
            process.terminate()
            assert process.wait(30) == 0


def code_without_reader(
    user: User, arguments: list[object], stream: str, *, full: bool
) -> int | None:
    with without_reader(user, arguments, stream, full=full) as process:
        return process.wait(60)


def without_reader(
    user: User, arguments: list[object], stream: str, *, full: bool
) -> subprocess.Popen[str]:
    """A call of which one stream goes to a full disk, or to a reader that has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    lost = os.open("/dev/full", os.O_WRONLY) if full else os.dup(writer)
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | {stream: lost}
    try:
        return subprocess.Popen(
            user.command(*arguments), cwd=user.folder, env=user.environ, text=True, **streams
        )
    finally:
        os.close(lost)
        os.close(writer)


# Guards against: a signal that the caller has set to be ignored and that ends us all the same.
@linux
@pytest.mark.parametrize("ignored", [signal.SIGINT, signal.SIGTERM])
def test_an_ignored_signal_stays_ignored(user: User, ignored: signal.Signals) -> None:
    (user.folder / "config.toml").write_text('[[repo]]\nname = "acme/website"\n')
    other = signal.SIGTERM if ignored is signal.SIGINT else signal.SIGINT
    trap = f"trap '' {ignored.name.removeprefix('SIG')}; exec \"$@\""
    command = user.command("daemon", "--config", "config.toml", "--root", user.root)
    with subprocess.Popen(
        ["sh", "-c", trap, "sh", *command],
        cwd=user.folder,
        env=user.environ,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_until((user.root / ".artifact-sync" / "daemon.sock").exists)
            status = Path(f"/proc/{process.pid}/status").read_text().split("SigIgn:")[1].split()[0]
            assert int(status, 16) & 1 << (ignored - 1)
            process.send_signal(ignored)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1)
            process.send_signal(other)
            assert process.wait(30) == 0
        finally:
            process.kill()


# Guards against: a fallback that swallows its cause, and authorities that are silently nobody.
@linux
@pytest.mark.parametrize("there", [False, True])
def test_a_folder_of_authorities_without_any_is_refused_by_its_name(
    user: User, tmp_path: Path, *, there: bool
) -> None:
    folder = tmp_path / "certs"
    if there:
        folder.mkdir()
        (folder / "README").write_text("no certificate")
    environ = {"SSL_CERT_FILE": "", "SSL_CERT_DIR": str(folder)}
    why = "no certificate in it" if there else "No such file or directory"
    for arguments in (["sync", "acme/website", "--root", user.root], ["config", "check"]):
        done = user.run(*arguments, ARTIFACT_SYNC_SOURCE__BASE_URL="https://127.0.0.1:9", **environ)
        assert done.code == 2
        assert f"SSL_CERT_DIR {folder} can't be used ({why}" in done.err
    assert "Rust" not in done.err


def test_a_rust_client_that_cannot_be_loaded_is_told_with_the_cause(
    user: User, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    broken = "raise ImportError('libgcc_s.so.1: cannot open shared object file')\n"
    (tmp_path / "site" / "pyreqwest.py").write_text(broken)
    done = user.sync("acme/website", PYTHONPATH=str(tmp_path / "site"))
    assert done.code == 0
    assert "the client in Rust can't be used: libgcc_s.so.1: cannot open" in done.err
    assert "pip install" not in done.err
    assert json.loads(user.sync("acme/website", "--json").out)["complete"]
