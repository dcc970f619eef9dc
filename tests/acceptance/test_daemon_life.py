"""The daemon's days: it mirrors what ends, it is stopped, killed, reloaded, and begun wrongly."""

from __future__ import annotations

import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

import pytest
from daemon_user import DaemonUser, run_complete
from user import TOKEN, contents, organisation, run_of_four, with_module

from artifact_sync.domain.model import RepoName
from artifact_sync.simulator import (
    Cube,
    Repo,
    Running,
    Scenario,
    ScenarioApi,
    ScenarioArtifact,
    ScenarioRun,
)
from artifact_sync.simulator import running_in_thread as running
from artifact_sync.simulator.faults import Slow, Stall

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from daemon_user import Daemon

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")

ROCKET, WEBSITE, DOCS = "acme/rocket", "acme/website", "acme/docs"
MIB = 1 << 20
BIG, SMALL = "big.bin", "small.bin"
STOPS = (signal.SIGTERM, signal.SIGINT)


@pytest.fixture
def owner(tmp_path: Path, own_service: Running) -> DaemonUser:
    return DaemonUser(tmp_path, own_service)


def of(size: int, *names: str) -> Scenario:
    """``acme/rocket`` with one run of files of a size."""
    cube = Cube(artifacts=tuple(ScenarioArtifact(name, size=size) for name in names))
    rocket = Repo(ROCKET, runs=(ScenarioRun("1", cubes=(cube,)),))
    return Scenario(api=ScenarioApi(tokens=(TOKEN,)), repos=(rocket,))


@pytest.fixture
def bulky(tmp_path: Path) -> Iterator[tuple[DaemonUser, Running]]:
    """A repository whose run has one big file, which comes slowly, and then a small one."""
    with running(of(4 * MIB, BIG, SMALL)) as service:
        service.simulator.add_fault(Slow(path=BIG, rate=MIB))
        user = DaemonUser(tmp_path, service)
        user.configure(ROCKET, download__jobs=1)
        yield user, service


def halted(service: Running) -> None:
    """Of the big file the first half comes, and then nothing."""
    service.simulator.clear_faults()
    service.simulator.add_fault(Stall(path=BIG, after=0.5))


def is_complete(user: DaemonUser, repo: str, run: str) -> bool:
    return (user.root / repo / run / "SHA256SUMS").exists()


def ranges(service: Running, name: str) -> list[str]:
    return [seen.range for seen in service.simulator.requests if seen.local_path == name]


def test_what_ends_is_mirrored_within_the_interval_and_at_once_after_a_webhook(
    owner: DaemonUser, own_service: Running
) -> None:
    simulator = own_service.simulator
    owner.configure(ROCKET, WEBSITE)
    with owner.daemon() as daemon:
        daemon.wait_for(lambda: is_complete(owner, WEBSITE, "1"))
        slug = simulator.add_run(ROCKET, run_of_four("going-on", "processing", days=0))
        simulator.set_status(ROCKET, slug, "success")
        daemon.wait_for(lambda: is_complete(owner, ROCKET, slug), bound=30)
        owner.configure(ROCKET, WEBSITE, daemon__interval="1h")
        daemon.wait_for_line("the configuration has changed")
        simulator.add_run(WEBSITE, run_of_four("hooked", days=0))
        assert daemon.post_hook(run_complete(WEBSITE, "hooked"), "wrong") == 401
        assert daemon.post_hook(run_complete("acme/no-such", "1")) == 404
        assert daemon.post_hook(run_complete(WEBSITE, "hooked")) == 202
        daemon.wait_for(lambda: is_complete(owner, WEBSITE, "hooked"), bound=30)
        simulator.set_status(ROCKET, "4", "failed")
        assert daemon.post_hook(run_complete(ROCKET, "4", 2)) == 202
        expected = {
            path: content
            for path, content in contents(simulator, ROCKET, WEBSITE).items()
            if not path.endswith("late")
        }
        daemon.wait_for(lambda: owner.files() == expected)
        assert owner.runs() == {
            *(f"{ROCKET}/{slug}" for slug in ("1", "2", "3", "going-on")),
            *(f"{WEBSITE}/{slug}" for slug in ("1", "hooked")),
        }
        assert daemon.end() == 0
        refused, unknown = daemon.alarms
        assert refused["message"].startswith("webhook calls with a wrong signature were refused")
        assert unknown["repo"] == "acme/no-such"


def test_a_host_that_drips_holds_up_its_own_repository_and_no_other(tmp_path: Path) -> None:
    cube = Cube(artifacts=tuple(ScenarioArtifact(f"drip-{n}.bin", size=MIB) for n in range(6)))
    rocket = Repo(ROCKET, runs=tuple(ScenarioRun(str(n), cubes=(cube,)) for n in range(1, 7)))
    website = Repo(WEBSITE, runs=(run_of_four("1"),))
    scenario = Scenario(api=ScenarioApi(tokens=(TOKEN,)), repos=(rocket, website))
    with running(scenario) as service:
        service.simulator.add_fault(Slow(path="drip-*.bin", rate=1))
        user = DaemonUser(tmp_path, service)
        user.configure(ROCKET, download__jobs=4, daemon__grace="0s")
        with user.daemon() as daemon:
            daemon.wait_for(lambda: daemon.live()["downloads"] == 4)  # it is alone, and takes all
            user.configure(ROCKET, WEBSITE, download__jobs=8, daemon__grace="0s")
            daemon.wait_for(lambda: is_complete(user, WEBSITE, "1"))
            slug = service.simulator.add_run(WEBSITE, run_of_four("2", days=0))
            daemon.wait_for(lambda: is_complete(user, WEBSITE, slug))
            assert daemon.live()["downloads"] == 4
            assert daemon.end() == 0


@pytest.mark.parametrize("number", STOPS)
def test_told_to_stop_it_lets_files_in_flight_finish_and_begins_nothing(
    bulky: tuple[DaemonUser, Running], number: signal.Signals
) -> None:
    user, service = bulky
    with user.daemon(ready=False) as daemon:
        daemon.wait_for(lambda: user.staged() > MIB // 2)
        asked = service.simulator.requests.api
        assert daemon.end(number) == 0
        assert service.simulator.requests.api == asked
        assert ranges(service, SMALL) == []
        assert [path.rpartition("/")[2] for path in user.files()] == [BIG]
        assert user.runs() == set()
        (line,) = daemon.said("stopping; files in flight may finish")
        assert (line["files"], line["within_s"]) == (1, 30.0)
        assert daemon.alarms == []
    service.simulator.clear_faults()
    with user.daemon() as daemon:
        daemon.wait_for(lambda: user.has_everything(contents(service.simulator), 1))
        assert len(ranges(service, BIG)) == 1
        assert daemon.end() == 0


def test_told_to_stop_amid_many_runs_it_breaks_none_off(tmp_path: Path) -> None:
    cube = Cube(artifacts=(ScenarioArtifact(BIG, size=2 * MIB),))
    rocket = Repo(ROCKET, runs=(ScenarioRun("{n}", cubes=(cube,), count=8),))
    with running(Scenario(api=ScenarioApi(tokens=(TOKEN,)), repos=(rocket,))) as service:
        service.simulator.add_fault(Slow(rate=MIB))
        user = DaemonUser(tmp_path, service)
        user.configure(ROCKET)
        with user.daemon(ready=False) as daemon:
            daemon.wait_for(lambda: user.staged() > 2 * MIB)
            assert daemon.end() == 0
            (line,) = daemon.said("stopping; files in flight may finish")
            assert line["files"] >= 2
            assert len(user.files()) == len(user.runs()) == line["files"]
            assert user.staged() == 0
            assert daemon.alarms == []


def test_what_the_grace_time_does_not_suffice_for_is_gone_on_with_at_its_byte(
    bulky: tuple[DaemonUser, Running],
) -> None:
    user, service = bulky
    halted(service)
    user.configure(ROCKET, download__jobs=1, download__timeout="10m", daemon__grace="1s")
    with user.daemon(ready=False) as daemon:
        daemon.wait_for(lambda: user.staged() > MIB // 2)
        began = time.monotonic()
        assert daemon.end() == 0
        assert 1 <= time.monotonic() - began < 28  # of 30 by default
        assert daemon.alarms == []
    assert user.files() == {}
    staged = user.staged()
    assert staged > MIB
    service.simulator.clear_faults()
    with user.daemon() as daemon:
        daemon.wait_for(lambda: user.has_everything(contents(service.simulator), 1))
        assert ranges(service, BIG) == ["", f"bytes={staged}-"]
        assert daemon.end() == 0


@pytest.mark.parametrize("number", STOPS)
def test_told_twice_it_stops_at_once_and_loses_nothing(
    bulky: tuple[DaemonUser, Running], number: signal.Signals
) -> None:
    user, service = bulky
    halted(service)
    user.configure(ROCKET, download__jobs=1, download__timeout="10m", daemon__grace="5m")
    with user.daemon(ready=False) as daemon:
        daemon.wait_for(lambda: user.staged() > MIB // 2)
        daemon.send(number)
        daemon.wait_for_line("stopping; files in flight may finish")
        assert daemon.end(number, bound=60) == 130
    staged = user.staged()
    assert staged > MIB // 2
    service.simulator.clear_faults()
    with user.daemon() as daemon:
        daemon.wait_for(lambda: user.has_everything(contents(service.simulator), 1))
        assert ranges(service, BIG) == ["", f"bytes={staged}-"]


def test_a_service_that_says_nothing_does_not_hold_up_the_end(
    owner: DaemonUser, own_service: Running
) -> None:
    own_service.simulator.add_fault(Stall(on="api", after=0.0))
    owner.configure(ROCKET, WEBSITE, download__timeout="10m", daemon__grace="5m")
    with owner.daemon(ready=False) as daemon:
        daemon.wait_for(lambda: own_service.simulator.requests.api >= 2)
        assert daemon.end(bound=60) == 0
        assert daemon.alarms == []


@pytest.mark.parametrize("number", STOPS)
def test_told_to_stop_before_it_has_begun_it_ends_well_all_the_same(
    owner: DaemonUser, number: signal.Signals
) -> None:
    owner.configure(ROCKET)
    with owner.daemon(ready=False) as daemon:
        daemon.wait_for((owner.root / ".artifact-sync").exists)  # it is opening the mirror
        assert daemon.end(number) == 0
        assert daemon.alarms == []


def test_killed_it_goes_on_where_it_was_and_the_socket_it_left_does_no_harm(
    tmp_path: Path,
) -> None:
    names = [f"{n}.bin" for n in range(3)]
    with running(of(12 * MIB, *names)) as service:
        service.simulator.add_fault(Slow(rate=4 * MIB))
        user = DaemonUser(tmp_path, service)
        user.configure(ROCKET)
        with user.daemon(ready=False) as daemon:
            daemon.wait_for(lambda: user.staged() > 12 * MIB)
            (now,) = daemon.ask()["passes"]
            daemon.end(signal.SIGKILL)
        assert user.files() == {}
        assert (user.root / ".artifact-sync/daemon.sock").is_socket()
        assert user.run("status", "--config", user.config).code == 0
        service.simulator.clear_faults()
        with user.daemon() as daemon:
            daemon.wait_for(lambda: user.has_everything(contents(service.simulator), 1))
            daemon.wait_for(lambda: daemon.ask()["passes"] == [])
            again = [ranges(service, name)[1:] for name in names]
            offsets = [int(one.removeprefix("bytes=").rstrip("-")) for (one,) in again]
            assert all(offset > 0 for offset in offsets)
            assert now["bytes"] - sum(offsets) <= 3 * 8 * MIB
            assert daemon.end() == 0
            assert daemon.alarms == []
        assert not (user.root / ".artifact-sync/daemon.sock").exists()


def test_what_is_changed_in_the_file_takes_effect_and_downloads_go_on(
    bulky: tuple[DaemonUser, Running],
) -> None:
    user, service = bulky
    with user.daemon(ready=False) as daemon:
        daemon.wait_for(lambda: user.staged() > MIB // 2)
        user.configure(
            ROCKET,
            daemon__interval="2s",
            download__jobs=3,
            download__limit="50MiB",
            mirror__min_free="1MiB",
            text=f'[[repo]]\nname = "{DOCS}"\ncron = "* * * * *"\n',
        )
        daemon.wait_for_line("the configuration has changed", 5)
        told = {line["key"]: line["change"] for line in daemon.said("the configuration has")}
        assert set(told) == {
            "daemon.interval",
            "download.jobs",
            "download.limit",
            "mirror.min_free",
            f"repo {DOCS}",
        }
        live = daemon.live()
        assert live["limit"] == 50 * MIB
        assert {it["repo"] for it in live["repositories"]} == {ROCKET, DOCS}
        daemon.wait_for(lambda: user.has_everything(contents(service.simulator), 1))
        assert ranges(service, BIG) == [""]
        service.simulator.add_run(
            ROCKET,
            ScenarioRun(
                "2", cubes=(Cube(artifacts=(ScenarioArtifact("a.txt"), ScenarioArtifact("b.xml"))),)
            ),
        )
        daemon.wait_for(lambda: is_complete(user, ROCKET, "2"))
        assert daemon.end() == 0


def test_a_file_that_is_not_valid_changes_nothing_and_its_place_is_logged(
    owner: DaemonUser,
) -> None:
    owner.configure(WEBSITE)
    with owner.daemon() as daemon:
        good = owner.config.read_text(encoding="utf-8")
        owner.put(owner.config, good.replace('"1s"', '"soon"') + "\n[mirorr]\n")
        first = daemon.wait_for_line("the new configuration is not used, the old one stays", 2)
        problems = [line["problem"] for line in daemon.said("the new configuration is not used")]
        number = 1 + good.splitlines().index('interval = "1s"')
        assert first["level"] == "error"
        assert any(f"daemon.toml:{number}" in it and "soon" in it for it in problems)
        assert tuple(daemon.live()["config"]["problems"]) == tuple(problems)
        owner.put(owner.config, good)
        daemon.wait_for_line("the configuration is valid again")
        assert daemon.live()["config"]["problems"] == []
        owner.config.unlink()
        line = daemon.wait_for_line("the new configuration is not used, the old one stays", 3)
        assert str(owner.config) in line["problem"]
        owner.put(owner.config, good)
        daemon.wait_for_line("the configuration is valid again", 2)
        assert daemon.end() == 0


def test_what_cannot_change_while_it_runs_is_said_to_need_a_restart(
    owner: DaemonUser, own_service: Running
) -> None:
    owner.configure(WEBSITE)
    with owner.daemon() as daemon:
        other = owner.folder / "other"
        owner.configure(WEBSITE, mirror__root=str(other), daemon__interval="2s")
        line = daemon.wait_for_line("this takes effect when artifact-sync is restarted")
        assert (line["key"], line["level"]) == ("mirror.root", "warning")
        assert daemon.wait_for_line("the configuration has changed")["key"] == "daemon.interval"
        own_service.simulator.add_run(WEBSITE, run_of_four("later", days=0))
        daemon.wait_for(lambda: is_complete(owner, WEBSITE, "later"))
        assert not other.exists()
        owner.configure(WEBSITE)
        daemon.wait_for_line("the configuration has changed", 2)
        assert daemon.live()["config"]["restart_needed"] == []
        assert daemon.end() == 0


def test_sighup_reads_it_again_and_says_so(owner: DaemonUser) -> None:
    owner.configure(WEBSITE)
    with owner.daemon() as daemon:
        daemon.send(signal.SIGHUP)
        daemon.wait_for_line("nothing has changed in the configuration")
        assert daemon.end() == 0
        assert daemon.alarms == []


def test_what_is_excluded_from_now_on_is_not_fetched_any_more(
    owner: DaemonUser, own_service: Running
) -> None:
    owner.configure(text=f'[[repo]]\nname = "{WEBSITE}"\ninclude = ["*.tar.gz"]\n')
    with owner.daemon() as daemon:
        daemon.wait_for(lambda: is_complete(owner, WEBSITE, "1"))
        assert len(owner.files()) == 1
        owner.configure(text=f'[[repo]]\nname = "{WEBSITE}"\ninclude = ["*.tar.gz", "*.html"]\n')
        daemon.wait_for(lambda: len(owner.files()) == 2)
        owner.configure(DOCS)
        daemon.wait_for_line("the configuration has changed", 3)
        own_service.simulator.add_run(WEBSITE, run_of_four("unseen", days=0))
        own_service.simulator.add_run(DOCS, run_of_four("seen", days=0))
        daemon.wait_for(lambda: is_complete(owner, DOCS, "seen"))
        assert not (owner.root / WEBSITE / "unseen").exists()
        assert {it["repo"] for it in daemon.live()["repositories"]} == {DOCS}
        assert is_complete(owner, WEBSITE, "1")


def test_a_star_follows_the_organisation(owner: DaemonUser, own_service: Running) -> None:
    world = own_service.simulator
    owner.configure("acme/*")
    with owner.daemon() as daemon:
        daemon.wait_for(lambda: is_complete(owner, WEBSITE, "1"))
        everyone = {"acme/*", ROCKET, WEBSITE, DOCS}

        def known() -> set[str]:
            return {it["repo"] for it in daemon.ask()["repositories"]}

        daemon.wait_for(lambda: known() == everyone)
        newcomer = Repo("acme/newcomer", runs=(run_of_four("1"),))
        world.repos.update({repo.name: repo for repo in world._grown((newcomer,), world.now())})
        daemon.wait_for(lambda: is_complete(owner, "acme/newcomer", "1"))
        gone = world.repos.pop(RepoName("acme", "docs"))
        daemon.wait_for(lambda: known() == everyone - {DOCS} | {"acme/newcomer"})
        kept = dict(world.repos)
        asked = own_service.simulator.requests["repos"]
        world.repos.clear()
        daemon.wait_for(lambda: own_service.simulator.requests["repos"] >= asked + 2)
        assert known() == everyone - {DOCS} | {"acme/newcomer"}
        world.repos.update(kept | {gone.name: gone})
        daemon.wait_for(lambda: known() == everyone | {"acme/newcomer"})
        lines = daemon.said("organisation listed")
        assert [(line["new"], line["gone"]) for line in lines] == [(3, 0), (1, 0), (0, 1), (1, 0)]
        assert daemon.end() == 0


def test_a_second_daemon_is_sent_away(owner: DaemonUser) -> None:
    owner.configure(DOCS)
    with owner.daemon() as first:
        second = owner.run("daemon", "--config", owner.config)
        assert second.code == 7
        assert str(first.process.pid) in second.err
        assert first.live()["pid"] == first.process.pid
        assert first.end() == 0


def test_a_configuration_that_makes_no_sense_is_no_start(owner: DaemonUser) -> None:
    owner.configure(DOCS, daemon__interval="soon")
    done = owner.run("daemon", "--config", owner.config)
    assert done.code == 2
    assert "soon" in done.err
    assert not owner.root.exists()


def test_a_port_that_is_taken_is_no_start(owner: DaemonUser) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        owner.configure(DOCS, web__listen=f"127.0.0.1:{port}")
        done = owner.run("daemon", "--config", owner.config)
    assert done.code == 2
    assert str(port) in done.err


def test_without_the_extra_for_the_web_it_says_what_to_install(owner: DaemonUser) -> None:
    missing = "raise ModuleNotFoundError(name='starlette')"
    environ = with_module(owner.folder / "missing", "starlette", missing)
    owner.configure(DOCS)
    done = owner.run("daemon", "--config", owner.config, **environ)
    assert done.code == 2
    assert "artifact-sync[web]" in done.err


def test_many_passes_leave_no_descriptor_open_and_need_no_more_memory(tmp_path: Path) -> None:
    names = [f"acme/repo-{n}" for n in range(20)]
    scenario = organisation(repos=tuple(Repo(name, runs=(run_of_four("1"),)) for name in names))
    with running(scenario) as service:
        user = DaemonUser(tmp_path, service)
        user.configure(*names)
        with user.daemon() as daemon:
            daemon.wait_for(lambda: len(user.runs()) == 20)
            _wait_for_passes(daemon, service, 100)
            files, memory = daemon.files_open, daemon.memory
            _wait_for_passes(daemon, service, 100)
            assert abs(daemon.files_open - files) <= 8
            assert daemon.memory - memory < 4 * MIB
            assert daemon.end() == 0


def _wait_for_passes(daemon: Daemon, service: Running, count: int) -> None:
    goal = service.simulator.requests["runs"] + count
    daemon.wait_for(lambda: service.simulator.requests["runs"] >= goal, bound=60)
