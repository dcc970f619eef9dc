"""What is displaced goes by the rule, and never because a clock is wrong."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from artifact_sync.domain.model import MirrorPath, RepoName
from artifact_sync.domain.settings import DEFAULT_LAYOUT
from artifact_sync.mirror.layout import Layout
from artifact_sync.mirror.local.local_mirror import LocalMirror
from artifact_sync.runtime.clock import ClockComparison
from artifact_sync.runtime.threads import Offload
from artifact_sync.sync.displaced_files import owners
from artifact_sync.sync.keep_displaced import DisplacedKeeper, KeepDisplaced
from tests.daemon_kit import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = 86_400.0
LAYOUT = Layout(DEFAULT_LAYOUT)


def displaced(root: Path, days: float, repo: str = "rocket") -> Path:
    """A file that was displaced so many days ago."""
    stamp = f"{NOW - timedelta(days=days):%Y%m%dT%H%M%SZ}"
    file = root / ".artifact-sync/displaced" / stamp / f"acme/{repo}/1/old.bin"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"old")
    return file


def empty(
    root: Path,
    ours: datetime,
    theirs: datetime | None,
    keep: float | None,
    **days: float,
) -> None:
    """What a pass does at its end, where the two clocks show this; ``days``: of a repository."""
    own = {RepoName("acme", repo): count * DAY for repo, count in days.items()}
    clock, comparison = FakeClock(), ClockComparison()
    clock.wall = ours
    comparison.note(ours, theirs)

    async def main() -> None:
        with ThreadPoolExecutor(1) as threads:
            keeper = DisplacedKeeper(LocalMirror(root), Offload(threads), clock)
            await keeper.empty(KeepDisplaced(keep, own, owners(LAYOUT, own)), comparison)

    asyncio.run(main())


@pytest.mark.parametrize("off", [timedelta(), timedelta(hours=20), timedelta(hours=-20)])
def test_what_is_older_than_the_rule_says_goes(tmp_path: Path, off: timedelta) -> None:
    old, young = displaced(tmp_path, 40), displaced(tmp_path, 20)
    empty(tmp_path, NOW + off, NOW, 30 * DAY)
    assert (old.exists(), young.exists()) == (False, True)
    assert not old.parents[3].exists()


@pytest.mark.parametrize(
    ("keep", "gone"),
    [(30, {"docs", "website"}), (None, {"docs"}), (10, {"docs", "site", "website"})],
)
def test_a_repository_may_have_a_rule_of_its_own(
    tmp_path: Path, keep: float | None, gone: set[str]
) -> None:
    days = {"rocket": 40, "website": 40, "docs": 7, "site": 20}
    files = {repo: displaced(tmp_path, count, repo) for repo, count in days.items()}
    empty(tmp_path, NOW, NOW, keep and keep * DAY, rocket=90, docs=5)
    assert {repo for repo, file in files.items() if not file.exists()} == gone


@pytest.mark.parametrize(
    ("off", "keep"),
    [
        (timedelta(days=365), 30 * DAY),
        (timedelta(days=-365), 30 * DAY),
        (None, 30 * DAY),
        (timedelta(), None),
    ],
)
def test_nothing_goes_by_a_clock_that_nobody_confirms_or_without_a_rule(
    tmp_path: Path, off: timedelta | None, keep: float | None
) -> None:
    """A kind: a clock that is wrong by a year must remove nothing."""
    old = displaced(tmp_path, 40)
    empty(tmp_path, NOW + (off or timedelta()), NOW if off is not None else None, keep)
    assert old.exists()


@pytest.mark.parametrize("theirs", [NOW, None, datetime.max.replace(tzinfo=UTC)])
def test_what_is_displaced_bears_the_later_time_of_both_clocks(
    tmp_path: Path, theirs: datetime | None
) -> None:
    """A clock that is behind by a year must make nothing old, nor may a service end the pass."""
    ours, comparison = NOW - timedelta(days=365), ClockComparison()
    comparison.note(ours, theirs)
    mirror = LocalMirror(tmp_path, now=lambda: comparison.latest(ours + timedelta(seconds=1)))
    (tmp_path / "old.bin").write_bytes(b"old")
    assert mirror.displace(MirrorPath("old.bin")) is not None
    (file,) = mirror.displaced()
    assert file.at.year == (NOW if theirs == NOW else ours).year
