"""``download.limit`` as somebody at a shell sees it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from user import TOKEN, User, contents

from artifact_sync.simulator import (
    Cube,
    Repo,
    Scenario,
    ScenarioApi,
    ScenarioArtifact,
    ScenarioRun,
    running_in_thread,
)

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
FILES = 12
EACH = 256 * 1024
SERVICE = Scenario(
    api=ScenarioApi(tokens=(TOKEN,)),
    repos=(
        Repo(
            "acme/rocket",
            runs=(
                ScenarioRun(
                    "1",
                    "success",
                    cubes=(
                        Cube(
                            artifacts=tuple(
                                ScenarioArtifact(f"{n}.bin", size=EACH) for n in range(FILES)
                            )
                        ),
                    ),
                ),
            ),
        ),
    ),
)


def test_several_downloads_share_one_limit_and_no_timeout_trips_over_it(tmp_path: Path) -> None:
    with running_in_thread(SERVICE) as service:
        took = {}
        for limit in ("off", "1MiB"):
            user = User(tmp_path / limit, service)
            user.folder.mkdir()
            began = time.monotonic()
            done = user.sync(
                "acme/rocket",
                "--json",
                ARTIFACT_SYNC_DOWNLOAD__LIMIT=limit,
                ARTIFACT_SYNC_DOWNLOAD__JOBS=f"{FILES}",  # a file's next chunk comes after 0.75 s
                ARTIFACT_SYNC_DOWNLOAD__TIMEOUT="500ms",
                ARTIFACT_SYNC_DOWNLOAD__ATTEMPTS="1",
            )
            took[limit] = time.monotonic() - began
            assert (done.code, done.counts) == (0, (FILES, FILES, 0, 0)), done.err
            assert done.answer["bytes"] == FILES * EACH  # nothing was cut and fetched again
            assert user.files() == contents(service.simulator)
    # three MiB at one a second, less the burst; a busy machine may need longer
    least = (FILES * EACH) / MIB - 0.3
    assert least <= took["1MiB"] <= took["off"] * 2 + least + 5


def test_a_timetable_is_kept_to_by_a_single_pass_as_well(tmp_path: Path) -> None:
    with running_in_thread(SERVICE) as service:
        user = User(tmp_path, service)
        began = time.monotonic()
        done = user.sync("acme/rocket", ARTIFACT_SYNC_DOWNLOAD__LIMIT="00:00 2MiB, 12:00 2097153")
        assert done.code == 0
        assert time.monotonic() - began >= FILES * EACH / (2 * MIB) - 0.3
