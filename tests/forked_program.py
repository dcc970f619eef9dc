"""The real program without its start: a process that has imported it forks for each call."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_COMMANDS = ("adopt", "forget", "ls", "status", "sync", "verify")
_IMPORTED = (
    "anyio._backends._asyncio",
    "platformdirs.unix",
    "artifact_sync.__main__",
    "artifact_sync.app.adoption",
    "artifact_sync.app.assemble_pass",
    "artifact_sync.app.assemble_transfers",
    "artifact_sync.app.examination",
    "artifact_sync.app.forgetting",
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


class ForkedProgram:
    """Calls the program: ``(exit code, stdout, stderr)``."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, call: Call) -> tuple[int, str, str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(call) + "\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
        except BaseException:  # as a timeout of the test: the answer would be taken for the next
            forked_program.cache_clear()
            self.end()
            raise
        out, err = (Path(call["folder"], it).read_text(encoding="utf-8") for it in _SAID)
        return code, out, err

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


class Call(TypedDict):
    """A call of the program."""

    folder: str
    """The working folder, where what is said is kept, too."""
    arguments: Sequence[str]
    environ: Mapping[str, str]


_SAID = ("stdout", "stderr")


@cache
def forked_program() -> ForkedProgram:
    """One for all tests of a process."""
    program = ForkedProgram()
    atexit.register(program.end)
    return program


def _serve() -> None:
    """Fork for each call, and tell its exit code."""
    for name in _IMPORTED:
        import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            os._exit(_called(json.loads(line)))
        status = os.waitpid(child, 0)[1]
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _called(call: Call) -> int:
    from artifact_sync.__main__ import main  # noqa: PLC0415 - imported before the fork

    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["environ"])
    for number, place in enumerate((os.devnull, *_SAID)):
        flags = os.O_RDWR | (os.O_CREAT | os.O_TRUNC if number else 0)
        os.dup2(os.open(place, flags, 0o600), number)
    sys.argv[1:] = call["arguments"]
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    _serve()
