"""The daemon among faults: each is said once, nothing is lost, and all goes on by itself after."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from daemon_user import DaemonUser, run_complete
from msgspec.structs import replace
from small_disk import MirrorDisk
from switched import Switched
from user import PAGE, contents, organisation, run_of_four

from artifact_sync.simulator import (
    Cube,
    Repo,
    Running,
    ScenarioApi,
    ScenarioArtifact,
    ScenarioRun,
    running_in_thread,
)
from artifact_sync.simulator.faults import Slow, StatusFault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from daemon_user import Daemon

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")

ROCKET, WEBSITE = "acme/rocket", "acme/website"
MIB = 1 << 20
NEW_TOKEN = "pv1_new-not-for-anybodys-eyes"
DOWN, UP = "the service cannot be reached", "the service can be reached again"
REFUSED, ACCEPTED = "the service refuses the token", "the service accepts the token again"


@pytest.fixture
def owner(tmp_path: Path, own_service: Running) -> DaemonUser:
    user = DaemonUser(tmp_path, own_service)
    user.configure(ROCKET, WEBSITE)
    return user


def is_complete(user: DaemonUser, repo: str, run: str) -> bool:
    return (user.root / repo / run / "SHA256SUMS").exists()


def settled(daemon: Daemon) -> None:
    """The organisation's four complete runs are here."""
    daemon.wait_for(lambda: len(daemon.user.runs()) == 4)


@pytest.fixture
def switched() -> Iterator[Switched]:
    service = Switched(organisation())
    with service.stack:
        yield service


def test_a_service_that_is_gone_is_said_to_be_so_once_and_then_all_is_caught_up_with(
    tmp_path: Path, switched: Switched
) -> None:
    user = DaemonUser(tmp_path, switched.running)
    user.configure(ROCKET, WEBSITE)
    with user.daemon() as daemon:
        settled(daemon)
        switched.off()
        begun = daemon.wait_for_line(DOWN)
        assert begun["level"] == "error"
        assert daemon.get("/healthz")[0] == 200
        code, body = daemon.get("/readyz")
        assert code == 503
        assert b"cannot be used since" in body
        state = daemon.live()["service"]
        assert not state["reachable"]
        for repo in (ROCKET, WEBSITE):
            switched.simulator.add_run(repo, run_of_four("new", days=0))
        switched.on()
        daemon.wait_for_line(UP)
        daemon.wait_for(lambda: len(user.runs()) == 6)
        assert daemon.get("/readyz")[0] == 200
        assert [line["message"].partition(";")[0] for line in daemon.alarms] == [DOWN, UP]
        assert daemon.end() == 0


def test_a_service_that_has_only_errors_is_probed_at_once_when_a_webhook_comes(
    owner: DaemonUser, own_service: Running
) -> None:
    with owner.daemon() as daemon:
        settled(daemon)
        own_service.simulator.add_fault(StatusFault(on="api", status=503))
        daemon.wait_for_line(DOWN)
        own_service.simulator.add_run(ROCKET, run_of_four("new", days=0))
        own_service.simulator.clear_faults()
        asked = own_service.simulator.requests.api
        assert daemon.post_hook(run_complete(ROCKET, "new")) == 202
        took = daemon.wait_for(lambda: own_service.simulator.requests.api > asked)
        assert took < 4  # the next probe would come after five seconds, and more and more
        daemon.wait_for(lambda: is_complete(owner, ROCKET, "new"))
        daemon.wait_for_line(UP)
        assert [line["message"].partition(";")[0] for line in daemon.alarms] == [DOWN, UP]
        assert daemon.end() == 0


def test_a_name_that_does_not_resolve_is_an_outage_until_the_configuration_is_mended(
    owner: DaemonUser,
) -> None:
    owner.configure(ROCKET, WEBSITE, source__base_url="https://api.no-such-place.invalid")
    with owner.daemon() as daemon:
        line = daemon.wait_for_line(DOWN)
        assert "api.no-such-place.invalid" in line["why"]
        owner.configure(ROCKET, WEBSITE)
        daemon.wait_for_line(UP)
        settled(daemon)
        assert [line["message"].partition(";")[0] for line in daemon.alarms] == [DOWN, UP]
        assert daemon.end() == 0


def test_a_token_that_is_revoked_is_replaced_in_its_file_without_a_restart(
    owner: DaemonUser, own_service: Running
) -> None:
    service = own_service.simulator
    with owner.daemon() as daemon:
        settled(daemon)
        service.scenario = replace(service.scenario, api=ScenarioApi(tokens=(NEW_TOKEN,)))
        daemon.wait_for_line(REFUSED)
        own_service.simulator.add_run(ROCKET, run_of_four("new", days=0))
        owner.put(owner.token_file, NEW_TOKEN)
        daemon.wait_for(lambda: is_complete(owner, ROCKET, "new"))
        daemon.wait_for_line(ACCEPTED)
        daemon.wait_for_line("the token was replaced")
        assert [line["message"].partition(";")[0] for line in daemon.alarms] == [REFUSED, ACCEPTED]
        assert len(daemon.said("the token was replaced")) == 1
        assert daemon.end() == 0


def test_one_repository_that_is_refused_does_not_hold_up_the_others(tmp_path: Path) -> None:
    secret = Repo("acme/secret", forbidden=True, runs=(run_of_four("1"),))
    with running_in_thread(organisation(repos=(*organisation().repos, secret))) as service:
        user = DaemonUser(tmp_path, service)
        user.configure(ROCKET, "acme/secret", WEBSITE)
        with user.daemon() as daemon:
            settled(daemon)
            daemon.wait_for(lambda: daemon.standing("acme/secret")["failing"] >= 2)
            service.simulator.add_run(ROCKET, run_of_four("new", days=0))
            daemon.wait_for(lambda: is_complete(user, ROCKET, "new"))
            (alarm,) = daemon.alarms
            assert alarm["repo"] == "acme/secret"
            assert daemon.end() == 0


def test_logs_that_are_refused_hold_up_no_run(owner: DaemonUser, own_service: Running) -> None:
    own_service.simulator.add_fault(StatusFault(on="api", endpoint="logs", status=401))
    owner.configure(text=f'[[repo]]\nname = "{ROCKET}"\nlogs = true')
    with owner.daemon() as daemon:
        daemon.wait_for_line("no permission to read the logs of cubes")
        daemon.wait_for(lambda: len(owner.runs()) == 3)
        own_service.simulator.add_run(ROCKET, run_of_four("new", days=0))
        daemon.wait_for(lambda: is_complete(owner, ROCKET, "new"))
        assert not daemon.said("the service refuses the token")
        assert daemon.end() == 0


def test_what_is_not_there_yet_comes_when_it_is(owner: DaemonUser, own_service: Running) -> None:
    simulator = own_service.simulator
    owner.configure(ROCKET, WEBSITE, daemon__interval="1h")
    with owner.daemon() as daemon:
        settled(daemon)
        simulator.set_status(ROCKET, "4", "failed")
        assert daemon.post_hook(run_complete(ROCKET, "4")) == 202
        daemon.wait_for(lambda: simulator.requests["run"] == 5)
        daemon.wait_for(lambda: daemon.standing(ROCKET)["why"] == "outstanding")
        assert 50 < daemon.standing(ROCKET)["due_in"] <= 60
        simulator.set_artifact_status(ROCKET, "4", "late", "success")
        assert owner.run("sync", ROCKET, "--config", owner.config).code == 0
        assert is_complete(owner, ROCKET, "4")
        assert owner.files() == contents(simulator, ROCKET, WEBSITE)
        assert daemon.end() == 0


def test_what_cannot_be_fetched_lags_until_it_can_though_passes_come_and_go(
    owner: DaemonUser, own_service: Running
) -> None:
    owner.configure(ROCKET, WEBSITE, daemon__lag_alert="2s")
    own_service.simulator.add_fault(StatusFault(path=PAGE, run="1", repo=ROCKET, status=500))
    with owner.daemon() as daemon:
        daemon.wait_for(lambda: len(owner.runs()) == 3)
        daemon.wait_for(lambda: b"acme/rocket lags by" in daemon.get("/readyz")[1])
        rocket, website = owner.status()["repositories"]
        assert rocket["last_complete"] is None
        assert website["last_complete"] is not None
        (alarm,) = daemon.alarms
        assert alarm["local_path"] == PAGE
        own_service.simulator.clear_faults()
        owner.configure(ROCKET, WEBSITE, daemon__lag_alert="2s", daemon__interval="1h")
        daemon.wait_for_line("the configuration has changed")
        assert owner.run("sync", ROCKET, "--config", owner.config).code == 0
        daemon.wait_for(lambda: daemon.get("/readyz") == (200, b"ready\n"))
        assert owner.status()["repositories"][0]["last_complete"] is not None
        assert daemon.end() == 0


def test_a_service_that_goes_away_amid_many_files_makes_few_lines(tmp_path: Path) -> None:
    files = Cube(artifacts=tuple(ScenarioArtifact(f"{n}.bin", size=MIB) for n in range(60)))
    repos = tuple(
        Repo(name, runs=(ScenarioRun("1", cubes=(files,)),)) for name in (ROCKET, WEBSITE)
    )
    switched = Switched(organisation(repos=repos, faults=(Slow(rate=4 * MIB),)))
    user = DaemonUser(tmp_path, switched.running)
    user.configure(ROCKET, WEBSITE)
    with switched.stack, user.daemon(ready=False) as daemon:
        daemon.wait_for(lambda: len(user.files()) > 10)
        switched.off()
        daemon.wait_for_line(DOWN)
        switched.on()
        switched.simulator.clear_faults()
        assert daemon.post_hook(run_complete(ROCKET, "1")) == 202
        daemon.wait_for_line(UP)
        assert len(daemon.alarms) <= 5  # of a hundred files that failed
        user.run("sync", ROCKET, WEBSITE, "--config", user.config)
        daemon.wait_for(lambda: len(user.runs()) == 2)
        assert user.files() == contents(switched.simulator)
        assert daemon.end() == 0


class Disk(MirrorDisk):
    """A small disk that can be taken away and given back, and filled."""

    def fill(self, leave: int) -> None:
        """Take all room but so much, also while somebody writes."""
        with (self.behind / "ballast").open("wb", buffering=0) as ballast:
            while (free := shutil.disk_usage(self.behind).free) > leave:
                with suppress(OSError):
                    ballast.write(bytes(free - leave))

    def empty(self) -> None:
        (self.behind / "ballast").unlink()

    def ledger(self) -> list[tuple[object, ...]]:
        """What the ledger says of artifacts, and of runs that are settled."""
        path = self.behind / "data" / ".artifact-sync" / "ledger.sqlite"
        runs = "SELECT id, run, status, settled_for, complete FROM runs WHERE settled_for <> ''"
        with _opened(path) as database:
            return [
                *database.execute("SELECT * FROM artifacts ORDER BY id"),
                *database.execute(runs + " ORDER BY id"),
            ]


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    database = sqlite3.connect(path, timeout=10, isolation_level=None)
    try:
        yield database
    finally:
        database.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with Disk.of(tmp_path, "size=24m") as disk:
        yield disk


@pytest.mark.root
def test_a_disk_that_is_full_is_gone_on_with_when_there_is_room(
    owner: DaemonUser, own_service: Running, disk: Disk
) -> None:
    simulator = own_service.simulator
    with owner.daemon() as daemon:
        settled(daemon)
        disk.fill(leave=2 * MIB)
        cube = Cube(
            artifacts=(ScenarioArtifact("big.bin", size=6 * MIB), ScenarioArtifact("small.bin"))
        )
        simulator.add_run(ROCKET, ScenarioRun("big", cubes=(cube,)))
        daemon.wait_for_line("no room on the mirror's disk")
        simulator.add_run(WEBSITE, run_of_four("small", days=0))
        daemon.wait_for(lambda: b"no room" in daemon.get("/readyz")[1])
        expected = contents(simulator, ROCKET, WEBSITE)
        assert all(expected[path] == content for path, content in owner.files().items())
        assert not is_complete(owner, ROCKET, "big")
        disk.empty()
        daemon.wait_for(lambda: is_complete(owner, ROCKET, "big"), bound=30)
        daemon.wait_for(lambda: is_complete(owner, WEBSITE, "small"))
        assert len(owner.runs()) == 6
        daemon.wait_for_line("there is room on the mirror's disk again")
        assert daemon.get("/readyz")[0] == 200
        assert daemon.end() == 0


# Guards against: a daemon that may not prune, since its ledger cannot say so on the full disk.
@pytest.mark.root
def test_runs_go_from_a_disk_without_a_free_byte_so_that_newer_ones_come(
    owner: DaemonUser, own_service: Running, disk: Disk
) -> None:
    reserve = owner.root / ".artifact-sync/reserve"
    with owner.daemon() as daemon:
        settled(daemon)
        daemon.wait_for(lambda: not daemon.ask()["passes"])
        assert reserve.exists()
        disk.fill(leave=0)
        owner.put(owner.config, owner.config.read_text() + "[keep]\nlast = 1\nmax_share = '100%'\n")
        daemon.send(signal.SIGHUP)
        own_service.simulator.add_run(ROCKET, run_of_four("new", days=0))
        daemon.wait_for(lambda: owner.runs() == {"acme/rocket/new", "acme/website/1"})
        assert not reserve.exists()
        disk.empty()
        own_service.simulator.add_run(ROCKET, run_of_four("newer", days=0))
        daemon.wait_for(lambda: owner.runs() == {"acme/rocket/newer", "acme/website/1"})
        daemon.wait_for(reserve.exists)
        assert daemon.end() == 0


@pytest.mark.root
def test_a_root_that_is_unmounted_gets_nothing_and_is_gone_on_with_when_it_is_back(
    owner: DaemonUser, own_service: Running, disk: Disk
) -> None:
    simulator = own_service.simulator
    with owner.daemon() as daemon:
        settled(daemon)
        daemon.wait_for(lambda: not daemon.ask()["passes"])
        before = disk.ledger()
        disk.unmount()
        simulator.add_run(ROCKET, run_of_four("new", days=0))
        daemon.wait_for_line("the mirror cannot be used")
        assert list(disk.root.iterdir()) == []
        daemon.wait_for(lambda: daemon.get("/readyz")[0] == 503)
        daemon.wait_for(lambda: daemon.ask()["trouble"] != [])
        asked = simulator.requests.api
        assert daemon.post_hook(run_complete(ROCKET, "new")) == 202
        time.sleep(2)  # in which nothing may happen
        assert simulator.requests.api == asked
        assert list(disk.root.iterdir()) == []
        assert [row for row in disk.ledger() if row in before] == before
        disk.mount()
        daemon.wait_for(lambda: is_complete(owner, ROCKET, "new"))
        assert len(owner.runs()) == 5
        daemon.wait_for(lambda: daemon.get("/readyz")[0] == 200)
        assert daemon.end() == 0


def test_a_ledger_that_somebody_reads_for_long_holds_nothing_up(
    owner: DaemonUser, own_service: Running
) -> None:
    with owner.daemon() as daemon:
        settled(daemon)
        with _opened(owner.root / ".artifact-sync/ledger.sqlite") as database:
            database.execute("BEGIN")
            database.execute("SELECT count(*) FROM artifacts").fetchall()
            own_service.simulator.add_run(ROCKET, run_of_four("new", days=0))
            daemon.wait_for(lambda: is_complete(owner, ROCKET, "new"))
            database.execute("ROLLBACK")
        assert daemon.end() == 0
        assert daemon.alarms == []


def test_a_ledger_that_somebody_locks_is_waited_for(
    owner: DaemonUser, own_service: Running
) -> None:
    with owner.daemon() as daemon:
        settled(daemon)
        daemon.wait_for(lambda: not daemon.ask()["passes"])  # which would wait for the lock, too
        with _opened(owner.root / ".artifact-sync/ledger.sqlite") as database:
            database.execute("BEGIN IMMEDIATE")
            own_service.simulator.add_run(ROCKET, run_of_four("new", days=0))
            goal = own_service.simulator.requests["runs"] + 4
            daemon.wait_for(lambda: own_service.simulator.requests["runs"] >= goal - 3)
            time.sleep(2)  # the passes wait
            assert own_service.simulator.requests["runs"] < goal
            assert not is_complete(owner, ROCKET, "new")
            assert daemon.get("/healthz")[0] == 200
            database.execute("ROLLBACK")
        daemon.wait_for(lambda: is_complete(owner, ROCKET, "new"))
        assert daemon.end() == 0
        assert daemon.alarms == []


def held_up_by_a_lock(daemon: Daemon) -> set[str]:
    """The repositories of which the daemon has said so."""
    alarms = [it for it in daemon.alarms if it.get("see") == "troubleshooting/ledger#locked"]
    return {it.get("repo", "") for it in alarms}


def test_a_ledger_that_is_locked_for_longer_fails_the_passes_which_are_made_up_for(
    owner: DaemonUser, own_service: Running
) -> None:
    owner.configure(
        ROCKET,
        WEBSITE,
        ledger__url=f"sqlite:///{owner.root}/.artifact-sync/ledger.sqlite?timeout=1",
    )
    with owner.daemon() as daemon:
        settled(daemon)
        with _opened(owner.root / ".artifact-sync/ledger.sqlite") as database:
            database.execute("BEGIN IMMEDIATE")
            own_service.simulator.add_run(ROCKET, run_of_four("new", days=0))
            own_service.simulator.add_run(WEBSITE, run_of_four("new", days=0))
            # the log says so: its status may be 503 while the ledger does not answer
            daemon.wait_for(lambda: held_up_by_a_lock(daemon) >= {ROCKET, WEBSITE})
            database.execute("ROLLBACK")
        daemon.wait_for(lambda: len(owner.runs()) == 6)
        assert daemon.end() == 0
