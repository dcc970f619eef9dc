from __future__ import annotations

import asyncio
import gzip
import json
import logging
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from random import Random

import certifi
import pytest
from scripted_server import FakeClock, Recorder, answer, answer_json, serving, until

from artifact_sync.domain.errors import (
    BadAnswer,
    ConfigError,
    CredentialsRefused,
    GarbledAnswer,
    NotFound,
    ServiceError,
    Unreachable,
    UnusableEntries,
)
from artifact_sync.domain.events import Noticed, Retrying
from artifact_sync.domain.model import ArtifactKey, CubeKey, LogPage, RepoName, RunKey, RunPage
from artifact_sync.runtime.backoff import RetryPolicy
from artifact_sync.source.api.client import ApiContext
from artifact_sync.source.api.sourcecraft import SourceCraft
from artifact_sync.source.transport.clients import (
    TransportSettings,
    api_client,
    hush_http_loggers,
)
from artifact_sync.source.transport.tls import trusted

TOKEN = "pv1_t0psecret"
REPO = RepoName("org", "repo")
KEY = RunKey(REPO, "7")
OTHER = RunKey(RepoName("org", "other"), "7")
RUNS = "/repos/org/repo/cicd/runs"
POLICY = RetryPolicy(attempts=3, base=0.5, cap=30.0, patience=60.0)
EMPTY_RUN = answer_json({"status": "success"})


class Service:
    """A ``SourceCraft`` with a server that gives these answers in turn, the last one for ever."""

    def __init__(self, source: SourceCraft, server, clock: FakeClock, recorder: Recorder) -> None:
        self.source = source
        self.server = server
        self.clock = clock
        self.recorder = recorder


Answers = Sequence[bytes] | Callable[[object], bytes]


@asynccontextmanager
async def service(
    answers: Answers,
    *,
    token: str = TOKEN,
    path: str = "",
    clock: FakeClock | None = None,
    **changes,
):
    choose = answers if callable(answers) else _in_turn(answers)

    async def script(request, writer) -> None:
        reply = choose(request)
        writer.write(reply)
        if b"Connection: close" in reply or not reply:
            await writer.drain()
            writer.close()

    clock, recorder = clock or FakeClock(), Recorder()
    async with serving(script) as server:
        settings = TransportSettings(server.origin + path, token, timeout=5.0)
        async with api_client(settings, trusted(None).context()) as client:
            settings = {"rate": 0, "retry": POLICY, "token": token} | changes
            context = ApiContext(clock, Random(7), recorder, **settings)  # noqa: S311 - jitter
            yield Service(SourceCraft(client, context), server, clock, recorder)


def _in_turn(answers: Sequence[bytes]) -> Callable[[object], bytes]:
    left = list(answers)
    return lambda _request: left.pop(0) if len(left) > 1 else left[0]


def asking(answers: Answers, ask, **options):
    """Run one question; the result or the error, and the service as it was afterwards."""

    async def main():
        async with service(answers, **options) as it:
            try:
                return await asyncio.wait_for(ask(it.source), 20), it
            except ServiceError as error:
                return error, it

    return asyncio.run(main())


def get_run(source: SourceCraft):
    return source.run(KEY)


async def list_runs(source: SourceCraft):
    return [[run.key.run for run in page.runs] async for page in source.runs(REPO)]


def tree(**urls: str):
    artifacts = [
        {"local_path": path, "status": "success", "download_url": url} for path, url in urls.items()
    ]
    cubes = [{"slug": "c", "artifacts": artifacts}]
    return {"workflows": [{"slug": "w", "tasks": [{"slug": "t", "cubes": cubes}]}]}


def key(path: str, cube: str = "c") -> ArtifactKey:
    return ArtifactKey("org", "repo", "7", "w", "t", cube, path)


def test_a_run_is_asked_for_with_the_token_and_read():
    run, it = asking([answer_json(tree(a="https://s/a?sig=1"))], get_run)
    assert [(a.key, a.url) for a in run.artifacts] == [(key("a"), "https://s/a?sig=1")]
    (request,) = it.server.requests
    assert request.line == f"GET {RUNS}/7 HTTP/1.1"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["user-agent"].startswith("artifact-sync/")
    assert it.clock.slept == []


def test_without_a_token_none_is_sent():
    _, it = asking([EMPTY_RUN], get_run, token="")
    assert "authorization" not in it.server.requests[0].headers


def test_a_base_url_may_have_a_path():
    _, it = asking([EMPTY_RUN], get_run, path="/api/v1")
    assert it.server.targets == [f"/api/v1{RUNS}/7"]


@pytest.mark.parametrize(
    ("slug", "wire"),
    [
        ("#git-clone", "%23git-clone"),
        ("a/b", "a%2Fb"),
        ("%2F", "%252F"),
        ("50%", "50%25"),
        ("two words", "two%20words"),
        ("🎉", "%F0%9F%8E%89"),
        ("a?b=c&d", "a%3Fb%3Dc%26d"),
        ("...", "..."),
        ("..\\x", "..%5Cx"),
        ("\x00\r\n", "%00%0D%0A"),
        ("\udcff", "%ED%B3%BF"),
    ],
)
def test_every_path_segment_arrives_encoded_once(slug, wire):
    repo = RepoName(slug, slug)
    _, it = asking([EMPTY_RUN], lambda source: source.run(RunKey(repo, slug)))
    assert it.server.targets == [f"/repos/{wire}/{wire}/cicd/runs/{wire}"]


@pytest.mark.parametrize("slug", ["", ".", ".."])
def test_a_name_that_no_url_can_carry_is_not_asked_for(slug):
    error, it = asking([EMPTY_RUN], lambda source: source.run(RunKey(REPO, slug)))
    assert isinstance(error, NotFound)
    assert it.server.requests == []


@pytest.mark.parametrize("end", [{}, {"next_page_token": ""}, {"next_page_token": None}])
def test_a_list_ends_with_a_page_that_names_no_other(end):
    pages = [
        answer_json({"runs": [{"slug": "3"}], "next_page_token": "a b/?&+"}),
        answer_json({"runs": [{"slug": "2"}, {"slug": 1}], **end}),
    ]
    found, it = asking(pages, list_runs)
    assert found == [["3"], ["2", "1"]]
    assert it.server.targets == [
        f"{RUNS}?page_size=100",
        f"{RUNS}?page_size=100&page_token=a+b%2F%3F%26%2B",
    ]


def test_a_list_may_end_with_an_empty_page():
    pages = [answer_json({"runs": [{"slug": "1"}], "next_page_token": "x"}), answer_json({})]
    assert asking(pages, list_runs)[0] == [["1"], []]


def test_a_token_that_comes_twice_is_a_bad_answer():
    pages = [answer_json({"runs": [], "next_page_token": token}) for token in ("a", "b", "a")]
    error, it = asking(pages, list_runs)
    assert isinstance(error, BadAnswer)
    assert str(error) == ("the list of runs of org/repo: a page token came twice, so it has no end")
    assert len(it.server.requests) == 3


def test_a_list_may_be_abandoned_after_a_page():
    async def first(source: SourceCraft):
        runs = source.runs(REPO)
        page = await anext(runs)
        await runs.aclose()
        return [run.key.run for run in page.runs]

    pages = [answer_json({"runs": [{"slug": "9"}], "next_page_token": "more"})]
    found, it = asking(pages, first)
    assert found == ["9"]
    assert len(it.server.requests) == 1


async def listed(pages):
    """What a list gave, and the error that it ended in, if any."""
    found = []
    while True:
        try:
            found.append(await anext(pages))
        except StopAsyncIteration:
            return found, None
        except ServiceError as error:
            return found, error


@pytest.mark.parametrize("flaw", [{"status": "success"}, {"slug": None}, {"slug": ".."}, "text"])
def test_runs_without_a_usable_slug_make_the_list_fail_after_its_last_page(flaw):
    pages = [
        answer_json({"runs": [flaw, {"slug": "2"}], "next_page_token": "x"}),
        answer_json({"runs": [flaw, {"slug": "1"}]}),
    ]
    (found, error), it = asking(pages, lambda source: listed(source.runs(REPO)))
    assert [[run.key.run for run in page.runs] for page in found] == [["2"], ["1"]]
    assert isinstance(error, BadAnswer)
    assert str(error) == "the list of runs of org/repo: 2 entries have no usable slug"
    assert (
        it.recorder.events
        == [Noticed("the list of runs of org/repo: 1 entry has no usable slug")] * 2
    )


def test_a_list_that_begins_as_is_known_ends_after_one_request():
    first = answer_json({"runs": [{"slug": "2"}], "next_page_token": "x"})
    pages = [first, answer_json({"runs": [{"slug": "1"}]}), first]

    async def twice(source: SourceCraft):
        read, error = await listed(source.runs(REPO))
        return read, error, await listed(source.runs(REPO, read[0].list_digest))

    (read, error, again), it = asking(pages, twice)
    assert ([page.unchanged for page in read], error) == ([False, False], None)
    assert again == ([RunPage((), read[0].list_digest, unchanged=True)], None)
    assert len(it.server.targets) == 3
    assert it.server.targets[0] == it.server.targets[2]


def test_a_list_that_begins_otherwise_than_is_known_is_read_by_the_same_requests():
    first = answer_json({"runs": [{"slug": "2"}], "next_page_token": "x"})
    pages = [first, answer_json({"runs": [{"slug": "1"}]})]
    (read, error), it = asking(pages, lambda source: listed(source.runs(REPO, "another")))
    assert ([run.key.run for page in read for run in page.runs], error) == (["2", "1"], None)
    assert len(it.server.requests) == 2


def test_only_the_first_page_is_compared_with_what_is_known():
    first = answer_json({"runs": [{"slug": "2"}], "next_page_token": "x"})
    same = answer_json({"runs": [{"slug": "1"}]})

    async def both(source: SourceCraft):
        known = (await anext(source.runs(REPO))).list_digest
        return await listed(source.runs(REPO, known))

    (read, error), _ = asking([same, first, same], both)
    assert ([run.key.run for page in read for run in page.runs], error) == (["2", "1"], None)


def test_a_page_that_could_not_be_read_in_full_has_no_digest():
    pages = [answer_json({"runs": [{"slug": ".."}, {"slug": "2"}], "next_page_token": "x"})]

    async def first(source: SourceCraft):
        pages = source.runs(REPO)
        page = await anext(pages)
        await pages.aclose()
        return page.list_digest

    assert asking(pages, first)[0] == ""


def test_repositories_without_a_usable_slug_make_the_list_fail_after_its_last_page():
    pages = [
        answer_json({"repositories": [{"slug": ""}, {"slug": "a"}], "next_page_token": "x"}),
        answer_json({"repositories": [{"slug": "b"}]}),
    ]
    (found, error), _ = asking(pages, lambda source: listed(source.repositories("org")))
    assert found == [RepoName("org", "a"), RepoName("org", "b")]
    assert type(error) is UnusableEntries
    assert str(error) == "the list of repositories of org: 1 entry has no usable slug"


@pytest.mark.parametrize("page", [{"runs": "x"}, {"next_page_token": ["x"]}])
def test_a_page_that_makes_no_sense_is_a_bad_answer_and_not_an_end(page):
    error, it = asking([answer_json(page)], list_runs)
    assert isinstance(error, BadAnswer)
    assert len(it.server.requests) == 1


def test_the_repositories_of_an_organisation_are_listed_page_by_page():
    async def listing(source: SourceCraft):
        return [repo async for repo in source.repositories("org")]

    pages = [
        answer_json({"repositories": [{"slug": "a"}], "next_page_token": "2"}),
        answer_json({"repositories": [{"slug": "b"}]}),
    ]
    found, it = asking(pages, listing)
    assert found == [RepoName("org", "a"), RepoName("org", "b")]
    assert it.server.targets[0] == "/orgs/org/repos?page_size=100"


def test_links_take_one_request_where_the_run_has_them():
    def reply(_request):
        return answer_json(
            tree(
                a="https://s/a?X-Amz-Date=20261123T200000Z&X-Amz-Expires=30",
                b="https://s/b",
                others="https://s/o",
            ),
            "200 OK",
            "Date: Mon, 23 Nov 2026 20:00:10 GMT",
        )

    found, it = asking(reply, lambda source: source.links(KEY, {key("a"), key("b")}))
    assert {it.local_path: link.lapses_at for it, link in found.items()} == {
        "a": 1020.0,
        "b": 1045.0,
        "others": 1045.0,
    }
    assert found[key("b")].url == "https://s/b"
    assert it.server.targets == [f"{RUNS}/7"]


def test_links_that_the_run_lacks_are_asked_of_their_cube_once():
    def reply(request):
        if request.target.endswith("/runs/7"):
            return answer_json(tree(a="https://s/a", b="", c=""))
        listed = [
            {"local_path": path, "status": "success", "download_url": f"https://cube/{path}"}
            for path in "abc"
        ]
        return answer_json({"artifacts": listed})

    wanted = {key("a"), key("b"), key("c"), key("x", "#git-clone")}
    found, it = asking(reply, lambda source: source.links(KEY, wanted))
    assert {it.local_path: link.url for it, link in found.items()} == {
        "a": "https://cube/a",  # the fresher one
        "b": "https://cube/b",
        "c": "https://cube/c",
    }
    assert sorted(it.server.targets) == [
        "/repos/org/repo/cicd/artifacts/7/w/t/%23git-clone",
        "/repos/org/repo/cicd/artifacts/7/w/t/c",
        f"{RUNS}/7",
    ]


@pytest.mark.parametrize("status", ["500 E", "404 E", "403 E", "418 E"])
def test_a_failing_cube_does_not_fail_the_links_of_others(status):
    def reply(request):
        if request.target.endswith("/runs/7"):
            return answer_json(tree(a="https://s/a", b=""))
        if request.target.endswith("/bad"):
            return answer_json({"message": "no"}, status)
        return answer_json({"artifacts": [{"local_path": "b", "download_url": "https://cube/b"}]})

    wanted = {key("a"), key("b"), key("z", "bad")}
    found, it = asking(reply, lambda source: source.links(KEY, wanted))
    assert {it.local_path for it in found} == {"a", "b"}
    (notice,) = [event for event in it.recorder.events if isinstance(event, Noticed)]
    assert notice.message.startswith("the artifacts of cube w/t/bad in run 7 of org/repo: ")


def test_an_artifact_that_is_not_there_any_more_has_no_link_and_costs_no_request():
    value = tree(a="https://s/a")
    value["workflows"][0]["tasks"][0]["cubes"][0]["artifacts"][0]["status"] = "missing"
    found, it = asking([answer_json(value)], lambda source: source.links(KEY, {key("a")}))
    assert found == {}
    assert len(it.server.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, CredentialsRefused),
        (403, CredentialsRefused),
        (404, NotFound),
        (410, NotFound),
        (400, BadAnswer),
        (422, BadAnswer),
    ],
)
def test_a_refusal_is_told_with_its_request_id_and_not_tried_again(status, kind):
    body = {"error_code": "Oops", "message": f"no\nway, {TOKEN}", "request_id": "r-1"}
    error, it = asking([answer_json(body, f"{status} X")], get_run)
    assert type(error) is kind
    assert (error.status, error.request_id) == (status, "r-1")
    assert str(error).startswith("run 7 of org/repo: ")
    assert str(error).endswith(f"({status}: Oops: no way, ***) (request id r-1)")
    assert len(it.server.requests) == 1


def test_an_answer_of_another_class_is_a_bad_answer():
    error, _ = asking([b"HTTP/1.1 304 X\r\n\r\n"], get_run)
    assert type(error) is BadAnswer
    assert str(error) == "run 7 of org/repo: the service does not take the request (304)"


def test_a_refused_token_is_told_from_a_missing_one():
    refused, _ = asking([answer(b"", "401 X")], get_run)
    missing, _ = asking([answer(b"", "401 X")], get_run, token="")
    assert "refused the token" in str(refused)
    assert "none was given: set SOURCECRAFT_TOKEN or source.token_file" in str(missing)


def test_a_server_error_is_tried_again_and_told_to_the_observer():
    run, it = asking([answer(b"", "500 X"), answer(b"", "502 X"), EMPTY_RUN], get_run)
    assert run.status == "success"
    assert len(it.clock.slept) == 2
    assert [(event.what, event.delay) for event in it.recorder.events] == [
        ("run 7 of org/repo", delay) for delay in it.clock.slept
    ]
    assert all(isinstance(event, Retrying) for event in it.recorder.events)


@pytest.mark.parametrize("status", [429, 500, 503, 408])
def test_the_budget_ends_in_unreachable(status):
    error, it = asking([answer_json({"request_id": "r"}, f"{status} X")], get_run)
    assert type(error) is Unreachable
    assert (error.status, error.request_id) == (status, "r")
    assert len(it.server.requests) == 3


@pytest.mark.parametrize("after", ["7", "Mon, 23 Nov 2026 20:00:07 GMT"])
def test_retry_after_is_waited_for_in_both_forms(after):
    date = "Date: Mon, 23 Nov 2026 20:00:00 GMT"
    wait = answer(b"", "429 X", f"Retry-After: {after}", date)
    _, it = asking([wait, EMPTY_RUN], get_run)
    assert len(it.clock.slept) == 1
    assert 7.0 <= it.clock.slept[0] <= 7.5


def test_a_retry_after_beyond_our_patience_fails_at_once():
    error, it = asking([answer(b"", "503 X", "Retry-After: 61")], get_run)
    assert isinstance(error, Unreachable)
    assert error.retry_after == 61.0
    assert (it.clock.slept, len(it.server.requests)) == ([], 1)


class Gate(FakeClock):
    """Nobody's sleep ends before the gate is opened; then time has passed for all."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.opened.wait()
        self.passed = 100.0


def test_a_throttled_client_holds_back_all_its_callers():
    async def main():
        gate = Gate()
        answers = [answer(b"", "429 X", "Retry-After: 9"), EMPTY_RUN]
        async with service(answers, clock=gate) as it:
            first = asyncio.create_task(get_run(it.source))
            await until(lambda: gate.slept)
            others = [asyncio.create_task(get_run(it.source)) for _ in range(3)]
            await until(lambda: len(gate.slept) == 4)
            held = len(it.server.requests)
            gate.opened.set()
            runs = await asyncio.gather(first, *others)
            return held, gate.slept, [run.status for run in runs]

    held, slept, statuses = asyncio.run(main())
    assert held == 1
    assert 9.0 <= slept[0] <= 9.5
    assert slept[1:] == [9.0, 9.0, 9.0]
    assert statuses == ["success"] * 4


def test_while_the_service_wants_a_long_rest_nobody_asks_it():
    async def main():
        async with service([answer(b"", "503 X", "Retry-After: 600")]) as it:
            for _ in range(3):
                with pytest.raises(Unreachable) as caught:
                    await get_run(it.source)
            return len(it.server.requests), str(caught.value)

    requests, message = asyncio.run(main())
    assert requests == 1
    assert message == ("run 7 of org/repo: the service asked not to be asked for another 600 s")


def test_one_repository_that_is_to_rest_long_holds_the_others_for_half_a_minute():
    async def main():
        async with service([answer(b"", "503 X", "Retry-After: 600"), EMPTY_RUN]) as it:
            with pytest.raises(Unreachable):
                await get_run(it.source)
            await it.source.run(OTHER)
            with pytest.raises(Unreachable) as caught:
                await get_run(it.source)
            return it.clock.slept, len(it.server.requests), caught.value.retry_after

    assert asyncio.run(main()) == ([30.0], 2, 570.0)


def test_two_repositories_that_are_to_rest_long_silence_us_for_that_long():
    async def main():
        async with service([answer(b"", "429 X", "Retry-After: 600")]) as it:
            for key in (KEY, OTHER, RunKey(RepoName("org", "third"), "7")):
                with pytest.raises(Unreachable) as caught:
                    await it.source.run(key)
            return len(it.server.requests), caught.value.retry_after

    assert asyncio.run(main()) == (2, 570.0)


@pytest.mark.parametrize(
    "broken",
    [
        answer(b'{"status": "succ'),
        answer(b"<html>hello</html>"),
        answer(b"[]"),
        answer(b'{"status": "success"}', "200 OK", "Connection: close", length=500),
        answer(b"no gzip", "200 OK", "Content-Encoding: gzip"),
    ],
    ids=["truncated json", "html", "list", "cut", "bad gzip"],
)
def test_a_garbled_answer_is_asked_for_again_and_then_a_bad_answer(broken):
    run, _ = asking([broken, EMPTY_RUN], get_run)
    assert run.status == "success"
    error, it = asking([broken], get_run)
    assert type(error) is GarbledAnswer
    assert len(it.server.requests) == 3


def test_a_connection_that_is_closed_without_an_answer_is_tried_again():
    run, it = asking([b"", EMPTY_RUN], get_run)
    assert run.status == "success"
    assert len(it.server.requests) == 2


def test_what_is_no_http_is_unreachable_without_being_quoted():
    error, _ = asking([b"SSH-2.0-secret\r\nConnection: close\r\n\r\n"], get_run)
    assert type(error) is Unreachable
    assert "secret" not in str(error)


def test_a_packed_answer_is_unpacked():
    body = gzip.compress(b'{"status": "failed"}')
    run, _ = asking([answer(body, "200 OK", "Content-Encoding: gzip")], get_run)
    assert run.status == "failed"


def test_an_answer_without_end_is_given_up_on():
    error, it = asking([answer(b"x" * 5000)], get_run, body_limit=4096)
    assert type(error) is BadAnswer
    assert str(error) == "run 7 of org/repo: the answer is longer than 4096 bytes"
    assert len(it.server.requests) == 1


def test_nobody_listening_is_unreachable_after_the_budget():
    async def main():
        async with serving(lambda _request, _writer: None) as server:
            origin = server.origin
        clock = FakeClock()
        async with api_client(TransportSettings(origin, TOKEN), trusted(None).context()) as client:
            context = ApiContext(clock, Random(7), retry=POLICY)  # noqa: S311 - jitter
            with pytest.raises(Unreachable) as caught:
                await get_run(SourceCraft(client, context))
        return str(caught.value), origin, len(clock.slept)

    message, origin, slept = asyncio.run(main())
    host = origin.removeprefix("http://")
    assert message == (
        f"run 7 of org/repo: no answer from {host}: connection refused:"
        " check the network, source.base_url and source.proxy"
    )
    assert slept == 2


def test_a_redirect_within_the_origin_is_followed_with_the_token():
    away = answer(b"", "307 X", "Location: /elsewhere/7?x=%2F")
    run, it = asking([away, EMPTY_RUN], get_run)
    assert run.status == "success"
    assert it.server.targets == [f"{RUNS}/7", "/elsewhere/7?x=%2F"]
    assert it.server.requests[1].headers["authorization"] == f"Bearer {TOKEN}"


def test_redirects_come_to_an_end():
    error, it = asking([answer(b"", "302 X", "Location: /again")], get_run)
    assert type(error) is BadAnswer
    assert str(error) == "run 7 of org/repo: more than 5 redirects"
    assert len(it.server.requests) == 6


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("http://evil.test/x?sig=secret", "evil.test (http)"),
        ("//evil.test/x?sig=secret", "evil.test (http)"),
        ("https://127.0.0.1/x?sig=secret", "127.0.0.1 (https)"),
        ("http://127.0.0.1:1/x?sig=secret", "127.0.0.1 (http)"),
        ("ftp://evil.test/", "evil.test (ftp)"),
    ],
)
def test_a_redirect_to_another_origin_is_refused_by_name(location, host):
    error, it = asking([answer(b"", "302 X", f"Location: {location}")], get_run)
    assert type(error) is BadAnswer
    assert host in str(error)
    assert "secret" not in str(error)
    assert len(it.server.requests) == 1


@pytest.mark.parametrize("location", ["http://[::1", "http://h:99999x/", "http://a b\x7f/"])
def test_a_redirect_to_nowhere_is_a_bad_answer(location):
    error, _ = asking([answer(b"", "302 X", f"Location: {location}")], get_run)
    assert isinstance(error, BadAnswer)


def test_no_cookie_is_kept():
    cookie = answer_json({}, "200 OK", "Set-Cookie: a=b; Path=/")

    async def twice(source: SourceCraft):
        await get_run(source)
        await get_run(source)

    _, it = asking([cookie], twice)
    assert all("cookie" not in request.headers for request in it.server.requests)


def test_netrc_is_never_asked(tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password hidden\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text(netrc.read_text())
    _, it = asking([EMPTY_RUN], get_run, token="")
    assert "authorization" not in it.server.requests[0].headers


def test_requests_are_spaced_by_the_rate_over_all_callers():
    async def many(source: SourceCraft):
        begun = time.monotonic()
        await asyncio.gather(*(get_run(source) for _ in range(6)))
        return time.monotonic() - begun

    took, it = asking([EMPTY_RUN], many, rate=20.0)
    assert len(it.server.requests) == 6
    assert took >= 0.24


def test_no_log_holds_what_is_sent_or_received(caplog):
    for name in ("httpx", "httpcore"):
        caplog.set_level(logging.NOTSET, name)
    caplog.set_level(logging.DEBUG)
    hush_http_loggers()
    asking([answer(b"", "307 X", "Location: /elsewhere?sig=secret"), EMPTY_RUN], get_run)
    assert [record.name for record in caplog.records if record.name.startswith("http")] == []


def test_where_none_is_named_certifis_authorities_are_trusted(monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    theirs = ssl.create_default_context(cafile=certifi.where()).get_ca_certs(binary_form=True)
    assert len(theirs) > 50
    assert trusted(None).context().get_ca_certs(binary_form=True) == theirs


def test_a_certificate_that_nobody_trusts_is_told_at_once(certificate, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")  # certifi's authorities
    error, requests = asyncio.run(_over_tls(certificate, None))
    assert isinstance(error, Unreachable)
    assert "its certificate is not trusted" in str(error)
    assert "source.ca_bundle" in str(error)
    assert requests == 0


def test_a_ca_bundle_is_trusted(certificate):
    found, requests = asyncio.run(_over_tls(certificate, certificate.with_suffix(".crt")))
    assert found.status == "success"
    assert requests == 1


async def _over_tls(certificate, ca_bundle):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.with_suffix(".crt"), certificate)

    async def script(_request, writer) -> None:
        writer.write(EMPTY_RUN)

    async with serving(script, context) as server:
        origin = server.origin.replace("http://", "https://")
        async with api_client(TransportSettings(origin), trusted(ca_bundle).context()) as client:
            context = ApiContext(FakeClock(), Random(7), retry=POLICY)  # noqa: S311 - jitter
            source = SourceCraft(client, context)
            try:
                return await get_run(source), len(server.requests)
            except ServiceError as error:
                return error, len(server.requests)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base_url": "ftp://h"}, "source.base_url"),
        ({"base_url": "nonsense"}, "source.base_url"),
        ({"base_url": "https://me:hidden@h"}, "source.base_url"),
        ({"base_url": "https://h/?x=1"}, "source.base_url"),
        ({"token": "hid den"}, "the token holds"),
        ({"token": "hidden\n"}, "the token holds"),
        ({"token": "hiddén"}, "the token holds"),
        ({"proxy": "gopher://me:hidden@h"}, "source.proxy"),
        ({"proxy": "http://[::hid]"}, "source.proxy"),
    ],
)
def test_settings_that_cannot_work_are_told_without_their_secrets(changes, said):
    settings = TransportSettings(**{"base_url": "https://h", **changes})
    with pytest.raises(ConfigError, match=said) as caught:
        api_client(settings, trusted(None).context())
    assert "hid" not in str(caught.value).replace("hidden-", "")


def test_a_ca_bundle_that_cannot_be_read_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match=r"No such file"):
        trusted(tmp_path / "none.pem").context()
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing\n")
    with pytest.raises(ConfigError, match=r"source\.ca_bundle"):
        trusted(empty).context()


def test_settings_do_not_show_their_token():
    assert TOKEN not in repr(TransportSettings("https://h", TOKEN))
    assert TOKEN not in repr(ApiContext(FakeClock(), Random(7), token=TOKEN))  # noqa: S311 - jitter


def test_a_big_run_is_read(tmp_path):
    del tmp_path
    many = {f"f{n}": f"https://s/{n}?{'x' * 100}" for n in range(5000)}
    run, _ = asking([answer(json.dumps(tree(**many)).encode())], get_run)
    assert len(run.artifacts) == 5000


def test_a_proxy_of_the_environment_is_used(monkeypatch):
    async def main():
        async def script(_request, writer) -> None:
            writer.write(EMPTY_RUN)

        async with serving(script) as proxy:
            monkeypatch.setenv("http_proxy", proxy.origin)
            settings = TransportSettings("http://api.test", TOKEN)
            async with api_client(settings, trusted(None).context()) as client:
                context = ApiContext(FakeClock(), Random(7))  # noqa: S311 - jitter
                await get_run(SourceCraft(client, context))
            return proxy.targets

    assert asyncio.run(main()) == [f"http://api.test{RUNS}/7"]


def test_a_page_of_a_log_is_asked_for_with_the_token_and_an_encoded_cube():
    cube = CubeKey(KEY, "w", "t", "#git/clone")
    reply = answer_json({"logs": "cloned\n", "page_complete": True, "done": True})
    page, it = asking([reply], lambda source: source.log_page(cube, 3))
    assert page == LogPage(b"cloned\n", complete=True, done=True)
    assert it.server.targets == ["/repos/org/repo/cicd/logs/7/w/t/%23git%2Fclone?page=3"]


def test_a_page_of_a_log_that_is_not_there_is_not_found():
    reply = answer_json({"message": "no"}, "404 Not Found")
    error, it = asking([reply], lambda source: source.log_page(CubeKey(KEY, "w", "t", "c"), 1))
    assert isinstance(error, NotFound)
    assert "page 1 of the log of cube w/t/c in run 7 of org/repo" in str(error)
    assert len(it.server.targets) == 1
