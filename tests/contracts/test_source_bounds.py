"""A hostile API costs neither memory nor time without end."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import tracemalloc
from contextlib import asynccontextmanager
from functools import cache
from random import Random

import pytest
from scripted_server import FakeClock, answer, answer_json, serving

from artifact_sync.domain.errors import (
    BadAnswer,
    CredentialsRefused,
    GarbledAnswer,
    ServiceError,
    Unreachable,
    Verdict,
)
from artifact_sync.domain.model import RepoName, RunKey
from artifact_sync.runtime.backoff import RetryPolicy
from artifact_sync.source.api.client import ApiContext
from artifact_sync.source.api.sourcecraft import SourceCraft
from artifact_sync.source.transport.clients import TransportSettings, api_client
from artifact_sync.source.transport.tls import trusted

REPO = RepoName("org", "repo")
KEY = RunKey(REPO, "7")
MIB = 1024 * 1024
ONE_TRY = RetryPolicy(attempts=1)
EMPTY_RUN = answer_json({"status": "success"})


@cache
def zeros() -> bytes:
    """A bomb, packed when it is needed: every worker imports this file."""
    return gzip.compress(bytes(64 * MIB))


@asynccontextmanager
async def source_over(script, **changes):
    async with serving(script) as server:
        settings = TransportSettings(server.origin, "pv1_secret", timeout=5.0)
        async with api_client(settings, trusted(None).context()) as client:
            settings = {"rate": 0, "retry": ONE_TRY, "token": "pv1_secret"} | changes
            context = ApiContext(FakeClock(), Random(7), **settings)  # noqa: S311 - jitter
            yield SourceCraft(client, context), server


def asking(script, ask, **changes):
    """What a question gave or ended in, and the requests that came of it."""

    async def main():
        async with source_over(script, **changes) as (source, server):
            try:
                return await asyncio.wait_for(ask(source), 20), server.requests
            except ServiceError as error:
                return error, server.requests

    return asyncio.run(main())


def get_run(source: SourceCraft):
    return source.run(KEY)


def always(reply: bytes):
    async def script(_request, writer) -> None:
        writer.write(reply)

    return script


def peak_of(script, **changes):
    tracemalloc.start()
    try:
        error, _ = asking(script, get_run, **changes)
        return error, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_answer_is_asked_for_unpacked():
    _, (request,) = asking(always(EMPTY_RUN), get_run)
    assert request.headers["accept-encoding"] == "identity"


def test_a_packed_answer_is_unpacked_no_further_than_the_limit():
    bomb = answer(zeros(), "200 OK", "Content-Encoding: gzip")
    error, peak = peak_of(always(bomb), body_limit=MIB)
    assert type(error) is BadAnswer
    assert str(error) == "run 7 of org/repo: the answer is longer than 1048576 bytes"
    assert peak < 8 * MIB


@pytest.mark.parametrize(
    "coding", ["gzip, gzip", "gzip\r\nContent-Encoding: gzip", "deflate", "br", "zstd", "gzip;q=1"]
)
def test_a_coding_that_was_not_asked_for_is_a_bad_answer_and_not_unpacked(coding):
    bomb = answer(gzip.compress(zeros()), "200 OK", f"Content-Encoding: {coding}")
    error, peak = peak_of(always(bomb))
    assert type(error) is BadAnswer
    assert str(error) == (
        "run 7 of org/repo: the answer has a content coding that was not asked for"
    )
    assert peak < 8 * MIB


@pytest.mark.parametrize("coding", ["gzip", "gzip, gzip", "br"])
def test_an_error_that_is_a_bomb_keeps_the_meaning_of_its_status(coding):
    body = gzip.compress(zeros()) if coding == "gzip, gzip" else zeros()
    error, peak = peak_of(always(answer(body, "401 X", f"Content-Encoding: {coding}")))
    assert type(error) is CredentialsRefused
    assert peak < 8 * MIB


def test_a_packed_error_tells_its_request_id():
    body = gzip.compress(json.dumps({"request_id": "r-1"}).encode())
    error, _ = asking(always(answer(body, "404 X", "Content-Encoding: gzip")), get_run)
    assert error.request_id == "r-1"


@pytest.mark.parametrize("coding", ["GZip", "x-gzip", "identity, gzip", "identity", ""])
def test_one_gzip_or_none_is_understood_however_it_is_written(coding):
    body = b'{"status": "failed"}'
    packed = gzip.compress(body) if "g" in coding.lower() else body
    run, _ = asking(always(answer(packed, "200 OK", f"Content-Encoding: {coding}")), get_run)
    assert run.status == "failed"


@pytest.mark.parametrize("spoil", [lambda it: it[:-4], lambda it: it + it, lambda _: b""])
def test_gzip_that_ends_too_early_or_too_late_is_garbled(spoil):
    body = spoil(gzip.compress(b'{"status": "failed"}'))
    error, _ = asking(always(answer(body, "200 OK", "Content-Encoding: gzip")), get_run)
    assert type(error) is GarbledAnswer


def test_a_body_of_just_the_limit_is_read_packed_and_unpacked():
    body = b'{"status": "failed"}'
    packed = answer(gzip.compress(body + b" " * 100), "200 OK", "Content-Encoding: gzip")
    for reply in (answer(body + b" " * 100), packed):
        assert asking(always(reply), get_run, body_limit=120)[0].status == "failed"
        error, _ = asking(always(reply), get_run, body_limit=119)
        assert type(error) is BadAnswer


def dripping(status: str):
    """Headers at once, and a byte every now and then for ever, each well within the timeout."""

    async def script(_request, writer) -> None:
        writer.write(answer(b"", status, length=1_000_000))
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    return script


def test_an_answer_that_drips_ends_with_the_deadline_and_may_be_asked_for_again():
    error, requests = asking(
        dripping("200 OK"), get_run, deadline=0.3, retry=RetryPolicy(attempts=2)
    )
    assert type(error) is Unreachable
    assert error.verdict is Verdict.TRANSIENT
    assert str(error) == "run 7 of org/repo: the answer was not complete after 0.3 s"
    assert len(requests) == 2


def test_an_error_that_drips_keeps_the_meaning_of_its_status():
    error, _ = asking(dripping("401 X"), get_run, deadline=1.0)
    assert type(error) is CredentialsRefused


def test_headers_that_drip_end_with_the_deadline_too():
    async def script(_request, writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    error, _ = asking(script, get_run, deadline=0.3)
    assert type(error) is Unreachable


def endless(items):
    """A list whose every page names another; ``items``: what a page's number makes it hold."""
    numbers = itertools.count(1)

    async def script(_request, writer) -> None:
        number = next(numbers)
        page = {"next_page_token": f"t{number}", "runs": [], "repositories": []}
        slugs = [{"slug": slug} for slug in items(number)]
        writer.write(answer_json(page | {"runs": slugs, "repositories": slugs}))

    return script


async def all_runs(source: SourceCraft):
    return [page.runs async for page in source.runs(REPO)]


async def all_repositories(source: SourceCraft):
    return [repo async for repo in source.repositories("org")]


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (all_runs, "the list of runs of org/repo"),
        (all_repositories, "the list of repositories of org"),
    ],
)
@pytest.mark.parametrize(
    ("items", "pages"),
    [
        (lambda _number: [], 100),
        (lambda _number: [None], 100),
        (lambda _number: ["1", "2"], 101),
        (lambda number: [str(number % 3)], 103),
        (lambda number: [str(number)] if number <= 50 else [], 150),
    ],
    ids=["empty", "flawed", "the same", "in turn", "empty after a while"],
)
def test_a_list_that_brings_nothing_new_for_a_hundred_pages_is_a_bad_answer(
    ask, what, items, pages
):
    error, requests = asking(endless(items), ask)
    assert type(error) is BadAnswer
    assert str(error) == f"{what}: 100 pages in a row brought nothing new"
    assert len(requests) == pages


def test_a_list_may_have_many_empty_pages_before_its_last():
    numbers = itertools.count(1)

    async def script(_request, writer) -> None:
        number = next(numbers)
        page = {"runs": [{"slug": "1"}]} if number == 100 else {"next_page_token": f"t{number}"}
        writer.write(answer_json(page))

    found, requests = asking(script, all_runs)
    assert [run.key.run for page in found for run in page] == ["1"]
    assert len(requests) == 100


def test_a_name_that_is_too_long_for_a_url_is_a_bad_answer_and_not_asked_for():
    error, requests = asking(
        always(EMPTY_RUN), lambda source: source.run(RunKey(REPO, "7" * 70_000))
    )
    assert type(error) is BadAnswer
    assert str(error).endswith(" of org/repo: a name or page token is too long to be asked for")
    assert len(str(error)) < 150
    assert requests == []


def test_a_page_token_that_is_too_long_for_a_url_is_a_bad_answer():
    page = answer_json({"runs": [{"slug": "1"}], "next_page_token": "t" * 70_000})
    error, requests = asking(always(page), all_runs)
    assert type(error) is BadAnswer
    assert len(requests) == 1
