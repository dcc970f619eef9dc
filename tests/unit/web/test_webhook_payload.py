from __future__ import annotations

import json

import pytest
from web_trial import run_complete

from artifact_sync.domain.model import RepoName
from artifact_sync.web.webhook_payload import (
    PING,
    Malformed,
    OtherEvent,
    RunComplete,
    read_payload,
)

ACME = {"slug": "app", "organization": {"slug": "acme"}}
COMPLETE = {"type": "run.complete", "id": "e1"}


def event(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def test_a_run_that_has_ended_is_read_with_its_repository() -> None:
    assert read_payload(run_complete("7")) == RunComplete(RepoName("acme", "app"), "7", "e1")


def test_a_ping_needs_nothing_but_its_type() -> None:
    assert read_payload(event(header={"type": "webhook.ping"})) == OtherEvent(PING)


@pytest.mark.parametrize(
    ("header", "kind"),
    [(None, ""), ({}, ""), ({"type": None}, ""), ({"type": "issue.opened"}, "issue.opened")],
)
def test_an_event_of_another_type_or_of_none_is_another(header: object, kind: str) -> None:
    assert read_payload(event(header=header, repository=ACME)) == OtherEvent(kind)


def test_the_unsigned_header_counts_only_where_the_body_is_silent() -> None:
    assert read_payload(event(), "webhook.ping") == OtherEvent(PING)
    assert read_payload(
        event(header={"type": "run.complete"}, repository=ACME), "webhook.ping"
    ) == (RunComplete(RepoName("acme", "app")))


@pytest.mark.parametrize("run", [None, {}, {"slug": None}, {"slug": ""}])
def test_an_event_may_lack_its_run_and_its_id(run: object) -> None:
    body = event(header={"type": "run.complete", "id": None}, repository=ACME, run=run)
    assert read_payload(body) == RunComplete(RepoName("acme", "app"), None, None)


def test_numbers_are_taken_for_slugs_and_ids() -> None:
    body = event(header={"type": "run.complete", "id": 5}, repository=ACME, run={"slug": 42})
    assert read_payload(body) == RunComplete(RepoName("acme", "app"), "42", "5")


@pytest.mark.parametrize(
    "repository",
    [None, {}, {"slug": "app"}, {"slug": None, "organization": {"slug": "acme"}},
     {"slug": "app", "organization": {}}],
)  # fmt: skip
def test_a_run_of_no_repository_is_malformed(repository: object) -> None:
    with pytest.raises(Malformed):
        read_payload(event(header=COMPLETE, repository=repository))


@pytest.mark.parametrize(
    "slug", ["a/b", "..", ".", "a b", "a\nb", "a\x1b[31m", "\u202egpj", "x" * 256, "a\x00", "*\t"]
)
def test_a_slug_that_could_do_harm_never_comes_out(slug: str) -> None:
    where = [
        {"repository": {"slug": slug, "organization": {"slug": "acme"}}},
        {"repository": {"slug": "app", "organization": {"slug": slug}}},
        {"repository": ACME, "run": {"slug": slug}},
    ]
    for fields in where:
        with pytest.raises(Malformed) as caught:
            read_payload(event(header=COMPLETE, **fields))
        assert slug not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"header": 5}',
        b'{"header": {"type": "\xff"}}',
        b'{"header": {"id": "\\ud800"}}',
        b"\xff\xfe",
        b"[" * 1_000_000,
        b'{"x":' * 200_000,
        b'{"header":' * 200_000,
        b'{"header": {"id": ' + b"9" * 5000 + b"}}",
    ],
)
def test_what_is_no_event_is_malformed_and_not_repeated(body: bytes) -> None:
    with pytest.raises(Malformed, match=r"^not JSON, or not of an event's form$"):
        read_payload(body)
