"""Faults over real HTTP: each does what it says, as often as it says, where it says."""

from __future__ import annotations

from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import httpx
import pytest

from artifact_sync.simulator import (
    Cube,
    Repo,
    Scenario,
    ScenarioArtifact,
    ScenarioRun,
    Simulator,
    running_in_thread,
)
from artifact_sync.simulator.faults import (
    AnyFault,
    CutFault,
    Delay,
    ErrorPageFault,
    FaultBox,
    Flip,
    IgnoreRange,
    Lapse,
    Slow,
    Stall,
    StatusFault,
    Subject,
    Truncate,
    WrongRange,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = "0123456789"
RUNS = "/repos/a/b/cicd/runs"


@contextmanager
def faulty(*faults: AnyFault) -> Iterator[Simulator]:
    cubes = (Cube(artifacts=(ScenarioArtifact("x", text=TEXT), ScenarioArtifact("y", text="y"))),)
    scenario = Scenario(repos=(Repo("a/b", runs=(ScenarioRun(cubes=cubes),)),), faults=faults)
    with running_in_thread(scenario) as running:
        yield running.simulator


def get(simulator: Simulator, path: str = "x", asked: str = "") -> httpx.Response:
    headers = {"range": asked} if asked else {}
    return httpx.get(simulator.link("a/b", "1", path), headers=headers, timeout=5)


def api(simulator: Simulator, path: str = RUNS) -> httpx.Response:
    base = simulator.base_url
    return httpx.get(base + path, headers={"authorization": "Bearer demo-token"}, timeout=5)


def received(simulator: Simulator, timeout: float = 5) -> tuple[bytes, str]:
    """What came of the file before it ended, and how it ended."""
    body = b""
    try:
        with httpx.stream("GET", simulator.link("a/b", "1", "x"), timeout=timeout) as answer:
            for chunk in answer.iter_raw():
                body += chunk
    except httpx.TransportError as error:
        return body, type(error).__name__
    return body, "end"


def struck(fault: AnyFault, times: int) -> list[int]:
    box = FaultBox([fault])
    subject = Subject("file", "file", "a/b", "1", "build", "x")
    return [n for n in range(1, times + 1) if box.striking(subject)]


def test_a_fault_strikes_always_the_first_times_or_every_nth_time() -> None:
    assert struck(CutFault(), 4) == [1, 2, 3, 4]
    assert struck(CutFault(first=2), 5) == [1, 2]
    assert struck(CutFault(every=3), 9) == [3, 6, 9]
    assert struck(CutFault(first=4, every=2), 9) == [2, 4]


def test_a_fault_counts_over_all_or_for_each_by_itself() -> None:
    x = Subject("file", "file", "a/b", "1", "build", "x")
    y = Subject("file", "file", "a/b", "1", "build", "y")
    over_all, for_each = FaultBox([CutFault(first=1)]), FaultBox([CutFault(first=1, each=True)])
    assert [bool(over_all.striking(one)) for one in (x, y, x)] == [True, False, False]
    assert [bool(for_each.striking(one)) for one in (x, y, x)] == [True, True, False]


@pytest.mark.parametrize(
    ("fault", "strikes"),
    [
        (CutFault(repo="a/*", run="1", cube="#git-*", path="./dist/*.gz"), True),
        (CutFault(repo="c/*"), False),
        (CutFault(run="2"), False),
        (CutFault(cube="build"), False),
        (CutFault(path="*.zip"), False),
        (CutFault(on="api"), False),
        (CutFault(endpoint="run"), False),
    ],
)
def test_a_fault_strikes_what_its_globs_match(
    fault: AnyFault,
    strikes: bool,  # noqa: FBT001 - a parameter of the case
) -> None:
    subject = Subject("file", "file", "a/b", "1", "#git-clone", "./dist/app.tar.gz")
    assert bool(FaultBox([fault]).striking(subject)) == strikes


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "SlowDown"), (429, "TooManyRequests"), (404, "NoSuchKey"), (410, "InternalError")],
)
def test_a_status_of_a_file_comes_as_xml(status: int, code: str) -> None:
    with faulty(StatusFault(status=status, retry_after=1.2)) as simulator:
        answer = get(simulator)
    assert answer.status_code == status
    assert answer.headers["retry-after"] == "2"
    assert f"<Code>{code}</Code>" in answer.text


def test_a_status_of_the_api_comes_as_json_and_a_wait_may_be_a_date() -> None:
    fault = StatusFault(on="api", endpoint="run", retry_after=60, retry_after_as="date", first=1)
    with faulty(fault) as simulator:
        assert api(simulator).status_code == 200
        answer = api(simulator, f"{RUNS}/1")
        assert api(simulator, f"{RUNS}/1").status_code == 200
    assert (answer.status_code, answer.json()["error_code"]) == (503, "Unavailable")
    sent = parsedate_to_datetime(answer.headers["date"])
    wait = parsedate_to_datetime(answer.headers["retry-after"]) - sent
    assert 58 <= wait.total_seconds() <= 62


def test_a_cut_ends_the_body_short_of_its_announced_length() -> None:
    with faulty(CutFault(after=0.3, first=1)) as simulator:
        assert received(simulator) == (b"012", "RemoteProtocolError")
        assert received(simulator) == (TEXT.encode(), "end")


def test_a_stall_sends_nothing_more_for_its_time() -> None:
    with faulty(Stall(after=0.3)) as simulator:
        assert received(simulator, timeout=0.2) == (b"012", "ReadTimeout")
    with faulty(Stall(after=0, seconds=0.01)) as simulator:
        assert received(simulator) == (TEXT.encode(), "end")


def test_a_slow_answer_comes_byte_by_byte() -> None:
    with faulty(Slow(rate=50)) as simulator:
        answer = get(simulator)
    assert answer.text == TEXT
    assert answer.elapsed.total_seconds() >= 0.19


def test_a_delay_comes_before_the_answer() -> None:
    with faulty(Delay(seconds=0.1), Delay(on="api", seconds=0.1)) as simulator:
        assert get(simulator).elapsed.total_seconds() >= 0.1
        assert api(simulator).elapsed.total_seconds() >= 0.1


def test_a_flipped_bit_is_flipped_in_the_whole_and_in_the_part_that_holds_it() -> None:
    with faulty(Flip(at=0.5)) as simulator:
        assert get(simulator).text == "0123556789"
        assert get(simulator, asked="bytes=4-5").text == "55"
        assert get(simulator, asked="bytes=5-").text == "56789"


def test_a_lapse_refuses_a_good_link() -> None:
    with faulty(Lapse(every=3)) as simulator:
        assert [get(simulator).status_code for _ in range(6)] == [200, 200, 403, 200, 200, 403]


def test_a_range_may_be_ignored_or_answered_with_another_one() -> None:
    with faulty(IgnoreRange(first=1)) as simulator:
        assert get(simulator, asked="bytes=4-").status_code == 200
        assert get(simulator, asked="bytes=4-").status_code == 206
    answers = []
    for fault in (WrongRange(), WrongRange(shift=-2), WrongRange(shift=0, total=7)):
        with faulty(fault) as simulator:
            answer = get(simulator, asked="bytes=4-")
            answers.append((answer.status_code, answer.headers["content-range"], answer.text))
            assert get(simulator).text == TEXT
    assert answers == [
        (206, "bytes 5-9/10", "56789"),
        (206, "bytes 2-9/10", "23456789"),
        (206, "bytes 4-9/17", "456789"),
    ]


def test_an_error_page_is_200_with_xml() -> None:
    with faulty(ErrorPageFault(code="SlowDown")) as simulator:
        answer = get(simulator)
    assert answer.status_code == 200
    assert answer.text.startswith('<?xml version="1.0"')
    assert "<Code>SlowDown</Code>" in answer.text


def test_an_answer_of_the_api_may_be_cut_or_truncated() -> None:
    with faulty(Truncate(on="api", after=0.5, first=1), CutFault(on="api")) as simulator:
        simulator.clear_faults()
        whole = api(simulator).content
        simulator.add_fault(Truncate(on="api", after=0.5, first=1))
        answer = api(simulator)
        assert (answer.status_code, answer.content) == (200, whole[: len(whole) // 2])
        simulator.add_fault(CutFault(on="api"))
        with pytest.raises(httpx.RemoteProtocolError):
            api(simulator)


def test_a_fault_strikes_a_repository_by_its_name_where_it_came_by_its_id() -> None:
    with faulty(StatusFault(on="api", endpoint="runs", repo="a/b", status=500)) as simulator:
        repo_id = api(simulator, "/repos/a/b").json()["id"]
        assert api(simulator, f"/repos/id:{repo_id}/cicd/runs").status_code == 500
