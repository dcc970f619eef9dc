"""Programs that run until they are stopped: a daemon, or workers; what each has cost so far."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_PATIENCE = 600.0
_STOP = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12
"""Fields of proc_pid_stat(5) behind the name: CPU time in ticks."""


@dataclass(slots=True)
class Services:
    """Some programs while they are entered. ``said`` takes what they say."""

    commands: Sequence[Sequence[str]]
    environ: Mapping[str, str]
    said: Path
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __enter__(self) -> Self:
        with self.said.open("wb") as said:
            for command in self.commands:
                process = subprocess.Popen(
                    command,
                    env=dict(self.environ),
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    start_new_session=True,
                )
                self._processes.append(process)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        try:
            for process in self._processes:
                process.wait(_STOP)
        finally:
            for process in self._processes:
                process.kill()
                process.wait()

    def cpu(self) -> float:
        """CPU seconds of all of them so far."""
        fields = [self._told(it, "stat").rpartition(")")[2].split() for it in self._processes]
        return sum(int(it[_USER]) + int(it[_SYSTEM]) for it in fields) / _TICKS

    def memory(self) -> int:
        """The most bytes that the largest of them has had."""
        told = [
            self._told(it, "status").partition("VmHWM:")[2].split()[0] for it in self._processes
        ]
        return max(map(int, told)) * 1024

    def wait_until(self, done: Callable[[], bool]) -> None:
        """Wait. ``RuntimeError`` with the last words of a program that ended meanwhile."""
        latest = time.monotonic() + _PATIENCE
        while not done():
            if time.monotonic() > latest or any(it.poll() is not None for it in self._processes):
                raise RuntimeError(f"a service does not work: {self.said.read_text()[-300:]}")
            time.sleep(0.05)

    def _told(self, process: subprocess.Popen[bytes], name: str) -> str:
        return Path(f"/proc/{process.pid}/{name}").read_text("utf-8")
