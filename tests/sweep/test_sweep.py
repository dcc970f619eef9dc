"""The program struck at every call that changes the mirror or the ledger: nothing is ever wrong.

``make sweep`` strikes for minutes, ``make test`` once in each scene, elsewhere for each commit.
Decision 0028 tells how.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from pages import REPOSITORY
from scenes import SCENES, organisation
from sweep_shim import compiled
from trials import STAGED, Trials

from artifact_sync.simulator import running_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trials import Deed

MINUTES = float(os.environ.get("SWEEP_MINUTES") or 30)
SEED = os.environ.get("SWEEP_SEED") or str(random.SystemRandom().randrange(10**6))
NAMES = (os.environ.get("SWEEP_SCENES") or ",".join(SCENES)).split(",")
JOBS = os.cpu_count() or 1

Make = "Callable[[str], Trials]"


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def make(tmp_path: Path, library: Path) -> Iterator[Callable[[str], Trials]]:
    """Makes the trials of a scene, with a service of its own."""
    with ExitStack() as services:

        def made(name: str) -> Trials:
            service = services.enter_context(running_in_thread(organisation()))
            folder = tmp_path / name
            folder.mkdir()
            return Trials(SCENES[name](), folder, library, service)

        yield made


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_struck_at_some_calls_nothing_is_wrong(make: Callable[[str], Trials], name: str) -> None:
    trials, seed = make(name), os.environ.get("SWEEP_SEED") or _of_commit()
    rng = random.Random(f"{name} {seed}")  # noqa: S311 - a choice, not a secret
    kinds = (
        *[trials.strikes] * 3,
        *[lambda: trials.power_cuts([False, True, 1])] * 2,
        lambda: trials.lost_syncs(rng, STAGED) or trials.lost_syncs(rng),
    )
    deed = rng.choice(rng.choice(kinds)())
    assert trials.faults(deed) == [], f"SWEEP_SEED={seed} tells it again"


@pytest.mark.sweep
@pytest.mark.timeout(MINUTES * 60 + 300)
def test_struck_at_every_call_nothing_is_wrong(make: Callable[[str], Trials]) -> None:
    rng = random.Random(SEED)  # noqa: S311 - a choice, not a secret
    todo = [(it, deed) for it in map(make, NAMES) for deed in _deeds(it, rng)]
    rng.shuffle(todo)
    sys.stdout.write(f"\n{len(todo)} trials with the seed {SEED}, for {MINUTES:g} minutes\n")
    end = time.monotonic() + MINUTES * 60
    done: Counter[str] = Counter()

    def trial(it: Trials, deed: Deed) -> list[str]:
        if time.monotonic() > end:
            return []
        done[it.scene.name] += 1
        found = it.faults(deed)
        for fault in found:
            sys.stdout.write(f"{fault}\n")
            sys.stdout.flush()
        return found

    with ThreadPoolExecutor(JOBS) as pool:
        found = [fault for faults in pool.map(lambda it: trial(*it), todo) for fault in faults]
    sys.stdout.write(f"{done.total()} of them made: {dict(done)}\n")
    assert found == []


def _of_commit() -> str:
    """What differs from commit to commit, or from day to day where there is none."""
    command = ["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or datetime.now(UTC).date().isoformat()


def _deeds(trials: Trials, rng: random.Random) -> list[Deed]:
    cuts = trials.power_cuts([False, True, *rng.sample(range(10**6), 4)])
    return trials.strikes() + cuts + trials.lost_syncs(rng)
