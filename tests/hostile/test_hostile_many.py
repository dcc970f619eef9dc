"""As many cubes and artifacts as a run may have, and more."""

from __future__ import annotations

import os

import pytest
from hostile_service import File
from trial import Trial, noise

MIB = 1 << 20


@pytest.mark.slow
def test_600_cubes_in_a_run(trial: Trial) -> None:
    cubes = [(f"w{w}", f"t{t}", f"c{c}") for w in range(3) for t in range(10) for c in range(20)]
    files = [("app.bin", File("/".join(cube).encode(), cube=cube)) for cube in cubes]
    trial.service.run({}).files.extend(files)
    assert trial.sync().counts == (600, 600, 0, 0)
    assert len(trial.manifest().read_bytes().splitlines()) == 600
    assert len(trial.service.api.requests) == 2


def cpu_seconds() -> float:
    """Of processes that have ended: what a pass takes by the clock is a matter of the machine."""
    used = os.times()
    return used.children_user + used.children_system


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_10000_artifacts_in_a_run_within_100_megabytes(trial: Trial) -> None:
    trial.env["DOWNLOAD__TIMEOUT"] = "60s"  # the answer about them all takes a busy server long
    content = noise(5, 10_100)
    files = {f"f/{n // 100}/{n}.bin": File(content[n : n + 100]) for n in range(10_000)}
    trial.service.run(files)
    before = cpu_seconds()
    outcome, peak = trial.measured(timeout=200)
    assert outcome.counts == (10_000, 10_000, 0, 0)
    assert peak < 100_000_000, peak
    assert cpu_seconds() - before < 60
    trial.service.api.forget()
    outcome, peak = trial.measured()
    assert outcome.counts == (10_000, 0, 10_000, 0)
    assert peak < 100_000_000, peak
    assert len(trial.service.api.requests) == 1
