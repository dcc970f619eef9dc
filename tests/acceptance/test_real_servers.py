"""The files behind servers that nobody here wrote: nginx with ``secure_link``, and rclone.

The API is the simulator's and its links lead to the other server, as the real service's do.
"""

from __future__ import annotations

import random
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from real_servers import SECRET, Nginx, Rclone
from user import TOKEN, User, contents, organisation, wait_until

from artifact_sync.simulator import (
    Cube,
    Files,
    Repo,
    Scenario,
    ScenarioApi,
    ScenarioArtifact,
    ScenarioRun,
    Simulator,
    running_in_thread,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(sys.platform == "win32", reason="nginx and signals as POSIX has them"),
]

MIB = 1 << 20
MOST_AGAIN = 8 * MIB
"""What a crash may cost a file at most."""
IMAGES = "acme/images"


def images(size: int, count: int = 1) -> tuple[Repo, ...]:
    """A repository of one run with so many files of one size."""
    artifacts = (ScenarioArtifact("{n}.iso", size=size, count=count),)
    return (Repo(IMAGES, runs=(ScenarioRun(cubes=(Cube(artifacts=artifacts),)),)),)


@contextmanager
def behind(
    server: Nginx | Rclone, folder: Path, repos: tuple[Repo, ...], **files: Any
) -> Iterator[tuple[User, Simulator]]:
    """A user of repositories whose files the server has, in ``folder/files``."""
    scenario = Scenario(
        api=ScenarioApi(tokens=(TOKEN,)), files=Files(base_url=server.url, **files), repos=repos
    )
    simulator = Simulator(scenario)
    simulator.export_files(folder / "files")
    with server, running_in_thread(simulator) as running:
        yield User(folder, running), simulator


def nginx(folder: Path, **settings: int) -> Nginx:
    return Nginx(folder / "nginx", folder / "files", **settings)


SIGNED = {"style": "nginx", "secret": SECRET}


def test_everything_comes_through_nginx_byte_for_byte(tmp_path: Path) -> None:
    server = nginx(tmp_path)
    with behind(server, tmp_path, organisation().repos, **SIGNED) as (user, simulator):
        done = user.sync("acme/*", "--json")
        assert (done.code, done.counts) == (0, (16, 16, 0, 0))
        assert user.files() == contents(simulator)
        assert len(user.runs()) == 4
        assert [logged.status for logged in server.log] == [200] * 16


@pytest.mark.parametrize("lapsed", [403, 410])
def test_links_that_nginx_finds_too_old_are_renewed(tmp_path: Path, lapsed: int) -> None:
    server = nginx(tmp_path, lapsed=lapsed, rate=256 << 10)
    # Each file takes a second or more, two come at a time, and links live one to two seconds. The
    # service promises a minute: its clock is behind nginx's, so that nobody can foresee their end.
    repos = images(260 << 10, count=10)
    with behind(server, tmp_path, repos, **SIGNED, lifetime=60) as (user, simulator):
        simulator.advance(-60)
        server.throttle()
        done = user.sync(IMAGES, "--jobs", "2", "--json")
        assert (done.code, done.counts) == (0, (10, 10, 0, 0))
        assert user.files() == contents(simulator)
        assert user.runs() == {f"{IMAGES}/1"}
        statuses = [logged.status for logged in server.log]
        refused = statuses.count(lapsed)
        assert refused >= 1
        assert sorted(statuses) == sorted([200] * 10 + [lapsed] * refused)
        # one request for all who wait for a fresh link of the run
        assert simulator.requests["run"] <= 6


def by_one_connection(user: User) -> None:
    """However slow a busy machine is, no file comes by several ranges."""
    user.environ["ARTIFACT_SYNC_DOWNLOAD__RANGES"] = "1"


def kill_midway(user: User, staged: int) -> None:
    """Begin to mirror the images, and kill the program once so many bytes are staged."""
    with user.started("sync", IMAGES, "--root", user.root) as process:
        wait_until(lambda: user.staged() >= staged)
        user.finish(process, signal.SIGKILL)
    assert user.files() == {}


def test_killed_midway_it_goes_on_at_its_byte_behind_nginx(tmp_path: Path) -> None:
    server = nginx(tmp_path, rate=8 * MIB)  # which nginx sends at once, at each second's begin
    size = 48 * MIB
    with behind(server, tmp_path, images(size), **SIGNED) as (user, simulator):
        server.throttle()
        by_one_connection(user)
        kill_midway(user, 14 * MIB)
        wait_until(lambda: len(server.log) == 1)
        server.let_go()
        done = user.sync(IMAGES, "--json")
        assert (done.code, done.counts) == (0, (1, 1, 0, 0))
        assert user.files() == contents(simulator)
        assert user.runs() == {f"{IMAGES}/1"}
        first, second = server.log
        assert (second.status, second.path) == (206, first.path)
        assert second.range == f"bytes={size - second.sent}-"
        assert second.sent <= size - first.sent + MOST_AGAIN
        assert done.answer["bytes"] == second.sent


def test_what_was_replaced_since_the_kill_comes_whole_from_nginx(tmp_path: Path) -> None:
    server = nginx(tmp_path, rate=8 * MIB)
    size = 16 * MIB
    with behind(server, tmp_path, images(size), **SIGNED) as (user, _):
        server.throttle()
        by_one_connection(user)
        kill_midway(user, 6 * MIB)
        wait_until(lambda: len(server.log) == 1)
        (stored,) = (path for path in (tmp_path / "files").rglob("*") if path.is_file())
        replacement = random.Random(1).randbytes(size)  # noqa: S311 - nothing secret
        stored.write_bytes(replacement)
        server.let_go()
        assert user.sync(IMAGES, "--json").counts == (1, 1, 0, 0)
        assert list(user.files().values()) == [replacement]
        assert user.runs() == {f"{IMAGES}/1"}
        _, second = server.log
        assert (second.status, second.sent) == (200, size)
        assert second.range.startswith("bytes=")
        assert second.if_range.startswith('"')


RATE = 2 * MIB
BIG = 44 * MIB
"""At this rate one connection takes more than 20 seconds for it."""


@pytest.mark.slow
def test_a_big_file_that_nginx_sends_slowly_comes_by_several_ranges(tmp_path: Path) -> None:
    server = nginx(tmp_path, rate=RATE)
    with behind(server, tmp_path, images(BIG), **SIGNED) as (user, simulator):
        server.throttle()
        done = user.sync(IMAGES, "--json")
        assert (done.code, done.counts) == (0, (1, 1, 0, 0))
        assert done.answer["bytes"] == BIG
        assert user.files() == contents(simulator)
        assert user.runs() == {f"{IMAGES}/1"}
        wait_until(lambda: 200 in {logged.status for logged in server.log})
        (whole,) = (logged for logged in server.log if logged.status == 200)
        parts = [logged for logged in server.log if logged.status == 206]
        assert len(parts) >= 4
        assert whole.sent < BIG // 2
        assert all(part.if_range.startswith('"') for part in parts)
        assert {part.path for part in parts} == {whole.path}
        # each byte of the rest once, by ranges that end where the next one begins
        spans = sorted(tuple(map(int, part.range[6:].split("-"))) for part in parts)
        assert [first for first, _ in spans[1:]] == [last + 1 for _, last in spans[:-1]]
        assert spans[-1][1] == BIG - 1


@pytest.mark.slow
def test_killed_among_its_ranges_it_goes_on_at_its_byte_behind_nginx(tmp_path: Path) -> None:
    server = nginx(tmp_path, rate=RATE)
    with behind(server, tmp_path, images(BIG), **SIGNED) as (user, simulator):
        server.throttle()
        kill_midway(user, 20 * MIB)
        wait_until(lambda: {logged.status for logged in server.log} == {200, 206})
        before = len(server.log)
        server.let_go()
        by_one_connection(user)
        done = user.sync(IMAGES, "--json")
        assert (done.code, done.counts) == (0, (1, 1, 0, 0))
        assert user.files() == contents(simulator)
        assert user.runs() == {f"{IMAGES}/1"}
        (rest,) = (it for it in server.log[before:] if it.range == f"bytes={BIG - it.sent}-")
        assert rest.status == 206
        assert rest.sent <= BIG - 20 * MIB + MOST_AGAIN
        assert done.answer["bytes"] == rest.sent


def test_a_big_file_that_comes_fast_comes_by_one_connection(tmp_path: Path) -> None:
    server = nginx(tmp_path)
    with behind(server, tmp_path, images(BIG), **SIGNED) as (user, _):
        assert user.sync(IMAGES, "--json").counts == (1, 1, 0, 0)
        assert [(logged.status, logged.range) for logged in server.log] == [(200, "")]


def test_everything_comes_through_rclone_byte_for_byte(tmp_path: Path) -> None:
    server = Rclone(tmp_path / "rclone", tmp_path / "files")
    repos = organisation().repos
    with behind(server, tmp_path, repos, style="plain") as (user, simulator):
        done = user.sync("acme/*", "--json")
        assert (done.code, done.counts) == (0, (16, 16, 0, 0))
        assert user.files() == contents(simulator)
        assert len(user.runs()) == 4


def test_killed_midway_it_goes_on_at_its_byte_behind_rclone(tmp_path: Path) -> None:
    server = Rclone(tmp_path / "rclone", tmp_path / "files")
    size = 32 * MIB
    server.limit = "8M"
    with behind(server, tmp_path, images(size), style="plain") as (user, simulator):
        by_one_connection(user)
        kill_midway(user, 12 * MIB)
        staged = user.staged()
        done = user.sync(IMAGES, "--json")
        assert (done.code, done.counts) == (0, (1, 1, 0, 0))
        assert user.files() == contents(simulator)
        assert user.runs() == {f"{IMAGES}/1"}
        (offset,) = server.offsets
        assert staged - MOST_AGAIN <= offset <= staged
        assert done.answer["bytes"] == size - offset
