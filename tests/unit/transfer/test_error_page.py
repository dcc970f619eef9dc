"""Telling an object store's error from a file, and what answers mean for the next try."""

from __future__ import annotations

import time

import pytest

from artifact_sync.domain.errors import (
    BadResponse,
    ErrorPage,
    LinkGone,
    LinkLapsed,
    RangeMismatch,
    RefusedResponse,
    Throttled,
    Verdict,
)
from artifact_sync.transfer.error_page import (
    failure_of_status,
    failure_of_store_error,
    store_error,
    verdict_of_store_code,
)

PAGE = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>"
    b"<Resource>/bucket/secret-path?X-Amz-Signature=abc</Resource></Error>"
)


def document(code: str) -> bytes:
    return f"<Error><Code>{code}</Code></Error>".encode()


@pytest.mark.parametrize(
    "head",
    [
        PAGE,
        b"\xef\xbb\xbf" + PAGE,
        b" \r\n\t<Error><Code>NoSuchKey</Code></Error>",
        b"<Error><Code>NoSuchKey</Code>",
        b"<Error>\n  <Code> NoSuchKey </Code>\n</Error>",
        b'<Error xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Code>NoSuchKey</Code></Error>',
        b"<?xml version='1.0'?><!-- a --> <!-- b --><Error><Code>NoSuchKey</Code></Error>",
        b"<Error><Message>first</Message><Code>NoSuchKey</Code></Error>",
    ],
)
@pytest.mark.parametrize("path", ["x.tar.gz", "report", "./dist/", "xml", "a.xml/b", "x.xml.gz"])
def test_an_object_stores_error_is_told_by_its_code(head, path):
    assert store_error(head, path) == "NoSuchKey"


@pytest.mark.parametrize(
    "path",
    [
        "error.xml",
        "a/error.XML",
        "./report.xml/",
        "index.html",
        "x.xhtml",
        "logo.svg",
        "feed.rss",
        "x.xsl",
        "x.plist",
        "x.nuspec",
        "App.csproj",
    ],
)
def test_an_artifact_that_is_xml_by_its_name_may_hold_anything(path):
    assert store_error(PAGE, path) is None


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x1f\x8b\x08",
        b"plain text <Error><Code>NoSuchKey</Code></Error>",
        b'<?xml version="1.0"?><testsuites><Error><Code>X</Code></Error></testsuites>',
        b"<testsuites></testsuites>",
        b"<!DOCTYPE html><html></html>",
        b"<Error></Error>",
        b"<Error><Message>no code</Message></Error>",
        b"<Error><Code></Code></Error>",
        b"<Error><Code>two words</Code></Error>",
        b"<Error><Code>\x1b[31m</Code></Error>",
        b"<Error><Code>" + b"A" * 100 + b"</Code></Error>",
        b"<Errors><Code>NoSuchKey</Code></Errors>",
        b"<ErrorReport><Code>NoSuchKey</Code></ErrorReport>",
        b"<error><code>NoSuchKey</code></error>",
        b"<!-- <Error> --><a><Code>NoSuchKey</Code></a>",
        b"<!-- a --> x --><Error><Code>NoSuchKey</Code></Error>",
        b"<Error>" + b" " * 5000 + b"<Code>NoSuchKey</Code></Error>",
    ],
)
def test_anything_else_is_a_file(head):
    assert store_error(head, "report") is None


@pytest.mark.parametrize(
    "head",
    [
        b" " * 1_000_000,
        b"<!--" * 250_000,
        b"<!---->" * 150_000,
        b"<Error>" + b"<Code>" * 150_000,
        b"<Error " * 150_000,
        b"<?xml " * 150_000,
    ],
)
def test_a_hostile_body_takes_no_noticeable_time(head):
    began = time.process_time()
    assert store_error(head, "x") is None
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AccessDenied", LinkLapsed),
        ("ExpiredToken", LinkLapsed),
        ("InvalidToken", LinkLapsed),
        ("RequestTimeTooSkewed", LinkLapsed),
        ("SignatureDoesNotMatch", LinkLapsed),
        ("NoSuchKey", LinkGone),
        ("NoSuchBucket", LinkGone),
        ("SlowDown", Throttled),
        ("TooManyRequests", Throttled),
        ("InternalError", Throttled),
        ("ServiceUnavailable", Throttled),
        ("RequestTimeout", Throttled),
        ("InvalidArgument", ErrorPage),
        ("nosuchkey", ErrorPage),
        ("", ErrorPage),
    ],
)
def test_a_stores_code_decides_what_is_done_next(code, kind):
    assert verdict_of_store_code(code) is kind
    assert type(failure_of_store_error(code)) is kind


def test_an_error_document_with_200_is_named_by_its_code_alone():
    assert str(failure_of_store_error("NoSuchKey")) == (
        "the file's server sent an error document (NoSuchKey) in place of the file"
    )


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (100, BadResponse),
        (101, BadResponse),
        (201, BadResponse),
        (204, BadResponse),
        (205, BadResponse),
        (301, BadResponse),
        (304, BadResponse),
        (400, RefusedResponse),
        (401, LinkLapsed),
        (402, RefusedResponse),
        (403, LinkLapsed),
        (404, LinkGone),
        (405, RefusedResponse),
        (407, RefusedResponse),
        (408, Throttled),
        (410, LinkGone),
        (412, RangeMismatch),
        (416, RangeMismatch),
        (425, Throttled),
        (429, Throttled),
        (451, RefusedResponse),
        (499, RefusedResponse),
        (500, Throttled),
        (501, Throttled),
        (502, Throttled),
        (503, Throttled),
        (504, Throttled),
        (599, Throttled),
        (600, BadResponse),
        (999, BadResponse),
    ],
)
def test_a_status_decides_what_is_done_next(status, kind):
    failure = failure_of_status(status, b"", None)
    assert type(failure) is kind
    assert str(failure) == f"the file's server answered {status}"
    assert failure.retry_after is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ExpiredToken", LinkLapsed),
        ("RequestTimeTooSkewed", LinkLapsed),
        ("AuthorizationQueryParametersError", LinkLapsed),
        ("RequestTimeout", Throttled),
        ("InvalidArgument", RefusedResponse),
        ("NoSuchKey", RefusedResponse),
    ],
)
def test_a_400_is_judged_by_the_stores_code(code, kind):
    assert type(failure_of_status(400, document(code), None)) is kind


def test_no_code_overrules_any_other_status():
    assert type(failure_of_status(403, document("SlowDown"), None)) is LinkLapsed
    assert type(failure_of_status(404, document("AccessDenied"), None)) is LinkGone
    assert type(failure_of_status(503, document("NoSuchKey"), None)) is Throttled


def test_the_message_is_never_what_decides():
    page = b"<Error><Code>Odd</Code><Message>ExpiredToken: Request has expired</Message></Error>"
    assert failure_of_status(400, page, None).verdict is Verdict.PERMANENT


def test_the_error_names_status_and_code_and_no_part_of_the_link():
    failure = failure_of_status(404, PAGE, None)
    assert str(failure) == "the file's server answered 404 (NoSuchKey)"
    assert failure.what == str(failure)


def test_a_wait_that_the_server_asks_for_is_kept_where_waiting_helps():
    assert failure_of_status(429, b"", 7.5).retry_after == 7.5
    assert failure_of_status(503, PAGE, 0.0).retry_after == 0.0
    assert failure_of_status(403, b"", 7.5).retry_after is None
