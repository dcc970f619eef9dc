"""The mirror outlives an origin that is taken away step by step.

After every step ``sync``, ``verify``, ``status``, ``ls`` and ``sha256sum -c`` tell one story.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hostile_service import File
from keeper import ALL_WELL, APP, LOG, Keeper, forget_files, forget_repository, forget_run, missing

if TYPE_CHECKING:
    from pathlib import Path

    from trial import Trial

STEPS = [forget_files, forget_run, forget_repository]


def test_an_origin_that_is_taken_away_step_by_step_leaves_the_mirror_well(keeper: Keeper) -> None:
    for step in STEPS:
        step(keeper.trial.service)
        assert keeper.story() == ALL_WELL, step
        assert set(keeper.states().values()) == {"mirrored"}
    _, status, _ = keeper.run("status")
    assert status["repositories"][0]["states"]["mirrored"] == 4
    _, report, words = keeper.sync()
    assert (report["found"], report["kept"], report["complete"]) == (4, 4, True)
    assert "org/repo is not there any more" in words
    upstream = {name: it["upstream"] for name, it in keeper.listed().items()}
    assert set(upstream.values()) == {"gone"}
    keeper.trial.service.api.close()
    assert keeper.story() == ALL_WELL | {"sync": 4, "failed": 1}


@pytest.mark.parametrize("step", [None, forget_repository], ids=["file", "repository"])
def test_a_file_that_is_lost_is_told_until_it_is_put_back(keeper: Keeper, step: Any) -> None:
    place, sha256 = keeper.trial.place(), hashlib.sha256(APP + b"1").hexdigest()
    if step is None:
        keeper.trial.service.repos["org/repo"][0].files[0][1].behaviour = missing
    else:
        step(keeper.trial.service)
        assert keeper.sync()[0] == 0
    place.unlink()
    lost = {"sync": 1, "verify": 1, "lost": 1, "failed": 1, "sums": 1}
    assert keeper.story() == lost
    code, report, _ = keeper.sync()
    (failure,) = report["failures"]
    assert (code, failure["local_path"], failure["reason"]) == (1, "app.bin", "lost")
    assert sha256 in failure["message"]
    assert "lost since 20" in failure["message"]
    row = keeper.listed()["1/app.bin"]
    assert (row["state"], row["here"], row["wanted"]) == ("lost", False, True)
    assert (row["upstream"], row["lost_since"] is not None) == ("gone", True)
    assert [(it["path"], it["sha256"]) for it in keeper.about()["missing"]] == [
        ("build/linux/compile/app.bin", sha256)
    ]
    place.write_bytes(APP + b"?")
    assert (keeper.sync()[0], keeper.run("verify")[0]) == (1, 5)
    place.write_bytes(APP + b"1")
    assert keeper.story() == ALL_WELL
    row = keeper.listed()["1/app.bin"]
    assert (row["state"], row["here"], row["lost_since"]) == ("mirrored", True, None)
    assert "missing" not in keeper.about()


def test_verify_takes_back_what_was_put_back_and_needs_no_service(keeper: Keeper) -> None:
    forget_repository(keeper.trial.service)
    keeper.trial.place().unlink()
    assert keeper.sync()[0] == 1
    keeper.trial.service.api.close()
    keeper.trial.place().write_bytes(APP + b"1")
    assert keeper.run("verify")[0] == 0
    assert set(keeper.states().values()) == {"mirrored"}
    assert "missing" not in keeper.about()
    assert keeper.run("verify")[0] == 0


def test_what_verify_finds_lost_is_told_by_all_and_fetched_again_by_sync(keeper: Keeper) -> None:
    before = keeper.listed()["1/app.bin"]["verified_at"]
    content = keeper.trial.place().read_bytes()
    keeper.trial.place().write_bytes(b"?" * len(content))
    assert keeper.run("verify")[0] == 5
    row = keeper.listed()["1/app.bin"]
    assert (row["state"], row["verified_at"]) == ("lost", before)
    assert keeper.listed()["1/build.log"]["verified_at"] > before
    assert keeper.run("verify")[0] == 5
    assert keeper.story() == ALL_WELL
    assert keeper.trial.place().read_bytes() == content


def test_a_file_that_is_lost_comes_again_when_its_run_is_back(keeper: Keeper) -> None:
    run = keeper.trial.service.repos["org/repo"][0]
    forget_run(keeper.trial.service)
    keeper.trial.place().unlink()
    assert keeper.sync()[0] == 1
    keeper.trial.service.repos["org/repo"].insert(0, run)
    keeper.trial.service.run({}, "3")  # so that the list is another one
    assert keeper.sync()[0] == 0
    assert keeper.trial.place().read_bytes() == APP + b"1"
    assert keeper.listed()["1/app.bin"]["upstream"] == "listed"


def test_a_lost_file_of_a_run_that_was_restarted_is_told_until_it_comes(keeper: Keeper) -> None:
    run = keeper.trial.service.repos["org/repo"][0]
    run.status, run.updated_at = "processing", "2026-11-25T10:00:00Z"
    keeper.trial.place().unlink()
    code, report, _ = keeper.sync()
    assert (code, report["lost"], keeper.states()["1/app.bin"]) == (1, 1, "lost")
    run.status, run.updated_at = "success", "2026-11-25T11:00:00Z"
    assert keeper.sync()[0] == 0


@pytest.mark.parametrize("is_listed", [False, True])
def test_a_lost_file_that_the_rules_leave_out_is_no_failure(
    keeper: Keeper, *, is_listed: bool
) -> None:
    if is_listed:
        keeper.trial.service.repos["org/repo"][0].files[0][1].behaviour = missing
    else:
        forget_run(keeper.trial.service)
    keeper.trial.place().unlink()
    assert keeper.sync()[0] == 1
    assert keeper.sync("--exclude", "app.bin")[0] == 0
    assert (keeper.run("verify")[0], keeper.bad_sums("1")) == (0, 0)
    assert keeper.states("--all")["1/app.bin"] == "unwanted"
    code, report, _ = keeper.sync()
    assert (code, report["lost"], keeper.listed()["1/app.bin"]["state"]) == (1, 1, "lost")


def test_what_is_wanted_too_late_has_expired_and_is_told_once(trial: Trial) -> None:
    trial.service.run({"app.bin": APP, "build.log": LOG}, "1")
    trial.service.run({"app.bin": APP, "build.log": LOG}, "2")
    keeper = Keeper(trial)
    narrow = ("--include", "app.bin")
    assert keeper.sync(*narrow)[0] == 0
    assert keeper.states() == {"2/app.bin": "mirrored", "1/app.bin": "mirrored"}
    assert keeper.states("--all")["1/build.log"] == "unwanted"
    forget_run(trial.service)
    told = [keeper.sync() for _ in range(2)]
    assert [(code, report["expired"]) for code, report, _ in told] == [(0, 1), (0, 1)]
    assert ["has forgotten" in words for _, _, words in told] == [True, False]
    assert keeper.states()["1/build.log"] == "expired"
    assert keeper.states()["2/build.log"] == "mirrored"
    assert keeper.story() == ALL_WELL
    trial.service.api.forget()
    assert keeper.sync(*narrow)[1]["expired"] == 0
    assert len(trial.service.api.requests) == 1


def test_rules_that_want_less_ask_the_service_for_no_run(keeper: Keeper) -> None:
    service = keeper.trial.service
    service.api.forget()
    code, report, _ = keeper.sync("--include", "app.bin")
    assert (code, report["found"], report["kept"], report["runs"]) == (0, 2, 2, 2)
    assert len(service.api.requests) == 1
    wanted = {name: it["wanted"] for name, it in keeper.listed().items()}
    assert wanted["1/build.log"] is False
    assert wanted["1/app.bin"] is True
    keeper.trial.place("build.log").unlink()  # it is not wanted, so it is no failure of a pass
    assert keeper.sync("--include", "app.bin")[0] == 0
    assert (keeper.run("verify")[0], keeper.bad_sums("1")) == (0, 0)


def test_what_was_wanted_in_time_and_never_came_is_a_failure_of_a_forgotten_run(
    trial: Trial,
) -> None:
    files: dict[str, File | bytes] = {"app.bin": APP, "build.log": File(LOG, missing)}
    trial.service.run(files, "1")
    trial.service.run({"app.bin": APP}, "2")
    keeper = Keeper(trial)
    assert keeper.sync()[0] == 1
    forget_run(trial.service)
    for _ in range(2):
        code, report, _ = keeper.sync()
        assert (code, [it["reason"] for it in report["failures"]]) == (1, ["gone"])
    assert keeper.states()["1/build.log"] == "gone"
    assert keeper.sync("--exclude", "*")[0] == 0  # what stands has its manifests all the same
    assert (keeper.run("verify")[0], keeper.bad_sums("1")) == (0, 0)
    assert keeper.sync("--exclude", "build.log")[0] == 0


def test_an_organisation_that_is_gone_leaves_its_repositories_well(keeper: Keeper) -> None:
    del keeper.trial.service.repos["org/repo"]
    keeper.trial.service.api_behaviour["/orgs/org/repos"] = missing
    code, report, words = keeper.run("sync", "org/*", "--no-progress")
    assert (code, report["kept"]) == (0, 4)
    assert "org is not there any more" in words
    assert keeper.run("forget", "org/repo")[0] == 0
    assert keeper.run("sync", "org/*", "--no-progress")[0] == 0


def test_a_repository_that_its_organisation_lists_no_more_stays_selected(keeper: Keeper) -> None:
    service = keeper.trial.service
    service.run({"app.bin": APP}, "1", repo="org/other")
    service.repos.pop("org/repo")
    code, report, words = keeper.run("sync", "org/*", "--no-progress")
    assert (code, report["kept"], report["downloaded"]) == (0, 4, 1)
    assert "org/repo is not there any more" in words
    keeper.trial.place().unlink()
    code, report, _ = keeper.run("sync", "org/*", "--no-progress")
    assert (code, report["lost"], report["kept"]) == (1, 1, 4)
    code, report, _ = keeper.run("sync", "org/*", "--no-progress", "--quiet")
    assert (code, report["lost"]) == (1, 1)


def test_runs_that_a_void_list_hid_are_asked_for_again_when_they_are_back(keeper: Keeper) -> None:
    service = keeper.trial.service
    runs, service.repos["org/repo"] = service.repos["org/repo"], []
    keeper.trial.place().unlink()
    assert keeper.sync()[0] == 1
    service.repos["org/repo"] = runs
    code, report, _ = keeper.sync()
    assert (code, report["downloaded"]) == (0, 1)
    assert keeper.story() == ALL_WELL


def test_a_ledger_of_the_version_before_is_taken_over_and_nothing_is_fetched_twice(
    keeper: Keeper,
) -> None:
    make_old(keeper.trial.root / ".artifact-sync" / "ledger.sqlite")
    assert set(keeper.states().values()) == {"mirrored"}  # read as it is
    keeper.trial.service.api.forget()
    code, report, _ = keeper.sync()
    assert (code, report["kept"], report["downloaded"]) == (0, 4, 0)
    assert len(keeper.trial.service.api.requests) == 1
    assert keeper.story() == ALL_WELL


def make_old(ledger: Path) -> None:
    """Take from a ledger what its migrations from 0004 on have added."""
    with closing(sqlite3.connect(ledger, isolation_level=None)) as old:
        for table in ("forget_rules", "run_records", "outbox", "told", "pins", "tries", "unpacked"):
            old.execute(f"DROP TABLE {table}")
        runs = ("expired", "missed", "outstanding", "settled_created", "verified", "sharing")
        artifacts = ("unwell", "sha256", "shares", "verified", "reading", "workflow", "local_path")
        artifacts += ("unextracted",)
        names = (*(f"artifacts_{name}" for name in artifacts), *(f"runs_{name}" for name in runs))
        for name in names:
            old.execute(f"DROP INDEX ix_{name}")
        added = {
            "artifacts": (
                "is_wanted",
                "verified_at",
                "lost_since",
                "upstream",
                "gone_since",
                "shares",
                "reading_since",
                "archive",
                "extraction",
                "extracted_of",
                "extracted_by",
                "extracted_files",
                "extracted_bytes",
                "extraction_reason",
                "extraction_error",
            ),
            "runs": (
                "lost",
                "expired",
                "forgotten",
                "unwanted",
                "noted",
                "gone_since",
                "pruned_at",
                "shared_bytes",
                "oldest_verified",
            ),
            "repositories": ("gone_since",),
        }
        for table, columns in added.items():
            for column in columns:
                old.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        old.execute(
            "CREATE INDEX ix_artifacts_unwell ON artifacts (run_id)"
            " WHERE state IN ('failed', 'gone', 'refused')"
        )
        old.execute("CREATE INDEX ix_runs_settled ON runs (repo_id, settled_for, number)")
        old.execute("UPDATE artifact_sync_version SET version_num = '0003'")
