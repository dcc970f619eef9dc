"""Runs a program: time limit, bounded output, nothing left behind.

No shell. Blocking, to be called in a thread. The program leads a session of its own, all of which
is killed at its end. What has left that session goes on, and holds nothing up.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.runtime.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL."""

_STEP = 0.05
"""Seconds after which the program, the time and ``stop`` are looked at again, at most."""

_BLOCK = 65_536
_FLOOD = 2**20
"""Bytes of output after which it is read slowly."""
_KEPT = 4096
"""Bytes of the output's end that are kept."""
_LAST_LINES = 3
_LONGEST = 300
"""Characters of the output that are shown."""


class Command(Struct, frozen=True):
    """A program to run."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    """The whole environment."""
    folder: Path
    timeout: float
    """Seconds."""


class CommandResult(Struct, frozen=True):
    """How a program has ended."""

    code: int | None
    """What it has ended with; None: it was not started, or did not end by itself."""
    why: str = ""
    """Why it failed, with the last of what it said; empty: it did not."""


def run_command(
    command: Command, content: bytes, stop: Callable[[], bool] = lambda: False
) -> CommandResult:
    """Run a program; tell how it has ended.

    ``content``: its stdin. ``stop`` is asked now and then; once it is true the program is ended
    like one that takes too long. What it writes is read and thrown away but for its end.
    """
    try:
        # a file: a program that does not read its stdin holds nobody up
        with TemporaryFile() as stdin:
            stdin.write(content)
            stdin.seek(0)
            process = subprocess.Popen(  # noqa: S603 - what to call is the caller's
                command.argv,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(command.environ),
                cwd=command.folder,
                start_new_session=True,
                bufsize=0,
            )
    except (OSError, ValueError) as error:
        return CommandResult(None, f"cannot be started: {_why(error)}")
    with process:
        return _Running(process, command.timeout, stop).finish()


class _Running:
    """A program that runs."""

    def __init__(
        self, process: subprocess.Popen[bytes], timeout: float, stop: Callable[[], bool]
    ) -> None:
        self._process = process
        self._timeout = timeout
        self._stop = stop
        self._output = b""
        self._heard = 0
        self._pipe = process.stdout
        self._selector = selectors.DefaultSelector()
        if self._pipe is not None:
            os.set_blocking(self._pipe.fileno(), False)
            self._selector.register(self._pipe, selectors.EVENT_READ)

    def finish(self) -> CommandResult:
        """Wait for the end, or bring it about."""
        try:
            problem = self._wait(time.monotonic() + self._timeout)
            self._read()  # what was written last
        finally:
            self._signal(signal.SIGKILL)  # also those it has left behind, while its id is its own
            self._selector.close()
            self._process.wait()
        code = self._process.returncode
        by_itself = not problem and code >= 0
        if not problem and code:
            problem = f"ended with {code}" if by_itself else f"was killed by signal {-code}"
        said = _last_lines(self._output) if problem else ""
        why = f"{problem}: {said}" if said else problem
        return CommandResult(code if by_itself else None, why)

    def _wait(self, deadline: float) -> str:
        while not self._has_ended():
            if time.monotonic() >= deadline:
                self._end()
                return f"took more than {round(self._timeout, 1):g} s"
            if self._stop():
                self._end()
                return "was stopped"
            self._read(min(_STEP, max(deadline - time.monotonic(), 0)))
        return ""

    def _end(self) -> None:
        """Ask it to end, and its children; wait a little."""
        self._signal(signal.SIGTERM)
        until = time.monotonic() + _GRACE
        while not self._has_ended() and time.monotonic() < until:
            self._read(_STEP)

    def _has_ended(self) -> bool:
        """Whether it has ended. It is not reaped, so that its id stays its own."""
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, how) is not None

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _read(self, seconds: float = 0.0) -> None:
        """Read what there is, or wait for it; only the end is kept."""
        if not self._selector.get_map():
            time.sleep(seconds)
            return
        if self._pipe is None or not self._selector.select(seconds):
            return
        block = os.read(self._pipe.fileno(), _BLOCK)
        if not block:
            self._selector.unregister(self._pipe)
        self._output = (self._output + block)[-_KEPT:]
        self._heard += len(block)
        if self._heard > _FLOOD:
            time.sleep(_STEP)  # it waits for us, and not the other way round


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _last_lines(output: bytes) -> str:
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines()]
    text = " | ".join(printable(line) for line in lines if line)
    text = " | ".join(text.split(" | ")[-_LAST_LINES:])
    return text if len(text) <= _LONGEST else f"…{text[-_LONGEST:]}"
