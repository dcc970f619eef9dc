"""The hostile server can also be honest: what the trials believe of it is so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
import pytest
from behaviours import cut, etag_of, in_turn, stall
from hostile_service import TOKEN, File, Json, Service
from trial import noise

if TYPE_CHECKING:
    from hostile_server import Request

CONTENT = noise(0, 200_000)


def ask(url: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.get(url, headers=named, timeout=5, trust_env=False)


def artifact(service: Service, path: str = "") -> Json:
    url = service.api.origin + (path or service.runs_path(run="1"))
    answer = ask(url, Authorization=f"Bearer {TOKEN}").json()
    return dict(answer["workflows"][0]["tasks"][0]["cubes"][0]["artifacts"][0])


def test_a_link_gives_the_file_and_each_answer_a_fresh_link(service: Service) -> None:
    service.file(CONTENT)
    first, second = artifact(service), artifact(service)
    assert first["download_url"] != second["download_url"]
    assert ask(first["download_url"]).content == CONTENT
    assert ask(first["download_url"] + "&x").status_code == 403


@pytest.mark.parametrize(
    ("if_range", "status", "count"),
    [("", 206, 199_999), (etag_of(CONTENT), 206, 199_999), ('"other"', 200, 200_000)],
)
def test_ranges_are_honest(service: Service, if_range: str, status: int, count: int) -> None:
    file = service.file(CONTENT)
    condition = {"If_Range": if_range} if if_range else {}
    answer = ask(artifact(service)["download_url"], Range="bytes=1-", **condition)
    assert (answer.status_code, answer.content) == (status, CONTENT[-count:])
    assert file.served == count


def test_behaviours_come_in_turn(service: Service) -> None:
    file = service.file(CONTENT, in_turn(cut(10), cut(20, reset=True)))
    for _ in range(3):
        with pytest.raises(httpx.TransportError):
            ask(artifact(service)["download_url"])
    assert file.served == 50


def test_without_the_token_there_is_nothing(service: Service) -> None:
    service.file(CONTENT)
    answer = ask(service.api.origin + service.runs_path())
    assert (answer.status_code, answer.json()["request_id"]) == (401, "req-0451")


def test_a_stall_ends_with_the_server() -> None:
    with Service() as service:
        file = service.file(CONTENT, stall())
        link = artifact(service)["download_url"]
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(link, timeout=0.1, trust_env=False)
        visits: list[Request] = file.visits
    assert len(visits) == 1


def test_the_cubes_answer_has_a_link_where_the_runs_has_none(service: Service) -> None:
    service.run({"x": File(CONTENT, url=lambda _: "", cube=("w", "t", "a/b"))})
    assert artifact(service)["download_url"] == ""
    url = f"{service.api.origin}/repos/org/repo/cicd/artifacts/1/w/t/a%2Fb"
    answer = json.loads(ask(url, Authorization=f"Bearer {TOKEN}").content)
    assert ask(answer["artifacts"][0]["download_url"]).content == CONTENT
