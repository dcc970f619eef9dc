"""``verify`` within bounds: what was verified longest ago, a part each time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from user import TOKEN, User, organisation

import artifact_sync
from artifact_sync.simulator import running_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROCKET = "acme/rocket"


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    with running_in_thread(organisation()) as service:
        user = User(tmp_path, service)
        assert user.run("sync", ROCKET, "--root", user.root).code == 0
        yield user


def verified(user: User, *options: object) -> dict[str, Any]:
    done = user.run("verify", "--root", user.root, "--json", *options)
    assert done.code == done.answer["exit_code"], done.err
    return done.answer


def last_verified(user: User) -> dict[str, str]:
    rows = user.run("ls", "--root", user.root, "--json").answer["artifacts"]
    return {row["path"]: row["verified_at"] for row in rows}


def test_the_first_bound_that_is_reached_ends_it(user: User) -> None:
    for options, files in (
        (["--older-than", "30d"], 0),
        (["--max-bytes", "1"], 1),
        (["--max-bytes", "1GiB", "--max-time", "1h", "--older-than", "0.001s"], 12),
        (["--oldest", "50%", "--max-bytes", "1GiB"], 6),
        ([ROCKET, "--oldest", "100%"], 12),
    ):
        found = verified(user, *options)
        assert (found["exit_code"], found["ok"], found["files"]) == (0, files, files), options
    assert 1 <= verified(user, "--max-time", "1ms")["files"] <= 12
    for options in (["--oldest", "0%"], ["--oldest", "11"], ["--max-bytes", "0"]):
        done = user.run("verify", "--root", user.root, *options)
        assert (done.code, options[0] in done.err) == (2, True)
    assert asyncio.run(in_python(user)) == [3, 12]


async def in_python(user: User) -> list[int]:
    async with artifact_sync.Mirror(user.root, token=TOKEN) as mirror:
        some = await mirror.verify(oldest=0.25)
        all_of = await mirror.verify(ROCKET, older_than="1ms", max_time="1h")
        with pytest.raises(artifact_sync.ArtifactSyncError):
            await mirror.verify(oldest=2)
        return [some.files, all_of.files]


def test_a_part_each_time_comes_round_to_everything(user: User) -> None:
    """Twelve files, a quarter at a time, and what is damaged where nobody looks is not told."""
    before = last_verified(user)
    (user.root / "acme/rocket/1/stray").write_bytes(b"?")
    (user.root / "acme/rocket/1/SHA256SUMS").write_bytes(b"?")
    for times in (1, 2, 3, 4):
        found = verified(user, "--oldest", "25%")
        assert (found["exit_code"], found["ok"], found["files"]) == (0, 3, 3)
        assert (found["whole"], found["extra"], found["changed"]) == (False, [], [])
        after = last_verified(user)
        assert sum(after[path] > before[path] for path in before) == 3 * times
    told = user.run("verify", "--root", user.root, "--oldest", "1%").out
    assert "1 ok, 0 missing, 0 changed\nlooked at 1 of 12 files (" in told
    assert max(last_verified(user).values()) > max(after.values())
    whole = verified(user)
    assert (whole["whole"], whole["files"], whole["exit_code"]) == (True, 12, 5)
    assert whole["bytes"] == sum(
        len(it) for path, it in user.files().items() if "stray" not in path
    )


def test_damage_that_is_known_is_told_each_time_and_repaired_within_bounds_too(user: User) -> None:
    before = user.files()
    first = min(before)
    (user.root / first).unlink()
    assert verified(user)["missing"] == [first]
    assert verified(user, "--max-bytes", "1")["missing"] == [first]
    found = verified(user, "--repair", "--oldest", "1%")
    assert (found["exit_code"], found["repaired"]) == (0, [first])
    assert user.files() == before
    rotten = sorted(before)[5]
    (user.root / rotten).write_bytes(before[rotten][::-1])
    found = verified(user, "--older-than", "1ms", "--repair")
    assert (found["exit_code"], found["changed"], found["repaired"]) == (0, [rotten], [rotten])
