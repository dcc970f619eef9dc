"""Calls the program. Where it can, a process that has imported it forks, which spares its start."""

from __future__ import annotations

import atexit
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_COMMANDS = (
    *("adopt", "displaced", "du", "forget", "ls", "path", "show", "status", "sync", "verify"),
    "why",
)
_IMPORTED = (
    "anyio._backends._asyncio",
    "platformdirs.unix",
    "artifact_sync.__main__",
    "artifact_sync.app.adoption",
    "artifact_sync.app.assemble_pass",
    "artifact_sync.app.assemble_transfers",
    "artifact_sync.app.examination",
    "artifact_sync.app.explanation",
    "artifact_sync.app.forgetting",
    "artifact_sync.app.listing",
    "artifact_sync.app.read_ledger",
    "artifact_sync.cli.logs.setup",
    "artifact_sync.cli.run_pass",
    "artifact_sync.cli.terminal",
    "artifact_sync.config.api_token",
    "artifact_sync.ledger.async_ledger",
    "artifact_sync.ledger.drivers.errors",
    "artifact_sync.ledger.drivers.sqlite",
    "artifact_sync.source.api.decode_record",
    "artifact_sync.source.links.fetcher",
    "artifact_sync.sync.run",
    "artifact_sync.sync.verify",
    "artifact_sync.transfer.download",
    *(f"artifact_sync.cli.commands.{it}" for it in _COMMANDS),
)
"""What else the calls would import, each anew."""

_READ_AT_START = ("LANG", "LC_", "LD_", "MALLOC_", "PYTHON", "TERM", "TZ")
"""How variables begin that a process has to be started with."""
PROGRAM = (sys.executable, "-m", "artifact_sync")
UTF8 = {"PYTHONUTF8": "1"}
"""What the process that forks was started with."""


class Said(NamedTuple):
    """How a call ended."""

    code: int
    out: str
    err: str


def call_program(
    arguments: Sequence[str], folder: Path, environ: Mapping[str, str], timeout: float = 60
) -> Said:
    """Call the program in a folder, with this environment alone, and wait for its end."""
    at_start = {name: value for name, value in environ.items() if name.startswith(_READ_AT_START)}
    if at_start == UTF8 and hasattr(os, "fork"):
        return _forked_program(threading.get_ident()).call(arguments, folder, environ, timeout)
    done = subprocess.run(
        [*PROGRAM, *arguments],
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


class _ForkedProgram:
    """A process that has imported the program, and forks for each call."""

    def __init__(self) -> None:
        self._said = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [sys.executable, __file__, *map(str, self._places)],
            env=os.environ | UTF8,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def _places(self) -> list[Path]:
        return [Path(self._said.name, name) for name in ("stdout", "stderr")]

    def call(
        self, arguments: Sequence[str], folder: Path, environ: Mapping[str, str], timeout: float
    ) -> Said:
        assert self._process.stdin is not None
        call = [list(arguments), str(folder), dict(environ)]
        try:
            self._process.stdin.write(json.dumps(call).encode() + b"\n")
            self._process.stdin.flush()
            code = int(self._answer(timeout))
        except BaseException:  # as a timeout of the test: the answer would be taken for the next
            _forked_program.cache_clear()  # those of other threads end with the process
            self.end()
            raise
        return Said(code, *(place.read_text(encoding="utf-8") for place in self._places))

    def _answer(self, timeout: float) -> bytes:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout):
                raise subprocess.TimeoutExpired("artifact-sync", timeout)
        return self._process.stdout.readline()

    def end(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        self._said.cleanup()


@cache
def _forked_program(thread: int) -> _ForkedProgram:  # noqa: ARG001 - each has its own
    """One for all tests of a thread, which waits for its answers."""
    program = _ForkedProgram()
    atexit.register(program.end)
    return program


def _serve(places: Sequence[str]) -> None:
    """Fork for each call, and tell its exit code."""
    for name in _IMPORTED:
        import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become(places, *json.loads(line))
        status = os.waitpid(child, 0)[1]
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _become(
    places: Sequence[str], arguments: Sequence[str], folder: str, environ: Mapping[str, str]
) -> None:
    """Be the program until its end."""
    from artifact_sync import __main__  # noqa: PLC0415 - imported before the fork

    code = 1
    try:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environ)
        for number, place in enumerate((os.devnull, *places)):
            flags = os.O_RDWR | (os.O_CREAT | os.O_TRUNC if number else 0)
            os.dup2(os.open(place, flags, 0o600), number)
        sys.argv = [__main__.__file__, *arguments]
        code = __main__.main()
    except BaseException:  # noqa: BLE001 - as where nobody catches it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(sys.argv[1:])
