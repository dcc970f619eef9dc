"""What one run of a contender cost. Whose turn it is, ``contest`` knows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DRIVER = Path(__file__).with_name("driver.py")
_SHOWN = 300
"""Characters of a failed program's last words."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A command that is timed."""

    name: str
    argv: tuple[str, ...]
    stdout: str = "/dev/null"
    """Relative to the contender's folder."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run. Seconds and bytes; ``failure`` is empty when all the work was done."""

    wall: float = 0.0
    cpu: float = 0.0
    memory: int = 0
    """Of the largest process."""
    requests: int | None = None
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds by the phase's name."""
    failure: str = ""

    def as_json(self) -> dict[str, Any]:
        """For ``Sample(**told)``, without digits that mean nothing."""
        rounded = {name: round(seconds, 4) for name, seconds in self.phases.items()}
        exact = asdict(self) | {"phases": rounded}
        return exact | {"wall": round(self.wall, 4), "cpu": round(self.cpu, 4)}


def measure(phases: Sequence[Phase], folder: Path, environ: Mapping[str, str]) -> Sample:
    """Run the phases in a folder, which also takes what they say: ``answer`` and ``said``.

    Raises nothing for a contender that fails.
    """
    answer, said = folder.with_suffix(".answer"), folder.with_suffix(".said")
    spec = json.dumps([{"argv": phase.argv, "stdout": phase.stdout} for phase in phases])
    command = [sys.executable, "-I", "-S", str(_DRIVER), spec, str(answer)]
    with said.open("wb") as stderr:
        _run(command, folder, environ, stderr.fileno())
    told = json.loads(answer.read_text()) if answer.exists() else []
    return _sample(phases, told, _last_words(said))


def _run(command: list[str], folder: Path, environ: Mapping[str, str], stderr: int) -> None:
    """In a session of its own, so that all of it can be ended whatever happens here."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
    )
    try:
        process.wait()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _sample(phases: Sequence[Phase], told: Sequence[Mapping[str, Any]], words: str) -> Sample:
    codes = [each["code"] for each in told]
    names = [phase.name for phase in phases]
    fine = codes == [0] * len(phases)
    failed = "" if fine else f"{names[max(len(codes) - 1, 0)]} ended with {codes[-1:]}: {words}"
    return Sample(
        wall=sum(each["wall"] for each in told),
        cpu=sum(each["cpu"] for each in told),
        memory=max((each["memory"] for each in told), default=0),
        phases={name: each["wall"] for name, each in zip(names, told, strict=False)},
        failure=failed,
    )


def _last_words(said: Path) -> str:
    return said.read_text(encoding="utf-8", errors="replace").strip()[-_SHOWN:]
