"""``from artifact_sync import Mirror, mirror_artifacts``, against the simulated service."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from user import ARCHIVE, REPORT, TOKEN, User, contents, wait_until

from artifact_sync import Mirror, MirroredArtifact, Report, Verification, mirror_artifacts
from artifact_sync.domain.errors import (
    ConfigError,
    CredentialsRefused,
    ExitCode,
    Incomplete,
    MirrorBusy,
    Unreachable,
    UsageError,
)
from artifact_sync.domain.events import BytesArrived, Downloaded, RunPlanned
from artifact_sync.simulator import (
    Cube,
    Files,
    Repo,
    Scenario,
    ScenarioApi,
    ScenarioArtifact,
    ScenarioRun,
    running_in_thread,
)

if TYPE_CHECKING:
    from pathlib import Path

    from artifact_sync.simulator import Running

MIB = 1024**2


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "mirror"


@pytest.fixture(autouse=True)
def _environment(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user has set it up."""
    monkeypatch.setenv("ARTIFACT_SYNC_SOURCE__BASE_URL", service.base_url)
    monkeypatch.setenv("SOURCECRAFT_TOKEN", TOKEN)


def mirrored(*repos: str, root: Path | str, **more: Any) -> Report:
    return asyncio.run(mirror_artifacts(*repos, root=root, **more))


async def all_of(mirror: Mirror, *args: Any, **more: Any) -> list[MirroredArtifact]:
    return [it async for it in mirror.artifacts(*args, **more)]


def test_an_organisation_is_mirrored(user: User, service: Running) -> None:
    report = mirrored("acme/*", root=user.root)
    report.raise_for_failures()
    assert (report.runs, report.found, report.downloaded, report.complete) == (4, 16, 16, True)
    assert user.files() == contents(service.simulator)
    assert mirrored("acme/*", root=str(user.root)).kept == 16


def test_several_repositories_and_what_of_them(user: User) -> None:
    report = mirrored(
        "acme/website", "acme/rocket", root=user.root, since=timedelta(days=7), include="*.gz"
    )
    assert report.downloaded == 3
    assert {it.split("/")[1] + it.split("/")[2] for it in user.files()} == {
        "rocket2",
        "rocket3",
        "website1",
    }


def test_durations_are_text_or_timedelta(root: Path) -> None:
    assert mirrored("acme/rocket", root=root, since="7d", dry_run=True).planned == 8
    assert mirrored("acme/rocket", root=root, since=timedelta(days=7), dry_run=True).planned == 8
    assert not (root / ".artifact-sync").exists()
    for wrong in ("soon", timedelta(0)):
        with pytest.raises(UsageError, match="since"):
            mirrored("acme/rocket", root=root, since=wrong)


def test_one_run_or_several_by_number_or_text(root: Path) -> None:
    assert mirrored("acme/rocket", root=root, run=2).downloaded == 4
    assert mirrored("acme/rocket", root=root, run=["2", 3], workflow="ci").found == 6
    unsaid: dict[str, Any] = {"run": None, "since": None, "include": None, "workflow": ()}
    assert mirrored("acme/rocket", root=root, dry_run=True, **unsaid).found == 12


def test_artifacts_tell_what_is_there(root: Path, service: Running) -> None:
    async def main() -> list[MirroredArtifact]:
        async with Mirror(root) as mirror:
            await mirror.sync("acme/*")
            assert len(await all_of(mirror)) == 16
            assert {it.repo for it in await all_of(mirror, "acme/*")} == {
                "acme/rocket",
                "acme/website",
            }
            assert [it.run for it in await all_of(mirror, "acme/rocket", include="*.gz")] == [
                "3",
                "2",
                "1",
            ]
            assert len(await all_of(mirror, "acme/rocket", run="1", exclude=["dist", "*.xml"])) == 1
            assert await all_of(mirror, "acme/docs") == await all_of(mirror, "other/repo") == []
            latest = await all_of(mirror, run=["latest-success"], workflow="docs")
            assert {(it.repo, it.run) for it in latest} == {
                ("acme/rocket", "2"),
                ("acme/website", "1"),
            }
            same = await all_of(mirror, sha256=latest[0].sha256[:32].upper(), since="2020-01-01")
            assert latest[0] in same
            assert await all_of(mirror, since=timedelta(seconds=1)) == []
            for wrong in ({"sha256": ""}, {"since": "soon"}, {"include": "["}):
                with pytest.raises(UsageError):
                    await all_of(mirror, **wrong)
            with pytest.raises(TypeError, match="no such option: runs"):
                await all_of(mirror, runs=1)
            return await all_of(mirror, "acme/rocket", run=2, include="*.tar.gz")

    (archive,) = asyncio.run(main())
    content = archive.path.read_bytes()
    assert content == contents(service.simulator)[str(archive.path.relative_to(root))]
    assert archive.path.is_absolute()
    assert (archive.repo, archive.run, archive.local_path) == ("acme/rocket", "2", ARCHIVE)
    assert archive.size == len(content) == 40_000
    assert archive.sha256 == hashlib.sha256(content).hexdigest()
    assert archive.strength == "digest"
    assert "length" in archive.evidence
    with pytest.raises(AttributeError):
        archive.size = 1  # type: ignore[misc]


def test_runs_tell_what_is_known_of_them(root: Path) -> None:
    async def main() -> None:
        async with Mirror(root) as mirror:
            await mirror.sync("acme/rocket", since="7d")
            known = [it async for it in mirror.runs("acme/rocket")]
            assert [(it.run, it.status, it.complete) for it in known] == [
                ("4", "processing", False),
                ("3", "failed", True),
                ("2", "success", True),
                ("1", "success", False),
            ]
            assert {(it.repo, it.event) for it in known} == {("acme/rocket", "push")}
            assert all(it.created_at and it.finished_at for it in known[1:])
            good = [it.run async for it in mirror.runs(status="success")]
            assert good == ["2", "1"]
            assert [it async for it in mirror.runs("acme/docs")] == []
            with pytest.raises(UsageError, match="ORG/REPO"):
                await anext(mirror.runs("rocket"))

    asyncio.run(main())


def test_reading_needs_no_token_no_service_and_no_lock(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> tuple[int, int]:
        async with Mirror(user.root) as mirror:
            before = len(await all_of(mirror))
            await asyncio.to_thread(user.sync, "acme/website")
            return before, len(await all_of(mirror))

    assert asyncio.run(main()) == (0, 4)

    async def beside() -> int:
        begun = asyncio.Event()
        async with (
            Mirror(user.root, on_event=lambda _: begun.set()) as mirror,
            Mirror(user.root) as reader,
        ):
            sync = asyncio.create_task(mirror.sync("acme/rocket"))
            await begun.wait()
            known = len(await all_of(reader, "acme/website"))
            await sync
            return known

    assert asyncio.run(beside()) == 4
    monkeypatch.delenv("SOURCECRAFT_TOKEN")
    monkeypatch.setenv("ARTIFACT_SYNC_SOURCE__BASE_URL", "http://127.0.0.1:9")
    assert asyncio.run(_count(user.root)) == 16


async def _count(root: Path) -> int:
    async with Mirror(root) as mirror:
        return len(await all_of(mirror))


async def checked(root: Path, *repos: str, repair: bool = False, **more: Any) -> Verification:
    async with Mirror(root, **more) as mirror:
        return await mirror.verify(*repos, repair=repair)


def test_damage_is_found_and_repaired(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    mirrored("acme/*", root=user.root).raise_for_failures()
    before = user.files()
    cube = user.root / "acme/rocket/2/ci/build/build"
    archive, report, extra = cube / ARCHIVE, cube / REPORT, cube / "mine.txt"
    archive.write_bytes(b"changed")
    report.unlink()
    extra.write_text("mine")
    with monkeypatch.context() as bare:
        bare.delenv("SOURCECRAFT_TOKEN")
        found = asyncio.run(checked(user.root))
        assert asyncio.run(checked(user.root, "acme/website")).complete
    assert found == Verification(
        ok=16 + 2 * 4 - 2,
        missing=(report,),
        changed=(archive,),
        extra=(extra,),
        repaired=(),
        failures=(),
        exit_code=ExitCode.INCOMPLETE,
        files=16,
    )
    with pytest.raises(Incomplete, match="missing or changed: 2, the first: /") as raised:
        found.raise_for_failures()
    assert raised.value.report is found

    refused = asyncio.run(checked(user.root, repair=True, token="wrong"))
    assert (refused.repaired, {it.reason for it in refused.failures}) == ((), {"credentials"})
    events: list[object] = []
    mended = asyncio.run(checked(user.root, "acme/rocket", repair=True, on_event=events.append))
    mended.raise_for_failures()
    assert (mended.complete, {archive, report} <= set(mended.repaired)) == (True, True)
    assert sum(isinstance(it, Downloaded) for it in events) == 2
    assert user.files() == before | {str(extra.relative_to(user.root)): b"mine"}


def test_what_is_not_mirrored_cannot_be_verified(root: Path) -> None:
    with pytest.raises(UsageError, match="nothing is mirrored"):
        asyncio.run(checked(root))
    mirrored("acme/website", root=root)
    with pytest.raises(UsageError, match="nothing of acme/rocket is mirrored"):
        asyncio.run(checked(root, "acme/rocket"))


def test_a_configuration_file_under_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.toml"
    file.write_text(
        '[mirror]\nroot = "kept"\n[[repo]]\nname = "acme/website"\ninclude = ["*.html"]\n'
    )

    async def main(mirror: Mirror) -> Report:
        async with mirror:
            return await mirror.sync()

    assert asyncio.run(main(Mirror.from_config(file))).downloaded == 1
    assert (tmp_path / "kept" / "acme" / "website" / "1" / "run.json").exists()
    monkeypatch.setenv("ARTIFACT_SYNC_REPO__NAME", "acme/rocket")
    monkeypatch.setenv("ARTIFACT_SYNC_CONFIG", str(file))
    assert asyncio.run(main(Mirror.from_config())).downloaded == 12
    monkeypatch.setenv("ARTIFACT_SYNC_REPO__SINCE", "7d")
    assert asyncio.run(main(Mirror(tmp_path / "other"))).downloaded == 8


def test_arguments_go_before_the_environment(
    root: Path, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARTIFACT_SYNC_SOURCE__BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ARTIFACT_SYNC_MIRROR__ROOT", "/nowhere")
    monkeypatch.setenv("SOURCECRAFT_TOKEN", "another")
    report = mirrored("acme/website", root=root, token=TOKEN, base_url=service.base_url)
    assert report.downloaded == 4


def test_failures_are_raised_by_their_exit_code(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = mirrored("acme/rocket", root=root, token="wrong")
    assert report.exit_code == 3
    with pytest.raises(CredentialsRefused, match="refused the token") as raised:
        report.raise_for_failures()
    assert raised.value.report is report
    assert raised.value.exit_code == 3
    monkeypatch.setenv("ARTIFACT_SYNC_DOWNLOAD__ATTEMPTS", "1")
    report = mirrored("acme/rocket", root=root, base_url="http://127.0.0.1:9")
    with pytest.raises(Unreachable):
        report.raise_for_failures()
    mirrored("acme/website", root=root, dry_run=True).raise_for_failures()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"repos": ["rocket"]}, "ORG/REPO"),
        ({"repos": []}, "no repository"),
        ({"include": [""]}, "selects nothing"),
        ({"run": []}, "selects nothing"),
        ({"root": ""}, "root"),
        ({"token": "two words"}, "token"),
        ({"base_url": "http://example.com"}, "base_url"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is(
    root: Path, wrong: dict[str, Any], message: str
) -> None:
    asked: dict[str, Any] = {"repos": ["acme/rocket"], "root": root} | wrong
    with pytest.raises(UsageError, match=message) as raised:
        mirrored(*asked.pop("repos"), **asked)
    assert "two words" not in str(raised.value)
    assert not root.exists()
    with pytest.raises(TypeError, match="sinse"):
        mirrored("acme/rocket", root=root, sinse="7d")


def test_a_broken_configuration_tells_all_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARTIFACT_SYNC_DOWNLOAD__JOBS", "many")
    with pytest.raises(ConfigError) as raised:
        Mirror(tmp_path)
    assert "ARTIFACT_SYNC_DOWNLOAD__JOBS" in raised.value.problems[0]


def test_events_are_told_and_an_error_of_the_listener_stops_the_pass(root: Path) -> None:
    events: list[object] = []
    mirrored("acme/website", root=root, on_event=events.append)
    assert sum(isinstance(it, Downloaded) for it in events) == 4

    class Enough(Exception):
        pass

    def stop(event: object) -> None:
        if isinstance(event, RunPlanned):
            raise Enough

    with pytest.raises(Enough):
        mirrored("acme/rocket", root=root, on_event=stop)
    assert mirrored("acme/*", root=root).complete


@pytest.mark.skipif(sys.platform == "win32", reason="no Unix sockets there")
def test_a_daemon_that_holds_the_mirror_runs_the_pass_and_the_repair(user: User) -> None:
    config = user.folder / "daemon.toml"
    config.write_text(f'[mirror]\nroot = "{user.root}"\n[[repo]]\nname = "acme/docs"\n')
    # its watch is off, as it is by default: the file is missed by ``verify`` alone
    with user.started("daemon", "--config", config) as process:
        wait_until((user.root / ".artifact-sync/daemon.sock").is_socket)
        events: list[object] = []
        report = mirrored("acme/rocket", root=user.root, token="mine", on_event=events.append)
        assert (report.downloaded, report.complete) == (12, True)
        assert sum(isinstance(it, Downloaded) for it in events) == 12
        assert asyncio.run(_count(user.root)) == 12
        lost = next(it for it in user.root.glob("acme/rocket/*/*/*/*/**/*") if it.is_file())
        lost.unlink()
        assert asyncio.run(checked(user.root)).missing == (lost,)
        assert asyncio.run(checked(user.root, repair=True)).repaired == (lost,)
        assert asyncio.run(checked(user.root)).complete
        assert user.finish(process, signal.SIGTERM).code == 0


def test_passes_of_one_mirror_take_turns_and_another_one_is_busy(root: Path) -> None:
    async def main() -> list[Report]:
        async with Mirror(root) as mirror:
            return await asyncio.gather(mirror.sync("acme/rocket"), mirror.sync("acme/website"))

    assert [it.downloaded for it in asyncio.run(main())] == [12, 4]

    async def two() -> Report:
        begun = asyncio.Event()
        async with Mirror(root, on_event=lambda _: begun.set()) as one, Mirror(root) as other:
            first = asyncio.create_task(one.sync("acme/*"))
            await begun.wait()
            with pytest.raises(MirrorBusy):
                await other.sync("acme/*")
            return await first

    assert asyncio.run(two()).complete


def test_a_mirror_is_entered_once_and_on_one_event_loop(root: Path) -> None:
    mirror = Mirror(root)
    with pytest.raises(UsageError, match="not entered"):
        asyncio.run(mirror.sync("acme/website"))

    async def enter() -> None:
        async with mirror:
            with pytest.raises(UsageError, match="another one"):
                await mirror.__aenter__()
            with pytest.raises(UsageError, match="event loop"):
                await asyncio.to_thread(asyncio.run, mirror.sync("acme/website"))

    asyncio.run(enter())
    asyncio.run(enter())


def slow(size: int) -> Scenario:
    """One file, which takes some seconds."""
    cube = Cube(artifacts=(ScenarioArtifact("big.bin", size=size),))
    run = ScenarioRun("1", "success", age=60.0, cubes=(cube,))
    files = Files(bandwidth=2 * MIB)
    return Scenario(
        api=ScenarioApi(tokens=(TOKEN,)), files=files, repos=(Repo("a/b", runs=(run,)),)
    )


@pytest.mark.slow
def test_a_cancelled_pass_stops_in_order_and_the_next_one_goes_on_with_it(tmp_path: Path) -> None:
    with running_in_thread(slow(6 * MIB)) as service:
        user = User(tmp_path, service)

        async def main() -> None:
            come = 0
            enough = asyncio.Event()

            def count(event: object) -> None:
                nonlocal come
                come += event.count if isinstance(event, BytesArrived) else 0
                if come > 3 * MIB:
                    enough.set()

            async with Mirror(user.root, base_url=service.base_url, on_event=count) as mirror:
                sync = asyncio.create_task(mirror.sync("a/b"))
                await enough.wait()
                sync.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await sync
                assert (user.files(), user.staged() > 0) == ({}, True)
                report = await mirror.sync("a/b")
            assert (report.downloaded, report.bytes < 4 * MIB) == (1, True)

        asyncio.run(main())
        assert user.files() == contents(service.simulator)
        assert user.run("verify", "--root", user.root).code == 0


SEVERAL_LOOPS = """
import asyncio
from artifact_sync import mirror_artifacts
for repo in ("acme/website", "acme/rocket", "acme/docs", "acme/*"):
    asyncio.run(mirror_artifacts(repo, root="mirror")).raise_for_failures()
"""
IN_THREADS = """
import asyncio
from concurrent.futures import ThreadPoolExecutor
from artifact_sync import mirror_artifacts
for repo in ("acme/website", "acme/rocket", "acme/*"):
    with ThreadPoolExecutor(1) as thread:
        report = thread.submit(asyncio.run, mirror_artifacts(repo, root="mirror")).result()
    report.raise_for_failures()
"""
CANCELLED = """
import asyncio
from artifact_sync import Mirror

async def main():
    loop = asyncio.get_running_loop()
    async with Mirror("mirror", on_event=lambda _: asyncio.current_task()) as mirror:
        for _ in range(8):
            sync = asyncio.create_task(mirror.sync("acme/*"))
            await asyncio.sleep(0.05)
            sync.cancel()
            await asyncio.wait([sync])
        (await mirror.sync("acme/*")).raise_for_failures()

asyncio.run(main())
"""


@pytest.mark.parametrize("script", [SEVERAL_LOOPS, IN_THREADS, CANCELLED])
def test_a_program_says_nothing_and_ends_well(user: User, script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=user.folder,
        env=user.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(user.files()) == 16
