"""The simulator's files over real HTTP: ranges, validators, digests, errors in XML."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from artifact_sync.simulator import (
    Cube,
    Files,
    Repo,
    Scenario,
    ScenarioArtifact,
    ScenarioRun,
    Simulator,
    running_in_thread,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = "0123456789"
MD5 = f'"{hashlib.md5(TEXT.encode(), usedforsecurity=False).hexdigest()}"'
LATE = "Sat, 31 Oct 2026 23:00:00 GMT"


@contextmanager
def files(*artifacts: ScenarioArtifact, **settings: Any) -> Iterator[Simulator]:
    listed = artifacts or (ScenarioArtifact("x", text=TEXT),)
    repo = Repo("a/b", runs=(ScenarioRun(cubes=(Cube(artifacts=listed),)),))
    with running_in_thread(Scenario(files=Files(**settings), repos=(repo,))) as running:
        yield running.simulator


def get(simulator: Simulator, path: str = "x", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.get(simulator.link("a/b", "1", path), headers=named)


def code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/xml"
    return answer.status_code, answer.text.partition("<Code>")[2].partition("</Code>")[0]


def test_a_file_comes_whole_with_length_type_and_validators() -> None:
    with files(ScenarioArtifact("r/report.html", text=TEXT)) as simulator:
        answer = get(simulator, "r/report.html")
        modified = simulator.file("a/b", "1", "r/report.html").last_modified
    assert (answer.status_code, answer.text) == (200, TEXT)
    assert answer.headers["content-length"] == "10"
    assert answer.headers["content-type"] == "text/html"
    assert answer.headers["etag"] == MD5
    assert answer.headers["last-modified"] == modified
    assert answer.headers["accept-ranges"] == "bytes"
    assert "date" in answer.headers


@pytest.mark.parametrize(
    ("asked", "body", "told"),
    [
        ("bytes=0-", "0123456789", "bytes 0-9/10"),
        ("bytes=4-", "456789", "bytes 4-9/10"),
        ("bytes=4-5", "45", "bytes 4-5/10"),
        ("bytes=4-4", "4", "bytes 4-4/10"),
        ("bytes=8-99", "89", "bytes 8-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=-99", "0123456789", "bytes 0-9/10"),
    ],
)
def test_a_range_is_answered_with_206_and_that_part(asked: str, body: str, told: str) -> None:
    with files() as simulator:
        answer = get(simulator, range=asked)
    assert (answer.status_code, answer.text) == (206, body)
    assert answer.headers["content-range"] == told
    assert answer.headers["content-length"] == str(len(body))
    assert answer.headers["etag"] == MD5


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_a_range_behind_the_end_is_refused_with_416(asked: str) -> None:
    with files() as simulator:
        answer = get(simulator, range=asked)
    assert code(answer) == (416, "InvalidRange")
    assert answer.headers["content-range"] == "bytes */10"


def test_no_range_of_an_empty_file_can_be_had() -> None:
    with files(ScenarioArtifact("x", size=0)) as simulator:
        assert get(simulator).content == b""
        assert code(get(simulator, range="bytes=0-")) == (416, "InvalidRange")


@pytest.mark.parametrize("asked", ["bytes=5-4", "bytes=-", "lines=1-2", "bytes=1-2,4-5", "x"])
def test_a_range_of_no_sense_or_of_several_parts_is_ignored(asked: str) -> None:
    with files() as simulator:
        assert get(simulator, range=asked).status_code == 200


@pytest.mark.parametrize(
    ("condition", "status"),
    [(MD5, 206), (f"W/{MD5}", 200), ('"other"', 200), ("{modified}", 206), (LATE, 200)],
)
def test_if_range_gives_the_part_of_that_version_only(condition: str, status: int) -> None:
    with files() as simulator:
        modified = simulator.file("a/b", "1", "x").last_modified
        answer = get(simulator, range="bytes=4-", if_range=condition.format(modified=modified))
    assert answer.status_code == status


def test_if_match_of_another_version_is_refused_with_412() -> None:
    with files() as simulator:
        assert get(simulator, if_match=f'"a", {MD5}').status_code == 200
        assert get(simulator, if_match="*").status_code == 200
        assert code(get(simulator, if_match='"a"')) == (412, "PreconditionFailed")


@pytest.mark.parametrize(
    ("style", "size", "parts"),
    [("md5", 10, ""), ("auto", 10, ""), ("parts", 10, "-1"), ("auto", 65 << 20, "-9")],
)
def test_an_etag_is_the_md5_or_that_of_an_upload_in_parts(
    style: str, size: int, parts: str
) -> None:
    with files(ScenarioArtifact("x", size=size), etag=style) as simulator:
        etag = get(simulator, range="bytes=0-0").headers["etag"].strip('"')
        is_md5 = size == 10 and etag == simulator.file("a/b", "1", "x").md5.hex()
    assert is_md5 == (not parts)
    assert etag[32:] == parts


def test_without_etag_there_is_still_a_date() -> None:
    with files(etag="none") as simulator:
        answer = get(simulator)
    assert "etag" not in answer.headers
    assert "last-modified" in answer.headers


def test_digests_of_the_whole_stand_beside_a_part_only_where_they_may() -> None:
    names = ("repr-digest", "content-digest", "content-md5", "x-amz-checksum-sha256")
    sha256 = b64encode(hashlib.sha256(TEXT.encode()).digest()).decode()
    with files(digests=names) as simulator:
        whole, part = get(simulator).headers, get(simulator, range="bytes=1-2").headers
    assert whole["repr-digest"] == whole["content-digest"] == f"sha-256=:{sha256}:"
    assert whole["x-amz-checksum-sha256"] == sha256
    assert [name for name in names if name in part] == ["repr-digest"]


def test_a_link_lapses_is_for_get_alone_and_for_its_own_path() -> None:
    with files(lifetime=2) as simulator:
        link = simulator.link("a/b", "1", "x")
        assert httpx.get(link).status_code == 200
        assert httpx.head(link).status_code == 403
        assert code(httpx.post(link)) == (405, "MethodNotAllowed")
        assert code(httpx.get(link.replace("/artifacts/", "/artifact/"))) == (
            403,
            "SignatureDoesNotMatch",
        )
        assert code(httpx.get(link.partition("?")[0])) == (403, "AccessDenied")
        simulator.lapse_links()
        assert code(httpx.get(link)) == (403, "AccessDenied")
        assert get(simulator).status_code == 200


def test_a_file_that_vanished_is_404_behind_a_good_link() -> None:
    with files() as simulator:
        simulator.remove_file("a/b", "1", "x")
        assert code(get(simulator)) == (404, "NoSuchKey")


def test_links_of_other_styles_work_here_too() -> None:
    for style in ("nginx", "plain"):
        with files(style=style) as simulator:
            assert get(simulator).text == TEXT
            link = simulator.link("a/b", "1", "x")
            head = httpx.head(link)
            assert (head.status_code, head.headers["content-length"]) == (200, "10")


def test_file_requests_are_noted_with_their_range() -> None:
    with files() as simulator:
        get(simulator, range="bytes=4-")
        [seen] = simulator.requests
    assert (seen.kind, seen.status, seen.range, seen.local_path) == ("file", 206, "bytes=4-", "x")
    assert "X-Amz" not in seen.path


def test_a_bandwidth_limit_holds_for_each_answer() -> None:
    with files(ScenarioArtifact("x", size=40_000), bandwidth=200_000) as simulator:
        answer = get(simulator)
    assert len(answer.content) == 40_000
    assert answer.elapsed.total_seconds() >= 0.19
