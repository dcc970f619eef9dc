"""Runs that change, lists that mislead, names that are odd: nothing is missed or taken twice."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from altering import ABSENT, altered
from behaviours import (
    Visit,
    api_error,
    honest,
    in_turn,
    store_error,
)
from hostile_service import File, Json

if TYPE_CHECKING:
    from trial import Trial

CONTENT = b"built at night"


def test_a_run_that_is_running_again_is_left_for_later(trial: Trial) -> None:
    run = trial.service.run({"app.bin": CONTENT})
    run.alter = altered(("status",), "processing")

    def listed_as_finished(page: Json, _: str) -> Json:
        return {"runs": [{**listed, "status": "success"} for listed in page["runs"]]}

    trial.service.alter_page = listed_as_finished
    trial.sync()
    assert trial.has_nothing()
    run.alter = lambda payload: payload
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_a_run_that_changes_while_it_is_walked(trial: Trial) -> None:
    """Links lapse; with the fresh ones an artifact is gone and another one has come."""
    lapsed = in_turn(store_error(403, "AccessDenied"), honest)
    stays, goes = File(CONTENT, lapsed), File(b"soon gone", lapsed)
    run = trial.service.run({"stays": stays, "goes": goes})
    changed = [("stays", stays), ("comes", File(b"late"))]

    def change(visit: Visit) -> None:
        honest(visit)
        run.files = changed

    trial.also_right = {b"soon gone"}
    trial.service.api_behaviour[trial.service.runs_path(run="1")] = change
    outcome = trial.sync()
    assert outcome.exit_code == 1
    assert [f["local_path"] for f in outcome.failures] == ["goes"]
    assert trial.place("stays").read_bytes() == CONTENT
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT, "stays")
    assert trial.has(b"late", "comes")


def test_an_artifact_left_anew_replaces_the_old_one_which_is_kept_aside(trial: Trial) -> None:
    file = trial.service.file(CONTENT)
    assert trial.sync().exit_code == 0
    file.content, file.updated_at = b"built again", "2026-11-21T10:00:00Z"
    trial.service.repos["org/repo"][0].updated_at = "2026-11-21T10:00:00Z"
    assert trial.sync().counts == (1, 1, 0, 0)
    assert trial.has(b"built again")
    assert trial.displaced() == [CONTENT]


def test_registered_artifacts_that_succeed_later_come_with_a_later_pass(trial: Trial) -> None:
    late = File(b"late", status="registered")
    trial.service.run({"app.bin": CONTENT, "late": late})
    assert trial.sync().counts == (1, 1, 0, 0)
    assert late.visits == []
    late.status = "success"
    assert trial.sync().counts == (2, 1, 1, 0)
    assert trial.has(b"late", "late")
    assert trial.has(CONTENT)


def test_a_run_that_finishes_later_comes_with_a_later_pass(trial: Trial) -> None:
    run = trial.service.run({"app.bin": CONTENT}, "1")
    run.status = "processing"
    trial.service.run({"app.bin": CONTENT}, "2")
    assert trial.sync().counts == (1, 1, 0, 0)
    run.status = "failed"
    assert trial.sync().counts == (2, 1, 1, 0)
    assert trial.has(CONTENT, run="1")


def test_a_sudden_void_removes_nothing(trial: Trial) -> None:
    trial.service.file(CONTENT)
    assert trial.sync().exit_code == 0
    trial.also_right = {CONTENT}
    trial.service.repos["org/repo"] = []
    trial.sync()
    assert trial.has(CONTENT)


@pytest.mark.parametrize("last", [ABSENT, "", None, "99"], ids=repr)
def test_all_endings_of_a_list_are_endings(trial: Trial, last: object) -> None:
    """No token, an empty one, null, and one that leads to an empty page."""
    trial.service.page_size = 2
    for number in range(1, 4):
        trial.service.run({"app.bin": CONTENT}, str(number))

    def ending(page: Json, token: str) -> Json:
        if "next_page_token" in page or token == "99" or last is ABSENT:
            return page
        return {**page, "next_page_token": last}

    trial.service.alter_page = ending
    assert trial.sync().counts == (3, 3, 0, 0)


def test_a_page_token_that_repeats_ends_and_what_was_listed_is_mirrored(trial: Trial) -> None:
    for number in range(1, 4):
        trial.service.run({"app.bin": CONTENT}, str(number))
    trial.service.alter_page = lambda page, _: {**page, "next_page_token": "again+/= &?"}
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["bad_answer"])
    assert all(trial.has(CONTENT, run=str(number)) for number in range(1, 4))
    lists = [t for t in trial.service.api_targets if "page_size" in t]
    assert 2 <= len(lists) <= 3
    assert "page_token=again%2B%2F%3D" in lists[1]


def test_an_artifact_and_a_run_that_are_listed_twice_count_once(trial: Trial) -> None:
    run = trial.service.run({"app.bin": CONTENT})
    run.files *= 2
    trial.service.alter_page = lambda page, _: {"runs": page["runs"] * 2}
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.counts) == (0, (1, 1, 0, 0))
    assert outcome.report["runs"] == 1
    assert trial.has(CONTENT)


def test_runs_may_be_listed_in_any_order(trial: Trial) -> None:
    trial.service.page_size = 3
    numbers = [3, 9, 1, 7, 2, 8, 5]
    for number in numbers:
        trial.service.run({"app.bin": CONTENT}, str(number))
    assert trial.sync().counts == (7, 7, 0, 0)
    trial.service.repos["org/repo"].insert(0, trial.service.run({"app.bin": CONTENT}, "10"))
    trial.service.repos["org/repo"].pop()
    assert trial.sync().counts == (8, 1, 7, 0)


def test_a_second_pass_over_an_unchanged_repository_is_one_request(trial: Trial) -> None:
    trial.service.page_size = 10
    for number in range(1, 26):
        trial.service.run({"app.bin": CONTENT, "b": b"b"}, str(number))
    assert trial.sync().counts == (50, 50, 0, 0)
    trial.service.api.forget()
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.counts) == (0, (50, 0, 50, 0))
    assert len(trial.service.api.requests) == 1
    assert outcome.report["runs"] == 25


def test_every_repository_of_an_organisation(trial: Trial) -> None:
    for repo in ("org/one", "org/two", "other/three"):
        trial.service.run({"app.bin": CONTENT}, repo=repo)
    assert trial.sync("org/*").counts == (2, 2, 0, 0)
    assert not (trial.root / "other").exists()


ODD = ["#git-clone", "a/b", "a%2Fb", "with space", "🦄", "a?b&c=d", "%", "a+b", "..a", "a;b:c@d"]


def test_odd_slugs_are_percent_encoded_on_the_wire(trial: Trial) -> None:
    files = [
        (f"{kind}.bin", File(f"{kind} {slug}".encode(), cube=cube, url=lambda _: ""))
        for slug in ODD
        for kind, cube in [
            ("workflow", (slug, "linux", "compile")),
            ("task", ("build", slug, "compile")),
            ("cube", ("build", "linux", slug)),
        ]
    ]
    trial.service.run({}).files.extend(files)
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.counts) == (0, (30, 30, 0, 0))
    assert {path.read_bytes() for path in trial.files()} == {f.content for _, f in files}
    prefix = "/repos/org/repo/cicd/artifacts/1"
    asked = {t for t in trial.service.api_targets if t.startswith(prefix)}
    cubes = ("/".join(quote(slug, safe="") for slug in file.cube) for _, file in files)
    assert {target.upper() for target in asked} == {f"{prefix}/{cube}".upper() for cube in cubes}
    assert f"{prefix}/build/linux/%23git-clone" in asked


def test_one_cubes_error_fails_only_that_cube(trial: Trial) -> None:
    system = File(b"log", cube=("build", "linux", "#git-clone"), url=lambda _: "")
    good = File(CONTENT, url=lambda _: "")
    trial.service.run({"system.log": system, "app.bin": good})
    cube = "/repos/org/repo/cicd/artifacts/1/build/linux/%23git-clone"
    trial.service.api_behaviour[cube] = api_error(500)
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.counts) == (1, (2, 1, 0, 1))
    assert outcome.failures[0]["cube"] == "#git-clone"
    assert trial.place().read_bytes() == CONTENT


def test_control_characters_of_the_service_never_reach_the_terminal(trial: Trial) -> None:
    run = trial.service.run({"app.bin": CONTENT})
    run.files.append(("a\x1b[2J\x07\r\nb", File(b"x", cube=("w\x1b[31m", "t\x07", "c\x9b31m"))))
    outcome = trial.sync("-v")
    assert (outcome.exit_code, outcome.counts) == (1, (2, 1, 0, 1))
