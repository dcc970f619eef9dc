"""The units under a real systemd: installed by the tutorial, started, killed, hung, stopped."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from boxed_systemd import REPOSITORY, Box, Workshop, needs_systemd, workshop
from msgspec.structs import replace
from pages import boxed
from user import ARCHIVE, SECRETS, TOKEN, contents, organisation, run_of_four, wait_until

from artifact_sync.simulator import (
    Cube,
    Repo,
    Running,
    ScenarioArtifact,
    ScenarioRun,
    running_in_thread,
)
from artifact_sync.simulator.faults import Stall
from artifact_sync.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres_server import Postgres

    from artifact_sync.simulator import Scenario, Simulator

pytestmark = [
    pytest.mark.root,
    pytest.mark.xdist_group("systemd"),
    pytest.mark.timeout(300),  # the first of them waits for pip
]

UNITS = REPOSITORY / "systemd"
SERVICES = (
    "artifact-sync.service",
    "artifact-sync@.service",
    "artifact-sync-once.service",
    "artifact-sync-worker@.service",
)
MOST_EXPOSED = 15
"""Of ``systemd-analyze security``, in tenths."""
ROOT = "/var/lib/artifact-sync"
CONFIG = "/etc/artifact-sync/config.toml"

BLOCKS = boxed()

MIB = 1 << 20
BIG = Repo(
    "acme/big",
    runs=(ScenarioRun(cubes=(Cube(artifacts=(ScenarioArtifact("big.bin", size=16 * MIB),)),)),),
)
HALT = Stall(after=0.75, first=1)
"""The first answer with a file stops sending after three quarters, for an hour."""


@dataclass(frozen=True)
class Installation:
    """A box with the units installed, and the service that it mirrors."""

    box: Box
    simulator: Simulator

    def tell(self, unit: str, *lines: str) -> None:
        """A drop-in for a service."""
        folder = f"/etc/systemd/system/{unit}.service.d"
        text = "\n".join(["[Service]", *lines, ""])
        self.box.run(f"mkdir -p {folder}; cat >>{folder}/test.conf", input=text)
        self.box.run("systemctl daemon-reload")

    def configure(self, text: str) -> None:
        """Something more in the configuration."""
        self.box.run(f"cat >>{CONFIG}", input=text)

    def start(self, unit: str = "artifact-sync") -> None:
        self.box.run(f"systemctl start {unit} || {{ journalctl -u {unit}; exit 1; }}")

    def show(self, name: str, unit: str = "artifact-sync") -> str:
        return self.box.show(unit, name)

    @property
    def pid(self) -> int:
        return int(self.show("MainPID"))

    def mirrored(self, root: str = ROOT) -> dict[str, str]:
        """SHA-256 by path of what lies in a mirror, without manifests and what vanishes."""
        find = "find . -path ./.artifact-sync -prune -o -type f -print0"
        read = "{ xargs -0r sha256sum --zero || true; }"
        found = self.box.run(f"cd {root}/ && {{ {find} || true; }} | {read}").split("\0")
        sums = dict(reversed(line.split("  ./", 1)) for line in found if line)
        ours = re.compile(r"[^/]+/[^/]+/[^/]+/(SHA256SUMS|run\.json)")
        return {path: digest for path, digest in sums.items() if not ours.fullmatch(path)}

    def expected(self, *repos: str) -> dict[str, str]:
        found = contents(self.simulator, *repos)
        return {path: hashlib.sha256(data).hexdigest() for path, data in found.items()}

    def wait_for_all(self, *repos: str, root: str = ROOT) -> None:
        """Until a mirror holds what the service does, byte for byte."""
        wait_until(lambda: self.mirrored(root) == self.expected(*repos))

    def staged(self) -> int:
        """Bytes that lie in staging."""
        place = f"{ROOT}/.artifact-sync/staging"
        found = self.box.run(f"cat {place}/*.part 2>/dev/null | wc --bytes || true")
        return int(found or 0)

    def offsets(self) -> list[int]:
        """Where the ranges of files began that the service was asked for."""
        asked = [it.range for it in self.simulator.requests if it.kind == "file" and it.range]
        return [int(re.findall(r"\d+", one)[0]) for one in asked]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """Where boxes come from, in which the tutorial's commands were carried out."""
    with workshop(tmp_path_factory.mktemp("boxes")) as boxes:
        with boxes.installing() as box, running_in_thread(organisation()) as running:
            one = _pointed_at(box, running)
            one.box.run(BLOCKS["configure"] + BLOCKS["install"], input=f"{TOKEN}\n")
            one.wait_for_all()
            one.box.run("systemctl disable artifact-sync")
        yield boxes


@pytest.fixture
def one(installed: Workshop) -> Iterator[Installation]:
    """A fresh box, in front of a service of its own."""
    with _installation(installed, organisation()) as found:
        yield found


@pytest.fixture
def big(installed: Workshop) -> Iterator[Installation]:
    """The same in front of a service with one big file."""
    with _installation(installed, replace(organisation(), repos=(BIG,))) as found:
        yield found


@contextmanager
def _installation(boxes: Workshop, scenario: Scenario) -> Iterator[Installation]:
    with running_in_thread(scenario) as running, boxes.box() as box:
        found = _pointed_at(box, running)
        found.tell("artifact-sync", "RestartSec=100ms")
        yield found


def _pointed_at(box: Box, running: Running) -> Installation:
    found = Installation(box, running.simulator)
    here = f"Environment=ARTIFACT_SYNC_SOURCE__BASE_URL={running.base_url}"
    box.run("rm -f /etc/systemd/system/*.service.d/test.conf")
    for name in ("", "@web", "-once", "-worker@"):
        found.tell(f"artifact-sync{name}", here)
    return found


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_little_exposed(name: str) -> None:
    needs_systemd()
    limit = f"--threshold={MOST_EXPOSED}"
    done = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", limit, UNITS / name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_sandbox_is_the_same_in_all_services() -> None:
    beginnings = [(UNITS / name).read_text("utf-8").split("# The sandbox, ") for name in SERVICES]
    sandboxes = {rest.split("\n[Install]")[0].strip() for _, rest in beginnings}
    assert len(sandboxes) == 1
    assert "ProtectSystem=strict" in sandboxes.pop()


def test_systemd_finds_nothing_wrong_with_the_units(one: Installation) -> None:
    done = one.box.attempt("systemd-analyze verify --man=no systemd/*.service systemd/*.timer")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_started_it_says_so_mirrors_and_shows_what_it_does(one: Installation) -> None:
    one.start()  # it returns at READY
    assert one.show("ActiveState") == "active"
    assert one.simulator.requests.api > 0
    one.wait_for_all()
    wait_until(lambda: bool(one.show("StatusText")))
    assert int(one.show("WatchdogUSec").removesuffix("min")) == 1
    assert one.show("NRestarts") == "0"


def test_its_commands_in_the_tutorial_work(one: Installation) -> None:
    one.start()
    one.wait_for_all()
    before = one.pid
    said = one.box.run(BLOCKS["use"])
    assert "active (running)" in said
    assert "acme/rocket: " in said or "repo=acme/rocket" in said
    assert re.search(r"^acme/rocket ", said, re.MULTILINE)
    assert one.pid != before
    assert one.show("ActiveState") == "active"


def test_nobody_else_reads_the_token_and_the_files_are_its_own(one: Installation) -> None:
    one.start()
    one.wait_for_all()
    credential = "/run/credentials/artifact-sync.service/sourcecraft-token"
    assert one.box.run(f"cat {credential}") == TOKEN
    as_nobody = "setpriv --reuid=nobody --regid=nogroup --clear-groups"
    for path in (credential, "/etc/artifact-sync/token", f"{ROOT}/acme"):
        assert one.box.attempt(f"{as_nobody} cat {path}").returncode == 1
    assert one.box.attempt(f"{as_nobody} cat /proc/{one.pid}/environ").returncode == 1
    assert TOKEN not in one.box.run(
        "systemctl show artifact-sync; journalctl --boot -o export --all"
    )
    user = one.box.run("id -u artifact-sync")
    assert one.box.run(f"stat -c %u /proc/{one.pid}") == user != "0"
    owners = one.box.run(f"find {ROOT}/ -printf '%U %m %y\\n' | sort -u").splitlines()
    assert {owner.split()[0] for owner in owners} == {user}
    assert not [line for line in owners if int(line.split()[1], 8) & 0o007 and line[-1] != "l"]


def test_the_journal_has_priorities_and_fields_and_no_secret(one: Installation) -> None:
    one.start()
    one.wait_for_all()
    wait_until(lambda: bool(_of("acme/rocket", one.box.journal("artifact-sync.service"))))
    entries = one.box.journal("artifact-sync.service")
    told = _of("acme/rocket", entries)[0]
    assert told["SYSLOG_IDENTIFIER"] == "artifact-sync"
    assert told["PRIORITY"] == "6"
    assert told["_TRANSPORT"] == "journal"
    assert told["LOGGER"].startswith("artifact_sync.")
    assert {entry["_TRANSPORT"] for entry in entries} == {"journal"}
    assert not SECRETS.search(str(entries))


def _of(repo: str, entries: list[dict[str, str]]) -> list[dict[str, str]]:
    return [entry for entry in entries if entry.get("ARTIFACT_SYNC_REPO") == repo]


def test_a_reload_takes_a_new_configuration_up_and_says_so(one: Installation) -> None:
    one.start()
    one.wait_for_all()
    before = one.pid
    one.simulator.add_run("acme/rocket", run_of_four("9"))
    one.configure('[daemon]\ninterval = "1s"\n')
    one.box.run("systemctl reload artifact-sync")
    one.wait_for_all()
    messages = [entry["MESSAGE"] for entry in one.box.journal("artifact-sync.service")]
    assert [message for message in messages if "interval" in message]
    wait_until(lambda: one.show("ActiveState") == "active")
    assert one.pid == before


def test_a_mistake_in_the_configuration_leaves_the_old_one_in_force(one: Installation) -> None:
    one.start()
    one.configure("[daemon]\nintervall = 5\n")
    one.box.run("systemctl reload artifact-sync")
    wait_until(lambda: any("intervall" in it["MESSAGE"] for it in _warnings(one)))
    wait_until(lambda: one.show("ActiveState") == "active")
    one.wait_for_all()
    done = one.box.attempt("systemctl restart artifact-sync")
    assert done.returncode == 1
    wait_until(lambda: one.show("ActiveState") == "failed")  # and is not started again and again
    assert (one.show("ExecMainStatus"), one.show("NRestarts")) == ("2", "0")


def _warnings(one: Installation) -> list[dict[str, str]]:
    entries = one.box.journal("artifact-sync.service")
    return [entry for entry in entries if int(entry["PRIORITY"]) <= 4]


def test_without_a_token_file_it_fails_once_and_for_all(one: Installation) -> None:
    one.box.run("rm /etc/artifact-sync/token")
    assert one.box.attempt("systemctl start artifact-sync").returncode == 1
    wait_until(lambda: one.show("ActiveState") == "failed")
    assert (one.show("ExecMainStatus"), one.show("NRestarts")) == ("243", "0")


def test_a_stop_ends_in_time_and_in_order_with_files_in_flight(big: Installation) -> None:
    big.configure('[daemon]\ngrace = "500ms"\n')
    big.simulator.add_fault(HALT)
    big.start()
    wait_until(lambda: big.staged() > 8 * MIB)
    begun = time.monotonic()
    big.box.run("systemctl stop artifact-sync")
    assert time.monotonic() - begun < 25  # of 30 seconds of grace
    assert big.show("Result") == "success"
    assert big.show("ExecMainStatus") == "0"
    kept = big.staged()
    assert kept > 8 * MIB
    big.start()
    big.wait_for_all()
    assert max(big.offsets()) >= kept - 4 * MIB


def test_killed_it_is_started_again_and_goes_on_where_it_was(big: Installation) -> None:
    big.simulator.add_fault(HALT)
    big.start()
    before = big.pid
    wait_until(lambda: big.staged() > 8 * MIB)
    big.box.run("systemctl kill --signal=KILL artifact-sync")
    wait_until(lambda: big.show("NRestarts") == "1" and big.pid not in (0, before))
    big.wait_for_all()
    assert max(big.offsets()) >= 4 * MIB


def test_hung_it_is_killed_by_the_watchdog_and_started_again(one: Installation) -> None:
    one.tell("artifact-sync", "WatchdogSec=2s", "TimeoutAbortSec=1s")
    one.start()
    one.wait_for_all()
    before = one.pid
    fed = int(one.show("WatchdogTimestampMonotonic"))
    wait_until(lambda: int(one.show("WatchdogTimestampMonotonic")) > fed + 2_000_000)
    assert one.pid == before
    one.box.run(f"kill -STOP {before}")
    wait_until(lambda: one.show("NRestarts") == "1" and one.pid not in (0, before))
    wait_until(lambda: one.show("ActiveState") == "active")
    assert "watchdog" in one.box.run("journalctl -u artifact-sync _PID=1").lower()


def test_a_download_that_halts_is_no_hung_program(big: Installation) -> None:
    big.simulator.add_fault(replace(HALT, seconds=3))
    big.tell("artifact-sync", "WatchdogSec=1s")
    big.start()
    big.wait_for_all()
    assert big.show("NRestarts") == "0"


def test_a_webhooks_secret_is_handed_over_if_there_is_one(one: Installation) -> None:
    one.start()
    handed = "ls /run/credentials/artifact-sync.service"
    assert one.box.run(handed) == "sourcecraft-token"
    one.box.run("install -d -m 700 /etc/credstore")
    one.box.run(
        "install -m 600 /dev/stdin /etc/credstore/artifact-sync.webhook-secret", input="secret"
    )
    one.box.run("systemctl restart artifact-sync")
    assert one.box.run(handed).split() == ["sourcecraft-token", "webhook-secret"]


def test_it_can_write_to_its_mirror_only_and_run_nothing_there(one: Installation) -> None:
    one.start()
    inside = f"nsenter --target={one.pid} --mount --root"
    for path in ("/etc/odd", "/var/lib/odd", "/opt/artifact-sync/bin/odd"):
        assert "Read-only file system" in one.box.attempt(f"{inside} touch {path}").stderr
    one.box.run(f"{inside} cp /bin/true {ROOT}/odd")
    assert "Permission denied" in one.box.attempt(f"{inside} {ROOT}/odd").stderr
    assert one.box.run(f"{inside} ls /home /root /tmp | grep -v : || true") == ""


def test_members_of_the_group_read_the_mirror_and_nobody_else(one: Installation) -> None:
    one.start()
    one.wait_for_all()
    file = one.box.run(f"find {ROOT} -name junit.xml | head -n 1")
    as_nobody = "setpriv --reuid=nobody --regid=nogroup"
    assert "testsuite" in one.box.run(f"{as_nobody} --groups=artifact-sync cat {file}")
    assert one.box.attempt(f"{as_nobody} --clear-groups cat {file}").returncode == 1


def test_a_mirror_elsewhere_is_set_up_as_its_recipe_says(one: Installation) -> None:
    one.start()
    one.box.run(BLOCKS["elsewhere"])
    one.wait_for_all(root="/srv/artifacts")


def test_it_is_upgraded_backed_up_put_back_and_removed_as_its_recipe_says(
    one: Installation,
) -> None:
    one.start()
    one.wait_for_all()
    assert one.box.run(BLOCKS["upgrade"]).endswith(VERSION)
    one.box.run(BLOCKS["back up"])
    one.box.run(f"rm -r {ROOT}/acme/rocket")
    one.box.run(BLOCKS["put back"])
    assert one.mirrored() == one.expected()
    as_it = "setpriv --reuid=artifact-sync --regid=artifact-sync --init-groups"
    told = one.box.run(f"{as_it} /opt/artifact-sync/bin/artifact-sync verify --config {CONFIG}")
    assert " ok, 0 missing, 0 changed, 0 extra" in told
    one.box.run(BLOCKS["uninstall"])
    assert one.show("LoadState") == "not-found"
    assert one.box.run("ls -d /opt/artifact-sync /etc/artifact-sync || true") == ""
    assert one.mirrored() == one.expected()


def test_a_timer_makes_one_pass_and_an_incomplete_one_is_a_failed_one(one: Installation) -> None:
    one.box.run(BLOCKS["timer"])
    assert one.show("ActiveState", "artifact-sync-once.timer") == "active"
    assert one.box.run("systemctl show --value -p NextElapseUSecRealtime artifact-sync-once.timer")
    one.start("artifact-sync-once")
    assert one.mirrored() == one.expected()
    assert one.show("Result", "artifact-sync-once") == "success"
    slug = one.simulator.add_run("acme/rocket", run_of_four("9"))
    one.simulator.remove_file("acme/rocket", slug, ARCHIVE)
    assert one.box.attempt("systemctl start artifact-sync-once").returncode == 1
    assert one.show("ExecMainStatus", "artifact-sync-once") == "1"
    assert "artifact-sync-once" in one.box.run("systemctl --failed --no-legend")


def test_a_pass_beside_the_daemon_is_handed_to_it(one: Installation) -> None:
    one.start()
    one.wait_for_all()
    one.box.run("cp systemd/artifact-sync-once.service /etc/systemd/system/")
    one.box.run("systemctl daemon-reload")
    one.simulator.add_run("acme/rocket", run_of_four("9"))
    one.start("artifact-sync-once")
    assert one.mirrored() == one.expected()


@pytest.mark.servers
def test_workers_run_side_by_side_by_their_recipe_with_a_password_of_their_own(
    one: Installation, postgres: Postgres
) -> None:
    password, name = "p@ss wörd/?&", postgres.database()
    postgres.ask(f"CREATE ROLE mirror LOGIN PASSWORD '{password}'")
    postgres.ask(f"ALTER DATABASE {name} OWNER TO mirror")
    there = f"127.0.0.1:{postgres.port}/{name}"
    recipe = BLOCKS["workers"].replace("db.example.org/mirror", there)
    one.box.run("echo ARTIFACT_SYNC_WEB__LISTEN=127.0.0.1:0 >/etc/artifact-sync/worker-2.env")
    one.box.run(recipe, input=f"{password}\n")  # it returns at READY
    one.wait_for_all()
    workers = [f"artifact-sync-worker@{number}" for number in (1, 2)]
    log = [it["MESSAGE"] for it in one.box.journal(f"{workers[1]}.service")]
    assert [it for it in log if it.startswith("listening")]
    for unit in workers:
        assert int(one.show("WatchdogUSec", unit).removesuffix("min")) == 1
        wait_until(lambda unit=unit: bool(one.show("StatusText", unit)))
    credentials = one.box.run(f"ls /run/credentials/{workers[0]}.service").split()
    assert credentials == ["ledger-password", "sourcecraft-token"]
    one.simulator.add_run("acme/rocket", run_of_four("9"))
    one.configure('[daemon]\ninterval = "1s"\n')
    one.box.run(f"systemctl reload {' '.join(workers)}")
    one.wait_for_all()
    host = one.box.run("hostname")
    said = one.box.run(
        f"export CREDENTIALS_DIRECTORY=/run/credentials/{workers[0]}.service"
        f" && /opt/artifact-sync/bin/artifact-sync status --json --config {CONFIG}"
    )
    assert [it["name"] for it in json.loads(said)["workers"]] == [f"{host}-1", f"{host}-2"]
    one.box.run(f"systemctl stop {' '.join(workers)}")
    assert [one.show("Result", unit) for unit in workers] == ["success"] * 2
    assert "p@ss" not in one.box.run("systemctl show 'artifact-sync*'; journalctl --all -o export")


def test_several_configurations_run_side_by_side_and_know_nothing_of_each_other(
    one: Installation,
) -> None:
    one.start()
    one.box.run(BLOCKS["several"], input=f"{TOKEN}\n")
    one.wait_for_all("acme/website", root="/var/lib/artifact-sync@web")
    one.wait_for_all()
    other = int(one.show("MainPID", "artifact-sync@web"))
    inside = f"nsenter --target={other} --mount --root"
    seen = one.box.run(f"{inside} ls /run/credentials")
    assert seen == "artifact-sync@web.service"
    done = one.box.attempt(f"{inside} touch {ROOT}/odd")
    assert "Read-only file system" in done.stderr
