"""Lists of runs in odd orders or with gaps, a ledger that refuses: nothing is lost or untold."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from altering import altered
from user import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from hostile_service import Json
    from trial import Trial

CONTENT = b"built at night"


def in_pages(trial: Trial, *pages: list[int]) -> None:
    """The service lists exactly these runs, in these pages."""
    for number in sorted({number for page in pages for number in page}):
        trial.service.run({"app.bin": CONTENT}, str(number))

    def listed(_: Json, token: str) -> Json:
        at = int(token or 0)
        runs = [{"slug": str(n), "status": "success", "event_type": "push"} for n in pages[at]]
        more = {"next_page_token": str(at + 1)} if at + 1 < len(pages) else {}
        return {"runs": runs, **more}

    trial.service.alter_page = listed


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([[1]], [[1], [2], [3]]),
        ([[4, 3]], [[2, 1], [4, 3], [6, 5]]),
        ([[3, 4]], [[4, 3], [6, 5]]),
    ],
)
def test_new_runs_come_whatever_the_order_of_the_list(
    trial: Trial, before: list[list[int]], after: list[list[int]]
) -> None:
    in_pages(trial, *before)
    assert trial.sync().exit_code == 0
    trial.service.repos.clear()
    in_pages(trial, *after)
    assert trial.sync().exit_code == 0
    assert all(trial.has(CONTENT, run=str(number)) for page in after for number in page)


def blank(field: str) -> Callable[[Json, str], Json]:
    return lambda page, _: {"runs": [{**run, field: ""} for run in page["runs"]]}


def test_a_run_that_is_listed_without_status_is_asked_for_once(trial: Trial) -> None:
    trial.service.file(CONTENT)
    trial.service.alter_page = blank("status")
    assert trial.sync().counts == (1, 1, 0, 0)
    trial.service.api.forget()
    assert trial.sync().counts == (1, 0, 1, 0)
    assert len(trial.service.api.requests) == 1
    assert (trial.root / "org/repo/latest-success").readlink().name == "1"


@pytest.mark.parametrize(("said", "counts"), [("push", (1, 1, 0, 0)), ("", (0, 0, 0, 0))])
def test_of_a_run_that_is_listed_without_event_its_own_answer_decides(
    trial: Trial, said: str, counts: tuple[int, int, int, int]
) -> None:
    trial.env["REPO__EVENTS"] = "push"
    run = trial.service.run({"app.bin": CONTENT})
    run.alter = altered(("event_type",), said)
    trial.service.alter_page = blank("event_type")
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.counts) == (0, counts)


def test_an_answer_without_status_about_a_finished_run_is_a_failure(trial: Trial) -> None:
    run = trial.service.run({"app.bin": CONTENT})
    run.alter = altered(("status",), "")
    trial.service.alter_page = lambda page, _: {
        "runs": [{**listed, "status": "success"} for listed in page["runs"]]
    }
    for _ in range(2):
        outcome = trial.sync()
        assert (outcome.exit_code, outcome.reasons_by("run")) == (1, {"1": "bad_answer"})
    run.alter = lambda payload: payload
    assert trial.sync().counts == (1, 1, 0, 0)


def test_a_run_that_the_rules_leave_out_counts_only_where_it_is_named(trial: Trial) -> None:
    trial.env["REPO__RUN_STATUSES"] = "success"
    trial.service.run({"app.bin": CONTENT}, "1").status = "failed"
    trial.service.run({"app.bin": CONTENT}, "2")
    assert trial.sync().counts == (1, 1, 0, 0)
    assert trial.sync("--run", "1").counts == (1, 1, 0, 0)
    assert trial.sync().counts == (1, 0, 1, 0)
    assert trial.has(CONTENT, run="1")


def ledger(trial: Trial) -> sqlite3.Connection:
    path = trial.root / ".artifact-sync" / "ledger.sqlite"
    return sqlite3.connect(path, isolation_level=None)


@pytest.mark.parametrize("moment", ["INSERT", "UPDATE"])
def test_a_ledger_that_refuses_one_pass_fails_that_repository_alone(
    trial: Trial, moment: str
) -> None:
    """The pass is noted when it has ended, so it has done its work."""
    for repo in ("org/one", "org/two"):
        trial.service.run({"app.bin": CONTENT}, repo=repo)
    assert trial.sync("org/*").exit_code == 0
    with closing(ledger(trial)) as connection:
        which = "(SELECT id FROM repositories WHERE repo = 'one')"
        connection.execute(
            f"CREATE TRIGGER refuse BEFORE {moment} ON passes WHEN NEW.repo_id = {which}"
            " BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
    outcome = trial.sync("org/*")
    assert outcome.exit_code != 0
    assert outcome.counts == (2, 0, 2, 1)
    assert [failure["repo"] for failure in outcome.failures] == ["org/one"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_while_it_is_set_up_it_says_so_in_one_object(
    trial: Trial, number: signal.Signals
) -> None:
    trial.service.file(CONTENT)
    assert trial.sync().exit_code == 0
    lock = trial.root / ".artifact-sync" / "lock"
    with closing(ledger(trial)) as held:
        held.execute("BEGIN IMMEDIATE")
        process = trial.start()
        wait_until(lambda: str(process.pid) in lock.read_text())
        process.send_signal(number)
        held.execute("ROLLBACK")
        report = json.loads(trial.finish(process))
    assert (process.returncode, report["exit_code"]) == (130, 130)
    assert [failure["reason"] for failure in report["failures"]] == ["interrupted"]
