"""A pass with nothing new, and the start of every command: what is asked, told, and imported.

That nothing which an ordinary pass would do is left out is what most of these tests are about.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from user import PAGE, TOKEN, User, run_of_four

from artifact_sync.app.assemble_pass import open_pass
from artifact_sync.app.selection import Overrides, request_of
from artifact_sync.config import load
from artifact_sync.config.api_token import given_token
from artifact_sync.simulator import (
    Cube,
    Repo,
    Running,
    ScenarioArtifact,
    ScenarioRun,
    running_in_thread,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from artifact_sync.domain.events import Event
    from artifact_sync.domain.request import Unchanged
    from artifact_sync.sync.sync_pass import PassResult

from user import organisation

WEBSITE = "acme/website"
LEDGER = ".artifact-sync/ledger.sqlite"

HEAVY = {
    *("crc32c", "cronsim", "importlib.metadata", "psycopg", "pygments", "pyreqwest", "rich"),
    *("structlog", "tqdm", "uvloop", "watchfiles", "zoneinfo"),
}
"""What takes tens of milliseconds each, and is of no use where there is nothing to do."""


@pytest.fixture
def running() -> Iterator[Running]:
    """An organisation in which everything has finished; more than a page of runs in ``large``."""
    website = (run_of_four("1", days=3), run_of_four("2", days=2))
    tiny = Cube(artifacts=(ScenarioArtifact("a", size=10),))
    large = tuple(ScenarioRun(str(n), age=(130 - n) * 60.0, cubes=(tiny,)) for n in range(1, 121))
    repos = (Repo(WEBSITE, runs=website), Repo("acme/large", runs=large), Repo("acme/docs"))
    with running_in_thread(organisation(repos=repos)) as running:
        yield running


@pytest.fixture
def user(tmp_path: Path, running: Running) -> User:
    return User(tmp_path, running)


class Pass:
    """One ``sync --json``, with what it has imported and asked for."""

    def __init__(self, user: User, running: Running, *arguments: str, **environ: str) -> None:
        running.simulator.requests.clear()
        done = user.sync(
            *(arguments or (WEBSITE,)), "--json", PYTHONPROFILEIMPORTTIME="1", **environ
        )
        self.answer = done.answer
        self.asked = [seen.kind for seen in running.simulator.requests]
        self.imported = imported(done.err)
        self.quick = set(self.asked) == {"runs"} and not self.imported & HEAVY


def imported(words: str) -> set[str]:
    """The modules that ``-X importtime`` tells of."""
    lines = (line for line in words.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines}


def settled(user: User, running: Running, *arguments: str) -> Pass:
    """The last of some passes, of which the first mirrors all and the next has nothing new."""
    first = user.sync(*(arguments or (WEBSITE,)), "--json").answer
    assert first["complete"], first
    quick = Pass(user, running, *arguments)
    return quick if quick.quick else Pass(user, running, *arguments)


def known(user: User, sql: str, *values: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(user.root / LEDGER)) as ledger, ledger:
        return ledger.execute(sql, values).fetchall()


def test_a_pass_with_nothing_new_is_one_request_and_tells_what_any_pass_tells(
    user: User, running: Running
) -> None:
    first = Pass(user, running)
    second = Pass(user, running)
    assert not first.quick
    assert second.quick, second.imported & HEAVY
    assert second.asked == ["runs"]
    kept = {**first.answer, "downloaded": 0, "bytes": 0, "kept": first.answer["found"]}
    assert second.answer == kept
    words = [user.sync(WEBSITE).out for _ in range(2)]
    assert words == ["complete: 2 runs, 8 artifacts: 0 downloaded (0 B), 8 kept\n"] * 2


def test_it_asks_as_any_pass_asks(user: User, running: Running) -> None:
    settled(user, running)
    (seen,) = running.simulator.requests
    assert (seen.status, seen.path) == (200, "/repos/acme/website/cicd/runs")


def test_it_is_recorded_as_a_pass(user: User, running: Running) -> None:
    settled(user, running)
    before = json.loads(user.run("status", "--json", "--root", user.root).out)["repositories"][0]
    assert Pass(user, running).quick
    after = json.loads(user.run("status", "--json", "--root", user.root).out)["repositories"][0]
    assert after["last_pass"] > before["last_pass"]
    assert after["last_complete"] == after["last_pass"]
    assert {**after, "last_pass": 0, "last_complete": 0} == {
        **before,
        "last_pass": 0,
        "last_complete": 0,
    }


def test_several_repositories_are_one_request_each(user: User, running: Running) -> None:
    names = (WEBSITE, "acme/large", "acme/docs")
    last = settled(user, running, *names)
    assert last.quick
    assert last.asked == ["runs"] * 3
    assert last.answer["found"] == 128


def test_where_one_repository_has_something_new_the_others_are_still_one_request(
    user: User, running: Running
) -> None:
    settled(user, running, WEBSITE, "acme/docs")
    running.simulator.add_run(WEBSITE, run_of_four("3", days=0))
    news = Pass(user, running, WEBSITE, "acme/docs")
    assert (news.answer["downloaded"], news.answer["kept"], news.answer["runs"]) == (4, 8, 3)
    assert news.asked.count("runs") == 2


def test_a_long_list_is_known_by_its_first_page_once_its_order_is(
    user: User, running: Running
) -> None:
    last = settled(user, running, "acme/large")
    assert (last.quick, last.asked, last.answer["kept"]) == (True, ["runs"], 120)


def test_a_new_run_is_found_at_once(user: User, running: Running) -> None:
    settled(user, running)
    running.simulator.add_run(WEBSITE, run_of_four("3", days=0))
    news = Pass(user, running)
    assert (news.answer["downloaded"], news.answer["kept"]) == (4, 8)
    assert settled(user, running).answer["kept"] == 12


@pytest.mark.parametrize("name", [f"1/docs/site/pages/{PAGE}", "1/SHA256SUMS", "2/run.json"])
def test_what_somebody_takes_away_is_put_back_at_once(
    user: User, running: Running, name: str
) -> None:
    settled(user, running)
    place = user.root / WEBSITE / name
    content = place.read_bytes()
    place.unlink()
    assert Pass(user, running).answer["complete"]
    assert place.read_bytes() == content
    assert settled(user, running).quick


def test_a_file_of_another_size_is_mended(user: User, running: Running) -> None:
    settled(user, running)
    place = user.root / WEBSITE / "2/docs/site/pages" / PAGE
    content = place.read_bytes()
    place.write_bytes(b"longer than it was" + content)
    assert Pass(user, running).answer["downloaded"] == 1
    assert place.read_bytes() == content


def test_the_links_to_the_latest_runs_are_put_back(user: User, running: Running) -> None:
    settled(user, running)
    latest, other = (user.root / WEBSITE / name for name in ("latest", "latest-success"))
    latest.unlink()
    other.unlink()
    other.symlink_to("1")
    assert Pass(user, running).quick
    assert (str(latest.readlink()), str(other.readlink())) == ("2", "2")


def test_what_is_outstanding_is_looked_at_in_every_pass(user: User, running: Running) -> None:
    late = Cube(artifacts=(ScenarioArtifact("late", status="registered"),))
    running.simulator.add_run(WEBSITE, ScenarioRun("3", cubes=(late,)))
    for _ in range(3):
        again = Pass(user, running)
        assert not again.quick
        assert again.asked.count("run") >= 1
    running.simulator.set_artifact_status(WEBSITE, "3", "late", "success")
    assert Pass(user, running).answer["found"] == 9


def test_what_is_gone_stays_a_failure(user: User, running: Running) -> None:
    running.simulator.remove_file(WEBSITE, "1", PAGE)
    one_try = {"ARTIFACT_SYNC_DOWNLOAD__ATTEMPTS": "1"}
    answers = [Pass(user, running, **one_try) for _ in range(4)]
    told = [(it.answer["exit_code"], it.answer["failures"]) for it in answers[1:]]
    assert told[0] == told[1] == told[2]
    assert answers[-1].answer["failures"][0]["reason"] == "gone"


def test_another_selection_is_met_by_what_is_here(user: User, running: Running) -> None:
    settled(user, running)
    narrow = Pass(user, running, WEBSITE, "--include", "*.xml")
    assert (narrow.asked, narrow.answer["found"]) == (["runs"], 2)
    assert Pass(user, running).answer["found"] == 8


def test_a_longer_time_is_read_further_back(user: User, running: Running) -> None:
    settled(user, running, "acme/large", "--since", "30m")
    few = Pass(user, running, "acme/large", "--since", "30m")
    assert few.answer["found"] < 40
    assert Pass(user, running, "acme/large").answer["found"] == 120


def test_a_run_named_by_the_user_is_looked_at(user: User, running: Running) -> None:
    settled(user, running)
    named = Pass(user, running, WEBSITE, "--run", "1")
    assert (named.quick, named.asked) == (False, ["run"])


def test_a_repair_ends_it(user: User, running: Running) -> None:
    settled(user, running)
    (user.root / WEBSITE / "1/docs/site/pages" / PAGE).unlink()
    assert user.run("verify", WEBSITE, "--repair", "--root", user.root).code == 0
    assert Pass(user, running).answer["complete"]
    assert settled(user, running).quick


@pytest.mark.parametrize("hours", [1.1, -1.0])
def test_at_least_once_an_hour_everything_is_looked_at(
    user: User, running: Running, hours: float
) -> None:
    settled(user, running)
    at = datetime.now(UTC) - timedelta(hours=hours)
    ((value,),) = known(user, "SELECT value FROM meta WHERE key LIKE 'mark/%'")
    aged = f"{at:%Y-%m-%dT%H:%M:%S}.000000Z {str(value).split(' ', 1)[1]}"
    known(user, "UPDATE meta SET value = ? WHERE key LIKE 'mark/%'", aged)
    again = Pass(user, running)
    assert again.asked == ["runs"]
    ((read,),) = known(user, "SELECT value FROM meta WHERE key LIKE 'mark/%'")
    assert str(read) > f"{datetime.now(UTC) - timedelta(minutes=1):%Y-%m-%dT%H:%M:%S}"
    assert str(read).split(" ")[-1] == str(value).split(" ")[-1]


def test_a_newer_programs_ledger_is_refused(user: User, running: Running) -> None:
    settled(user, running)
    known(user, "UPDATE artifact_sync_version SET version_num = '9999'")
    for command in (("sync", WEBSITE), ("status",)):
        done = user.run(*command, "--root", user.root)
        assert done.code == 2
        assert "9999" in done.err


def test_a_refused_token_and_a_service_that_is_away_are_told(user: User, running: Running) -> None:
    settled(user, running)
    assert Pass(user, running, SOURCECRAFT_TOKEN="pv1_other").answer["exit_code"] == 3
    environ = {
        "ARTIFACT_SYNC_SOURCE__BASE_URL": "http://127.0.0.1:9",
        "ARTIFACT_SYNC_DOWNLOAD__ATTEMPTS": "1",
    }
    assert Pass(user, running, **environ).answer["exit_code"] == 4


def test_an_old_run_counts_until_it_is_too_old(user: User, running: Running) -> None:
    # the simulator's days end at midnight: that of two days ago is between two and three days old
    last = settled(user, running, WEBSITE, "--since", "3d")
    assert (last.quick, last.answer["runs"], last.answer["found"]) == (True, 1, 4)


def test_what_is_remembered_counts_only_while_the_ledger_stands(
    user: User, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a service remembers it, beside which others work on the mirror."""
    for name, value in (user.environ | {"ARTIFACT_SYNC_MIRROR__ROOT": str(user.root)}).items():
        monkeypatch.setenv(name, value)
    first = passed_over(None)
    assert first.report.downloaded == 8
    (known,) = first.unchanged.values()
    recorded = known_passes(user)
    running.simulator.requests.clear()
    again = passed_over(known)
    assert (again.report, again.unchanged) == (known.report, first.unchanged)
    assert [seen.kind for seen in running.simulator.requests] == ["runs"]
    assert known_passes(user) == recorded
    known_since(user, timedelta(minutes=11))
    assert passed_over(known).report == known.report
    assert known_passes(user) == recorded + 1  # for those who ask the ledger alone
    assert passed_over(known).report == known.report
    assert known_passes(user) == recorded + 1

    assert user.run("forget", WEBSITE, "1", "--delete", "--yes", "--root", user.root).code == 0
    later = passed_over(known)
    assert (later.report.kept, later.report.complete) == (4, True)
    assert known_passes(user) == recorded + 2
    (stands,) = later.unchanged.values()
    assert stands.report.kept == 4
    assert passed_over(stands).unchanged == later.unchanged


def passed_over(known: Unchanged | None) -> PassResult:
    """A pass of this process that remembers, and looks at no file."""
    config = load(None, os.environ).config
    asked = request_of(config, Overrides(repos=(WEBSITE,)), os.environ)
    mode = replace(asked.mode, look=False)
    request = replace(asked, mode=mode, remembers=True, unchanged=known)

    async def whole() -> PassResult:
        async with open_pass(config, request, Deaf(), given_token(TOKEN)) as one_pass:
            return await one_pass.run()

    return asyncio.run(whole())


class Deaf:
    """An observer of nothing."""

    def notify(self, event: Event) -> None:
        """Do not listen."""


def known_since(user: User, ago: timedelta) -> None:
    """Have the last pass be one of so long ago."""
    at = f"{datetime.now(UTC) - ago:%Y-%m-%dT%H:%M:%S.%fZ}"
    known(user, "UPDATE repositories SET last_pass = ?", at)


def known_passes(user: User) -> int:
    """How many passes are on record."""
    ((count,),) = known(user, "SELECT count(*) FROM passes")
    assert isinstance(count, int)
    return count


def test_status_imports_nothing_that_it_has_no_use_for(user: User, running: Running) -> None:
    settled(user, running)
    user.launcher = (sys.executable, "-X", "importtime", "-m", "artifact_sync")
    done = user.run("status", "--root", user.root)
    assert done.code == 0
    assert not imported(done.err) & (HEAVY | {"asyncio", "email", "httpx", "logging", "socket"})


def test_an_ordinary_pass_imports_nothing_that_it_has_no_use_for(
    user: User, running: Running
) -> None:
    first = Pass(user, running, "-q")
    unused = {"crc32c", "cronsim", "importlib.metadata", "pygments", "rich"}
    unused |= {"artifact_sync.sync.verify", "psycopg", "tqdm", "zoneinfo"}
    assert not first.imported & unused
    done = user.sync(WEBSITE, "-q", PYTHONPROFILEIMPORTTIME="1")
    assert done.code == 0
    assert "structlog" not in imported(done.err)
