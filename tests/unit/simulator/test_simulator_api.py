"""The simulator's API over real HTTP: pages, trees, links, odd slugs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest

from artifact_sync.simulator import (
    Cube,
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

    from artifact_sync.simulator.scenario import Ending, Order

RUNS = "/repos/a/b/cicd/runs"


@contextmanager
def api(*runs: ScenarioRun, **settings: Any) -> Iterator[tuple[httpx.Client, Simulator]]:
    scenario = Scenario(api=ScenarioApi(**settings), repos=(Repo("a/b", runs=runs),))
    with running_in_thread(scenario) as running:
        headers = {"authorization": f"Bearer {running.token}"}
        with httpx.Client(base_url=running.base_url, headers=headers) as client:
            yield client, running.simulator


def slugs(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [run["slug"] for run in answer.json()["runs"]]


def pages(client: httpx.Client, size: str) -> list[tuple[list[str], str | None]]:
    """Every page's runs and its token's beginning, until there is no token."""
    found: list[tuple[list[str], str | None]] = []
    token = ""
    while True:
        answer = client.get(RUNS, params={"page_size": size, "page_token": token})
        told = answer.json().get("next_page_token")
        found.append((slugs(answer), told and "token"))
        if not told:
            return found
        token = told


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        ("absent", [(["4", "3"], "token"), (["2", "1"], None)]),
        ("empty", [(["4", "3"], "token"), (["2", "1"], "")]),
        ("extra", [(["4", "3"], "token"), (["2", "1"], "token"), ([], None)]),
    ],
)
def test_pages_end_the_way_the_scenario_says(
    ending: Ending, expected: list[tuple[list[str], str | None]]
) -> None:
    with api(ScenarioRun(count=4), ending=ending) as (client, _):
        assert pages(client, "2") == expected


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
def test_runs_come_in_the_order_that_the_scenario_says_and_each_once(order: Order) -> None:
    with api(ScenarioRun(count=12), order=order) as (client, _):
        seen = [slug for page, _ in pages(client, "5") for slug in page]
        assert seen == slugs(client.get(RUNS))
    oldest = [str(n) for n in range(1, 13)]
    assert sorted(seen, key=int) == oldest
    assert (seen == oldest) == (order == "oldest")
    assert (seen == oldest[::-1]) == (order == "newest")


def test_a_run_made_between_two_pages_repeats_none_and_hides_none() -> None:
    with api(ScenarioRun(count=4)) as (client, simulator):
        first = client.get(RUNS, params={"page_size": "2"})
        assert simulator.add_run("a/b", ScenarioRun()) == "5"
        token = first.json()["next_page_token"]
        second = client.get(RUNS, params={"page_size": "2", "page_token": token})
    assert slugs(first) + slugs(second) == ["4", "3", "2", "1"]


@pytest.mark.parametrize(
    ("asked", "got"), [("1000", 5), ("5", 5), ("3", 3), ("0", 4), ("18446744073709551615", 5)]
)
def test_a_page_holds_no_more_than_is_asked_for_or_allowed(asked: str, got: int) -> None:
    with api(ScenarioRun(count=9), page_size=4, max_page_size=5) as (client, _):
        assert len(slugs(client.get(RUNS, params={"page_size": asked}))) == got
        assert len(slugs(client.get(RUNS))) == 4


@pytest.mark.parametrize(
    "query",
    [
        "page_size=-1",
        "page_size=x",
        "page_size=18446744073709551616",
        "page_size=%D9%A3",
        "page_token=!",
        "page_token=AAAA",
        "page_size=1&page_token={}",
    ],
)
def test_a_page_that_cannot_be_asked_for_is_refused_with_400(query: str) -> None:
    with api(ScenarioRun(count=9)) as (client, _):
        token = client.get(RUNS, params={"page_size": "2"}).json()["next_page_token"]
        answer = client.get(f"{RUNS}?{query.format(token)}")
    assert (answer.status_code, answer.json()["error_code"]) == (400, "ValidationError")


def test_a_listing_shows_the_tasks_of_unfinished_runs_only_unless_told() -> None:
    runs = [
        ScenarioRun(status="success", cubes=(Cube(),)),
        ScenarioRun(status="processing", cubes=(Cube(),)),
    ]
    shown = {}
    for list_tasks in (False, True):
        with api(*runs, list_tasks=list_tasks) as (client, _):
            answer = client.get(RUNS).json()["runs"]
            shown[list_tasks] = [len(run["workflows"][0]["tasks"]) for run in answer]
    assert shown == {False: [1, 0], True: [1, 1]}


def test_the_tree_groups_cubes_by_workflow_and_task_in_their_order() -> None:
    cubes = (
        Cube("#git-clone"),
        Cube("unit", task="test", needs=("#git-clone",), status="failed"),
        Cube("pages", workflow="deploy", task="site"),
        Cube("link"),
    )
    with api(ScenarioRun(cubes=cubes)) as (client, _):
        run = client.get(f"{RUNS}/1").json()
        deploy = client.get(f"{RUNS}/1/deploy").json()
    tree = {
        workflow["slug"]: {
            task["slug"]: [cube["slug"] for cube in task["cubes"]] for task in workflow["tasks"]
        }
        for workflow in run["workflows"]
    }
    assert tree == {
        "ci": {"build": ["#git-clone", "link"], "test": ["unit"]},
        "deploy": {"site": ["pages"]},
    }
    assert [workflow["status"] for workflow in run["workflows"]] == ["failed", "success"]
    assert run["workflows"][1] == deploy
    unit = run["workflows"][0]["tasks"][1]["cubes"][0]
    assert unit["relations"] == {"needs": [{"name": "#git-clone"}]}


def test_a_created_run_has_no_workflow_yet() -> None:
    with api(ScenarioRun(status="created", cubes=(Cube(),))) as (client, _):
        run = client.get(f"{RUNS}/1").json()
    assert run["workflows"] == []
    assert "finished_at" not in run["dates"]


@pytest.mark.parametrize("slug", ["#git-clone", "a/b", "a%2Fb", "with spaces", "🚀", "..", "?x=1"])
def test_a_cube_with_an_odd_slug_is_found_under_its_percent_encoded_name(slug: str) -> None:
    cube = Cube(slug, log="hello", artifacts=(ScenarioArtifact("x", text="x"),))
    with api(ScenarioRun(cubes=(cube,))) as (client, _):
        encoded = quote(slug, safe="").replace(".", "%2E")
        artifacts = client.get(f"/repos/a/b/cicd/artifacts/1/ci/build/{encoded}").json()
        logs = client.get(f"/repos/a/b/cicd/logs/1/ci/build/{encoded}").json()
    assert [artifact["local_path"] for artifact in artifacts["artifacts"]] == ["x"]
    assert logs == {"logs": "hello", "page_complete": True, "done": True}


@pytest.mark.parametrize(("links_in", "in_run"), [("run", True), ("cube", False)])
def test_links_are_where_the_scenario_says_and_for_success_only(
    links_in: str,
    in_run: bool,  # noqa: FBT001 - a parameter of the case
) -> None:
    artifacts = (ScenarioArtifact("good"), ScenarioArtifact("late", status="registered"))
    with api(ScenarioRun(cubes=(Cube(artifacts=artifacts),)), links_in=links_in) as (client, _):
        run = client.get(f"{RUNS}/1").json()
        cube = client.get("/repos/a/b/cicd/artifacts/1/ci/build/build").json()
    of_run = run["workflows"][0]["tasks"][0]["cubes"][0]["artifacts"]
    assert ["download_url" in artifact for artifact in of_run] == [in_run, False]
    assert ["download_url" in artifact for artifact in cube["artifacts"]] == [True, False]


def test_other_methods_than_get_are_refused() -> None:
    with api() as (client, simulator):
        answer = client.delete(RUNS)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
        assert client.get(RUNS).json() == {"runs": []}
        assert simulator.requests["runs"] == 2


def test_requests_are_counted_by_kind_and_kept_without_their_queries() -> None:
    with api(ScenarioRun()) as (client, simulator):
        client.get(RUNS, params={"page_size": "1"})
        client.get(f"{RUNS}/1")
        client.get(f"{RUNS}/2")
        assert (simulator.requests["runs"], simulator.requests["run"]) == (1, 2)
        assert simulator.requests.api == 3
        assert [(seen.kind, seen.path, seen.status) for seen in simulator.requests] == [
            ("runs", RUNS, 200),
            ("run", f"{RUNS}/1", 200),
            ("run", f"{RUNS}/2", 404),
        ]
        simulator.requests.clear()
        assert simulator.requests.api == 0


def test_each_request_tells_whose_token_came_with_it() -> None:
    with api(tokens=("one", "two")) as (client, simulator):
        for token in ("two", "one", "three"):
            client.get(RUNS, headers={"authorization": f"Bearer {token}"})
        assert [it.caller for it in simulator.requests] == [1, 0, None]
