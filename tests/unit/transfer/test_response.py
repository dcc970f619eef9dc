"""What a link may answer, and what is not believed."""

from __future__ import annotations

from typing import Any

import pytest

from artifact_sync.domain.errors import BadResponse, RangeMismatch
from artifact_sync.domain.model import Validator
from artifact_sync.domain.ports import Framing, Opened
from artifact_sync.transfer.evidence import Identity
from artifact_sync.transfer.response import accept, accept_part

STAGED = Identity(Validator('"e"'), 100, host="h")
NOTHING: Any = None


def opened(status: int, framing: Framing = "length", **headers: str) -> Opened:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Opened(status, named, framing, NOTHING)


def rest(**headers: str) -> Opened:
    return opened(206, **{"etag": '"e"', "content_range": "bytes 40-99/100"} | headers)


def test_a_200_is_the_whole_file_whatever_was_asked_for() -> None:
    body = accept(opened(200, content_length="7", etag='"new"'), STAGED, 40, "h")
    assert (body.offset, body.length, body.total) == (0, 7, 7)
    assert body.identity.validator == Validator('"new"')


def test_a_chunked_body_has_no_length_until_its_end() -> None:
    body = accept(opened(200, "chunked"), STAGED, 0, "h")
    assert (body.offset, body.length, body.total) == (0, None, None)


def test_a_body_whose_end_nothing_marks_is_refused() -> None:
    with pytest.raises(BadResponse, match="a cut would go unnoticed"):
        accept(opened(200, "close"), STAGED, 0, "h")


def test_a_206_is_the_rest_of_what_is_staged() -> None:
    body = accept(rest(content_length="60"), STAGED, 40, "h")
    assert (body.offset, body.length, body.total) == (40, 60, 100)
    assert body.identity == STAGED


def test_a_206_may_tell_the_total_that_the_first_answer_did_not() -> None:
    staged = Identity(Validator('"e"'), None)
    assert accept(rest(), staged, 40, "h").total == 100


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"content_range": ""}, "not which"),
        ({"content_range": "bytes 41-99/100"}, "at byte 41, not at 40"),
        ({"content_range": "bytes 40-98/99"}, "now 99 bytes long, not 100"),
        ({"content_length": "59"}, "contradict"),
        ({"etag": '"other"'}, "may have changed"),
        ({"etag": ""}, "may have changed"),
    ],
)
def test_a_206_that_is_anything_else_is_not_believed(headers: dict[str, str], why: str) -> None:
    with pytest.raises(RangeMismatch, match=why):
        accept(rest(**headers), STAGED, 40, "h")


def test_a_206_of_unknown_total_is_not_believed_where_none_is_known() -> None:
    staged = Identity(Validator('"e"'), None)
    with pytest.raises(RangeMismatch, match="how long the whole file is"):
        accept(rest(content_range="bytes 40-99/*"), staged, 40, "h")


def test_without_an_etag_the_date_of_the_last_change_must_be_the_same() -> None:
    staged = Identity(Validator("", "Mon, 23 Nov 2026 20:00:00 GMT"), 100)
    same = rest(etag='"x"', last_modified="Mon, 23 Nov 2026 20:00:00 GMT")
    assert accept(same, staged, 40, "h").offset == 40
    for other in ("Mon, 23 Nov 2026 20:00:01 GMT", ""):
        with pytest.raises(RangeMismatch, match="may have changed"):
            accept(rest(last_modified=other), staged, 40, "h")


def test_a_part_that_was_not_asked_for_is_not_believed() -> None:
    with pytest.raises(RangeMismatch, match="not asked for"):
        accept(rest(), STAGED, 0, "h")


def test_a_part_of_the_very_file_is_accepted() -> None:
    accept_part(rest(content_length="60"), STAGED, 40, 99)
    accept_part(rest(content_range="bytes 40-49/*"), STAGED, 40, 49)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (opened(200, content_length="100", etag='"e"'), "the whole file"),
        (rest(content_range="bytes 40-98/100"), "59 bytes, not 60"),
        (rest(content_range="bytes 39-98/100"), "at byte 39, not at 40"),
        (rest(content_range="bytes 40-99/101"), "now 101 bytes long, not 100"),
        (rest(content_length="59"), "contradict each other"),
        (rest(etag='"f"'), "may have changed"),
        (rest(etag=""), "may have changed"),
        (rest(content_range=""), "not which"),
    ],
)
def test_a_part_is_judged_as_strictly_as_a_resume(answer: Opened, why: str) -> None:
    with pytest.raises(RangeMismatch, match=why):
        accept_part(answer, STAGED, 40, 99)


def test_a_part_that_brings_a_new_checksum_is_left_to_a_resume_which_hears_it() -> None:
    digest = "sha-256=:" + "A" * 43 + "=:"
    with pytest.raises(RangeMismatch, match="something else of the file"):
        accept_part(rest(repr_digest=digest), STAGED, 40, 99)
    claims = accept(rest(repr_digest=digest), STAGED, 40, "h").identity.claims
    assert [claim.algorithm for claim in claims] == ["sha-256"]
    known = Identity(STAGED.validator, 100, claims, host="h")
    accept_part(rest(repr_digest=digest), known, 40, 99)
