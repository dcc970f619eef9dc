"""Three workers under faults: nothing is forgotten, and only what was in hand is fetched again.

``make soak`` tells long stories of it, ``make test`` a short one.
"""

from __future__ import annotations

import os
import random
import sys
import time
from typing import TYPE_CHECKING

import pytest
from fleet_trial import Size, Story, come_to_an_end, fleet
from user import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from postgres_server import Postgres

SEED = os.environ.get("SOAK_SEED") or ""
SECONDS = float(os.environ.get("SOAK_SECONDS") or 180)
SHORT = ("killed", "frozen and cut", "server restarted", "stopped", "sessions ended")


@pytest.mark.servers
@pytest.mark.timeout(240)
def test_three_workers_that_die_freeze_and_lose_their_server(
    tmp_path: Path, postgres: Postgres
) -> None:
    tell(tmp_path, postgres, SEED or "7", Size(repos=3, runs=2, files=8), SHORT)


@pytest.mark.soak
@pytest.mark.servers
@pytest.mark.timeout(SECONDS + 600)
def test_three_workers_for_long(tmp_path: Path, postgres: Postgres) -> None:
    began, seed = time.monotonic(), int(SEED or random.SystemRandom().randrange(10**6))
    while time.monotonic() - began < SECONDS:
        folder = tmp_path / str(seed)
        folder.mkdir()
        rng = random.Random(str(seed))  # noqa: S311 - a story, no secret
        tell(folder, postgres, str(seed), Size(), rng.choices(list(Story.FAULTS), k=8))
        seed += 1


def tell(folder: Path, postgres: Postgres, seed: str, size: Size, faults: tuple[str, ...]) -> None:
    """A story of some faults. When it ends badly, what led to it is told."""
    with fleet(folder, postgres, size) as it:
        story = Story(it, random.Random(seed))  # noqa: S311 - likewise
        try:
            wait_until(lambda: it.witness.fetched().total() > 5)
            for number, fault in enumerate(faults):
                if number % 3 == 2:
                    size.add_runs(it.simulator)
                story.step(fault)
            come_to_an_end(it, size)
        except BaseException as error:
            error.add_note("\n".join([f"the story with the seed {seed}", *it.told]))
            raise
        sys.stdout.write("\n".join([f"the story with the seed {seed}", *it.told, ""]))
