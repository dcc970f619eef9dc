"""The simulator's answers against the definitions of SourceCraft's reconstructed specification."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from jsonschema import Draft4Validator, FormatChecker

from artifact_sync.simulator import (
    Cube,
    Repo,
    Scenario,
    ScenarioApi,
    ScenarioArtifact,
    ScenarioRun,
    running_in_thread,
)
from artifact_sync.simulator.faults import StatusFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from artifact_sync.simulator.scenario import Ending

    Ask = Callable[..., httpx.Response]

SPEC = json.loads((Path(__file__).parents[1] / "data" / "swagger.cicd.json").read_text("utf-8"))
LET_IN = {"authorization": "Bearer demo-token"}
ODD = "#git-clone / 100%2F 🚀"

formats = FormatChecker(formats=())


@formats.checks("date-time", raises=ValueError)
def _is_date_time(text: object) -> bool:
    return datetime.fromisoformat(str(text)).tzinfo is not None


@formats.checks("uint64", raises=ValueError)
@formats.checks("int64", raises=ValueError)
def _is_integer_as_text(text: object) -> bool:
    return isinstance(text, str) and str(int(text)) == text


def _strict(definition: dict[str, Any]) -> dict[str, Any]:
    """A definition that admits no field but its own; ``"properties": null`` says nothing."""
    kept = {key: value for key, value in definition.items() if value is not None}
    closed = {"additionalProperties": False} if "properties" in kept else {}
    return closed | kept


def check(answer: object, definition: str) -> None:
    schema = {
        "$ref": f"#/definitions/{definition}",
        "definitions": {name: _strict(one) for name, one in SPEC["definitions"].items()},
    }
    Draft4Validator(schema, format_checker=formats).validate(answer)


def everything() -> Scenario:
    """A run of each status, with artifacts of each status, and odd names."""
    statuses = SPEC["definitions"]["Run.Status"]["enum"]
    artifacts = [
        ScenarioArtifact(f"./{status}.txt", text="x", status=status)
        for status in SPEC["definitions"]["ArtifactStatus"]["enum"]
    ]
    cubes = (Cube("build", artifacts=tuple(artifacts)), Cube(ODD, needs=("build",), log="hello"))
    runs = [
        ScenarioRun(status=status, pull="3", errors=("oh",), cubes=cubes) for status in statuses
    ]
    return Scenario(repos=(Repo("acme/all", runs=tuple(runs)), Repo("acme/none")))


pytestmark = pytest.mark.xdist_group("conforms")  # one simulator for all


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Gets a path from a simulator of everything, with a token unless told otherwise."""
    more = (Repo("acme/secret", forbidden=True), Repo("acme/throttled"), Repo("acme/broken"))
    faults = (
        StatusFault(on="api", repo="acme/throttled", status=429, retry_after=2),
        StatusFault(on="api", repo="acme/broken", status=500),
    )
    scenario = Scenario(repos=(*everything().repos, *more), faults=faults)
    with running_in_thread(scenario) as running:
        yield lambda path, headers=LET_IN: httpx.get(running.base_url + path, headers=headers)


CUBE = "4/ci/build/%23git-clone%20%2F%20100%252F%20%F0%9F%9A%80"


@pytest.mark.parametrize(
    ("path", "definition"),
    [
        ("/orgs/acme/repos", "ListOrganizationRepositoriesResponse"),
        ("/repos/acme/all", "Repository"),
        ("/repos/id:{id}", "Repository"),
        ("/repos/acme/all/cicd/runs?page_size=4", "ListRunsResponse"),
        ("/repos/acme/all/cicd/runs", "ListRunsResponse"),
        ("/repos/id:{id}/cicd/runs", "ListRunsResponse"),
        ("/repos/acme/none/cicd/runs", "ListRunsResponse"),
        *((f"/repos/acme/all/cicd/runs/{slug}", "Run") for slug in range(1, 11)),
        ("/repos/acme/all/cicd/runs/4/ci", "Workflow"),
        ("/repos/acme/all/cicd/artifacts/4/ci/build/build", "GetCubeArtifactsResponse"),
        (f"/repos/acme/all/cicd/artifacts/{CUBE}", "GetCubeArtifactsResponse"),
        (f"/repos/acme/all/cicd/logs/{CUBE}?page=1", "GetCubeLogsResponse"),
        ("/repos/acme/all/releases", "ListReleasesResponse"),
        ("/repos/id:{id}/releases", "ListReleasesResponse"),
    ],
)
def test_an_answer_is_what_the_specification_defines(ask: Ask, path: str, definition: str) -> None:
    answer = ask(path.format(id=ask("/repos/acme/all").json()["id"]))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    check(answer.json(), definition)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/repos/acme/all/releases/latest", 404, "NotFound"),
        ("/repos/acme/all/releases/tag/v1", 404, "NotFound"),
        ("/repos/acme/all/releases/tag/v1/attachments/1", 404, "NotFound"),
        ("/repos/acme/all/cicd/runs/99", 404, "NotFound"),
        ("/repos/acme/all/cicd/runs/1/nope", 404, "NotFound"),
        ("/repos/acme/all/cicd/artifacts/4/ci/build/nope", 404, "NotFound"),
        ("/repos/acme/all/cicd/logs/4/ci/build/build?page=2", 404, "NotFound"),
        ("/repos/acme/nope/cicd/runs", 404, "NotFound"),
        ("/repos/id:1/cicd/runs", 404, "NotFound"),
        ("/orgs/nobody/repos", 404, "NotFound"),
        ("/acme/all/cicd/runs", 404, "NotFound"),
        ("/", 404, "NotFound"),
        ("/repos/acme/secret/cicd/runs", 403, "PermissionDenied"),
        ("/repos/acme/all/cicd/runs?page_size=x", 400, "ValidationError"),
        ("/repos/acme/all/cicd/runs?page_token=x", 400, "ValidationError"),
        ("/repos/acme/throttled/cicd/runs", 429, "TooManyRequests"),
        ("/repos/acme/broken/cicd/runs", 500, "Internal"),
    ],
)
def test_an_error_is_told_in_the_specified_body(
    ask: Ask, path: str, status: int, code: str
) -> None:
    answer = ask(path)
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)
    assert answer.json()["request_id"]
    check(answer.json(), "ApiErrorResponse")


def test_a_missing_and_a_wrong_token_are_refused_with_401(ask: Ask) -> None:
    for headers in ({}, {"authorization": "Bearer nope"}, {"authorization": "Basic demo-token"}):
        answer = ask("/repos/acme/all", headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        check(answer.json(), "ApiErrorResponse")


def test_every_answer_to_a_walk_through_the_demo_conforms() -> None:
    with (
        running_in_thread() as running,
        httpx.Client(base_url=running.base_url, headers=LET_IN) as client,
    ):
        repos = client.get("/orgs/acme/repos").json()["repositories"]
        homes = [f"/repos/acme/{repo['slug']}/cicd/runs" for repo in repos]
        walked = 0
        for home in homes:
            listing = client.get(home).json()
            check(listing, "ListRunsResponse")
            for run in listing["runs"]:
                check(client.get(f"{home}/{run['slug']}").json(), "Run")
                walked += 1
    assert (len(repos), walked) == (4, 10)


@pytest.mark.parametrize("ending", ["absent", "empty", "extra"])
def test_each_way_to_tell_the_last_page_conforms(ending: Ending) -> None:
    api = ScenarioApi(ending=ending, list_tasks=True)
    with running_in_thread(Scenario(api=api, repos=everything().repos)) as running:
        listing = httpx.get(f"{running.base_url}/repos/acme/all/cicd/runs", headers=LET_IN)
    check(listing.json(), "ListRunsResponse")


def test_ids_of_runs_and_below_are_empty_and_slugs_of_runs_count(ask: Ask) -> None:
    runs = ask("/repos/acme/all/cicd/runs").json()["runs"]
    assert [run["slug"] for run in runs] == [str(n) for n in range(10, 0, -1)]
    assert {run["id"] for run in runs} == {""}
