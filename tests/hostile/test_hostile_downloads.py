"""A file origin that cuts, lies and stalls: the right file or a truthful failure, a row a test."""

from __future__ import annotations

import base64
import email.utils
import gzip
import hashlib
import json
import random
import socket
import struct
import time
from collections.abc import Callable
from functools import partial

import crc32c
import pytest
from behaviours import (
    Behaviour,
    Visit,
    chunked,
    cut,
    dripping,
    etag_of,
    flipped,
    full_headers,
    honest,
    in_turn,
    part,
    raw,
    redirect,
    serving,
    stall,
    status,
    store_error,
    store_error_page,
    until_close,
    when_resumed,
    whole,
)
from hostile_server import HostileServer
from hostile_service import File, Service
from trial import Trial

CONTENT = random.Random(1).randbytes(300_001)
OTHER = random.Random(2).randbytes(300_001)
HALF = 150_000
ALL = f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"


def ranges(file: File) -> list[str | None]:
    return [visit.header("range") for visit in file.visits]


# cuts


def test_cut_at_half_then_fine_fetches_only_the_rest(trial: Trial) -> None:
    file = trial.service.file(CONTENT, in_turn(cut(HALF), honest))
    assert trial.sync().counts == (1, 1, 0, 0)
    assert trial.has(CONTENT)
    assert ranges(file) == [None, f"bytes={HALF}-"]
    assert file.visits[1].header("if-range") == etag_of(CONTENT)
    assert file.served == len(CONTENT)


def test_a_connection_that_is_reset_at_half_is_gone_on_with(trial: Trial) -> None:
    trial.service.file(CONTENT, in_turn(cut(HALF, reset=True), honest))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_always_cut_without_progress_is_a_cut(trial: Trial) -> None:
    file = trial.service.file(CONTENT, in_turn(cut(HALF), cut(0)))
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["cut"])
    assert trial.has_nothing()
    assert trial.staged() == HALF
    assert len(file.visits) == 3


def test_always_cut_but_further_each_time_arrives_in_the_end(trial: Trial) -> None:
    content = random.Random(3).randbytes(9 << 20)
    file = trial.service.file(content, cut(3 << 19))
    assert trial.sync().exit_code == 0
    assert trial.has(content)
    assert file.served == len(content)


def test_what_was_cut_in_one_pass_is_gone_on_with_in_the_next(trial: Trial) -> None:
    file = trial.service.file(CONTENT, in_turn(cut(HALF), cut(0), cut(0), honest))
    assert trial.sync().reasons == ["cut"]
    assert trial.sync().counts == (1, 1, 0, 0)
    assert trial.has(CONTENT)
    assert file.served == len(CONTENT)


def test_an_early_end_without_a_validator_starts_over(trial: Trial) -> None:
    file = trial.service.file(CONTENT, in_turn(cut(HALF), honest), ETag="")
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)
    assert ranges(file) == [None, None]


def test_a_weak_validator_is_not_resumed_with(trial: Trial) -> None:
    file = trial.service.file(CONTENT, in_turn(cut(HALF), honest), ETag='W/"weak"')
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)
    assert ranges(file) == [None, None]


def test_chunked_is_whole_with_its_last_chunk(trial: Trial) -> None:
    trial.service.file(CONTENT, chunked())
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_chunked_always_without_its_last_chunk_is_a_cut(trial: Trial) -> None:
    trial.service.file(CONTENT, chunked(last=False))
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["cut"])
    assert trial.has_nothing()


def test_chunked_without_its_last_chunk_then_fine(trial: Trial) -> None:
    trial.service.file(CONTENT, in_turn(chunked(last=False, count=HALF), honest))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


@pytest.mark.parametrize("count", [HALF, None])
def test_no_length_and_no_marked_end_is_never_believed(trial: Trial, count: int | None) -> None:
    trial.service.file(CONTENT, until_close(count))
    outcome = trial.sync()
    assert outcome.exit_code == 1
    assert set(outcome.reasons) <= {"cut", "bad_response"}
    assert trial.has_nothing()


def test_no_length_and_closed_early_then_fine(trial: Trial) -> None:
    trial.service.file(CONTENT, in_turn(until_close(HALF), honest))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_one_bad_file_stops_no_other(trial: Trial) -> None:
    trial.service.run({"bad": File(CONTENT, cut(0)), "good": OTHER})
    trial.service.run({"app.bin": CONTENT}, "2")
    outcome = trial.sync()
    assert (outcome.counts, outcome.reasons) == ((3, 2, 0, 1), ["cut"])
    assert trial.place("good").read_bytes() == OTHER
    assert trial.has(CONTENT, run="2")


# resuming


def test_a_server_that_ignores_the_range_is_taken_from_the_start(trial: Trial) -> None:
    trial.service.file(CONTENT, in_turn(cut(HALF), whole))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_content_changed_at_the_same_size_is_fetched_anew(trial: Trial) -> None:
    file = trial.service.file(CONTENT, in_turn(cut(HALF), serving(OTHER)))
    trial.also_right = {OTHER}
    assert trial.sync().exit_code == 0
    assert trial.has(OTHER)
    assert file.visits[1].header("if-range") == etag_of(CONTENT)


def test_a_206_although_if_range_does_not_match_is_not_appended(trial: Trial) -> None:
    liar = part(HALF, f"bytes {HALF}-{len(OTHER) - 1}/{len(OTHER)}", ETag=etag_of(OTHER))
    behaviour = in_turn(cut(HALF), serving(OTHER, when_resumed(liar)))
    trial.service.file(CONTENT, behaviour)
    trial.also_right = {OTHER}
    assert trial.sync().exit_code == 0
    assert trial.has(OTHER)


def test_a_206_of_other_content_without_a_validator_is_found_out_by_the_digest(
    trial: Trial,
) -> None:
    liar = part(HALF, f"bytes {HALF}-{len(OTHER) - 1}/{len(OTHER)}", ETag="", Repr_Digest="")
    first = serving(CONTENT, cut(HALF), Repr_Digest=_structured(CONTENT))
    behaviour = serving(OTHER, when_resumed(liar), Repr_Digest=_structured(OTHER))
    trial.service.file(CONTENT, in_turn(first, behaviour))
    trial.also_right = {OTHER}
    assert trial.sync().exit_code == 0
    assert trial.has(OTHER)


@pytest.mark.parametrize(
    ("start", "label"),
    [
        (HALF - 1, f"bytes {HALF - 1}-{len(CONTENT) - 1}/{len(CONTENT)}"),
        (HALF + 1, f"bytes {HALF + 1}-{len(CONTENT) - 1}/{len(CONTENT)}"),
        (0, ALL),
        (HALF, f"bytes {HALF}-{len(CONTENT)}/{len(CONTENT) + 1}"),
        (HALF, f"bytes {HALF}-{len(CONTENT) - 2}/{len(CONTENT) - 1}"),
        (HALF, "bytes wrong"),
        (HALF, ""),
        (HALF, f"bytes {len(CONTENT) - 1}-{HALF}/{len(CONTENT)}"),
    ],
    ids=[
        "offset-low",
        "offset-high",
        "offset-0",
        "total-high",
        "total-low",
        "garbled",
        "none",
        "backwards",
    ],
)
def test_a_206_with_a_wrong_offset_or_total_starts_over(
    trial: Trial, start: int, label: str
) -> None:
    trial.service.file(CONTENT, in_turn(cut(HALF), when_resumed(part(start, label))))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_a_206_that_nobody_asked_for_is_refused(trial: Trial) -> None:
    trial.service.file(CONTENT, part(0, ALL))
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["bad_response"])
    assert trial.has_nothing()


def test_a_206_with_a_digest_of_its_part_is_the_right_rest(trial: Trial) -> None:
    rest = CONTENT[HALF:]
    label = f"bytes {HALF}-{len(CONTENT) - 1}/{len(CONTENT)}"
    digests = {"Content_Digest": _structured(rest), "Content_MD5": _md5(rest)}
    file = trial.service.file(CONTENT, in_turn(cut(HALF), part(HALF, label, **digests)))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)
    assert file.served == len(CONTENT)


def test_416_on_resume_starts_over(trial: Trial) -> None:
    refusal = status(416, store_error_page("InvalidRange"))
    trial.service.file(CONTENT, in_turn(cut(HALF), when_resumed(refusal)))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_a_file_that_has_shrunk_below_our_offset_is_fetched_anew(trial: Trial) -> None:
    trial.service.file(CONTENT, in_turn(cut(HALF), serving(OTHER[:1000])))
    trial.also_right = {OTHER[:1000]}
    assert trial.sync().exit_code == 0
    assert trial.has(OTHER[:1000])


def test_always_416_is_a_bad_response(trial: Trial) -> None:
    trial.service.file(CONTENT, status(416))
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["bad_response"])
    assert trial.has_nothing()


# links


def test_a_link_that_lapsed_before_the_first_byte_is_renewed(trial: Trial) -> None:
    file = trial.service.file(CONTENT, in_turn(store_error(403, "AccessDenied"), honest))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)
    assert file.visits[0].target != file.visits[1].target
    assert trial.service.api_targets.count(trial.service.runs_path(run="1")) == 2


def test_a_link_that_lapsed_after_half_is_renewed_and_the_download_goes_on_at_its_byte(
    trial: Trial,
) -> None:
    lapsed = store_error(403, "AccessDenied")
    file = trial.service.file(CONTENT, in_turn(cut(HALF), lapsed, honest))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)
    assert ranges(file) == [None, f"bytes={HALF}-", f"bytes={HALF}-"]
    assert file.visits[1].target != file.visits[2].target
    assert file.served == len(CONTENT) + len(store_error_page("AccessDenied"))


def test_an_expired_token_is_a_lapsed_link_too(trial: Trial) -> None:
    trial.service.file(CONTENT, in_turn(store_error(400, "ExpiredToken"), honest))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_a_link_lapsed_on_every_third_request_stops_none_of_ten_files(trial: Trial) -> None:
    requests = iter(range(1, 1000))

    def every_third(visit: Visit) -> None:
        lapsed = next(requests) % 3 == 0
        (store_error(403, "AccessDenied") if lapsed else honest)(visit)

    files = {f"file-{n}": File(CONTENT[n:], every_third) for n in range(10)}
    trial.service.run(files)
    assert trial.sync().counts == (10, 10, 0, 0)
    assert all(trial.has(file.content, name) for name, file in files.items())


def test_a_link_that_is_always_refused_is_a_link_failure(trial: Trial) -> None:
    trial.service.file(CONTENT, store_error(403, "AccessDenied"))
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["link"])
    assert trial.has_nothing()


@pytest.mark.parametrize("code", [404, 410])
def test_a_file_that_is_gone_upstream_is_told_as_gone(trial: Trial, code: int) -> None:
    gone = File(CONTENT, store_error(code, "NoSuchKey"))
    trial.service.run({"gone.bin": gone, "app.bin": OTHER})
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.counts) == (1, (2, 1, 0, 1))
    assert [(f["local_path"], f["reason"]) for f in outcome.failures] == [("gone.bin", "gone")]
    assert trial.place().read_bytes() == OTHER


def test_a_404_of_a_link_that_a_fresh_one_cures(trial: Trial) -> None:
    trial.service.file(CONTENT, in_turn(store_error(404, "NoSuchKey"), honest))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


@pytest.mark.parametrize(
    "url",
    [
        "",
        None,
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "http://",
        "//x/y",
        "nonsense",
        "http://[::1",
    ],
)
def test_a_link_that_is_none_is_a_link_failure(trial: Trial, url: str | None) -> None:
    trial.service.file(CONTENT).url = lambda _: url
    trial.service.api_behaviour["/repos/org/repo/cicd/artifacts/1/build/linux/compile"] = status(
        404
    )
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["link"])
    assert trial.has_nothing()


def test_a_link_that_the_run_lacks_is_asked_of_its_cube(trial: Trial) -> None:
    trial.service.file(CONTENT).url = lambda _: ""
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_an_origin_that_nobody_listens_at_is_unreachable(trial: Trial) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{taken.getsockname()[1]}/x"
        trial.service.file(CONTENT).url = lambda _: dead
        outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (4, ["unreachable"])


# come again later


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_in_seconds_is_waited_for(trial: Trial, code: int) -> None:
    file = trial.service.file(CONTENT, in_turn(status(code, Retry_After="1"), honest))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)
    assert file.visits[1].monotonic - file.visits[0].monotonic >= 1


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_as_a_date_is_waited_for(trial: Trial, code: int) -> None:
    moments = []

    def later(visit: Visit) -> None:
        moments.append(int(time.time()) + 2)
        date = email.utils.formatdate(moments[0], usegmt=True)
        status(code, Retry_After=date)(visit)

    file = trial.service.file(CONTENT, in_turn(later, honest))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)
    assert file.visits[1].wall >= moments[0]


@pytest.mark.parametrize("after", ["soon", "-5", "", "99999999999999999999", "NaN"])
def test_a_retry_after_that_makes_no_sense_hangs_nothing(trial: Trial, after: str) -> None:
    trial.service.file(CONTENT, in_turn(status(503, Retry_After=after), honest))
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) in [(0, []), (1, ["throttled"])]
    assert trial.has(CONTENT) == (outcome.exit_code == 0)


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_an_origin_that_is_always_busy_is_told_as_throttled(trial: Trial, code: int) -> None:
    file = trial.service.file(CONTENT, store_error(code, "SlowDown"))
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["throttled"])
    assert len(file.visits) == 3
    assert trial.has_nothing()


def test_500_then_fine(trial: Trial) -> None:
    trial.service.file(CONTENT, in_turn(status(500), honest))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


# evidence


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _structured(content: bytes) -> str:
    """RFC 9530."""
    return f"sha-256=:{_base64(hashlib.sha256(content).digest())}:"


def _md5(content: bytes) -> str:
    return _base64(hashlib.md5(content, usedforsecurity=False).digest())


def _crc32c(content: bytes) -> str:
    return _base64(struct.pack(">I", crc32c.crc32c(content)))


DIGESTS: dict[str, Callable[[bytes], str]] = {
    "Digest": lambda content: "SHA-256=" + _base64(hashlib.sha256(content).digest()),
    "Repr-Digest": _structured,
    "Content-Digest": _structured,
    "Content-MD5": _md5,
    "x-amz-checksum-sha256": lambda content: _base64(hashlib.sha256(content).digest()),
    "x-amz-checksum-crc32c": _crc32c,
    "x-goog-hash": lambda content: f"crc32c={_crc32c(content)},md5={_md5(content)}",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_a_bit_that_is_always_flipped_is_an_integrity_failure(trial: Trial, name: str) -> None:
    trial.service.file(CONTENT, flipped, **{name: DIGESTS[name](CONTENT)})
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (5, ["integrity"])
    assert trial.has_nothing()


@pytest.mark.parametrize("name", DIGESTS)
def test_a_bit_that_was_flipped_once_is_fetched_again(trial: Trial, name: str) -> None:
    headers = {name: DIGESTS[name](CONTENT)}
    trial.service.file(CONTENT, in_turn(flipped, honest), **headers)
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_a_bit_flipped_in_a_file_that_is_too_big_for_memory_is_found(trial: Trial) -> None:
    content = random.Random(4).randbytes(5 << 20)
    trial.service.file(content, flipped, Repr_Digest=_structured(content))
    assert trial.sync().reasons == ["integrity"]
    assert trial.has_nothing()
    assert trial.staged() == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Repr-Digest", "sha-256=:%%%:"),
        ("Repr-Digest", "snake-oil=:AAAA:"),
        ("Digest", "UNIXsum=30637, , ="),
        ("Content-MD5", "short"),
        ("x-amz-checksum-sha256", "AAAA-12"),
    ],
)
def test_a_digest_that_cannot_be_read_condemns_nothing(
    trial: Trial, name: str, value: str
) -> None:
    trial.service.file(CONTENT, **{name: value})
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


@pytest.mark.parametrize("value", [hashlib.md5(OTHER).hexdigest(), "0" * 32 + "-3"])
def test_an_md5_shaped_etag_that_is_not_the_md5_condemns_nothing(trial: Trial, value: str) -> None:
    trial.service.file(CONTENT, ETag=f'"{value}"')
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


# what the body is


@pytest.mark.parametrize("code", ["InternalError", "AccessDenied", "NoSuchKey", "SomethingNew"])
def test_200_with_an_object_stores_error_is_never_the_file(trial: Trial, code: str) -> None:
    trial.service.file(CONTENT, store_error(200, code))
    outcome = trial.sync()
    assert outcome.exit_code == 1
    assert set(outcome.reasons) <= {"error_page", "link", "gone", "throttled"}
    assert trial.has_nothing()


def test_200_with_an_object_stores_error_once_then_the_file(trial: Trial) -> None:
    trial.service.file(CONTENT, in_turn(store_error(200, "AccessDenied"), honest))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_artifacts_that_are_xml_or_html_work(trial: Trial) -> None:
    page = b"<!DOCTYPE html><html><body><h1>Error</h1></body></html>"
    junit = b'<?xml version="1.0"?>\n<testsuite errors="1"><testcase name="Error"/></testsuite>'
    files = {
        "error.xml": store_error_page("AccessDenied"),
        "report.html": page,
        "reports/junit.xml": junit,
        "coverage": page,
        "results": junit,
    }
    trial.service.run(dict(files))
    assert trial.sync().counts == (5, 5, 0, 0)
    assert all(trial.has(content, name) for name, content in files.items())


def test_gzip_is_kept_as_it_was_served_and_labelled(trial: Trial) -> None:
    packed = gzip.compress(CONTENT)
    trial.service.file(packed, Content_Encoding="gzip")
    assert trial.sync().exit_code == 0
    assert trial.has(packed)
    about = json.loads((trial.manifest().parent / "run.json").read_text())
    assert "gzip" in json.dumps(about)
    assert all(v.header("accept-encoding") == "identity" for v in trial.service.origin.requests)


@pytest.mark.parametrize(
    "value", ["attachment; filename=../../x", "attachment; filename*=UTF-8''%2e%2e%2f%2e%2e%2fx"]
)
def test_content_disposition_names_nothing(trial: Trial, value: str) -> None:
    trial.service.file(CONTENT, Content_Disposition=value)
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)
    assert trial.files() == [trial.place()]


@pytest.mark.parametrize("behaviour", [honest, chunked()], ids=["length", "chunked"])
def test_an_empty_file_is_a_file(trial: Trial, behaviour: Behaviour) -> None:
    trial.service.file(b"", behaviour)
    assert trial.sync().counts == (1, 1, 0, 0)
    assert trial.has(b"")


# redirects


def test_a_redirect_to_another_host_is_followed_without_the_token(trial: Trial) -> None:
    def elsewhere(request: object, wire: object) -> None:
        honest(Visit(request, wire, 1, CONTENT))  # type: ignore[arg-type] # the server's own

    with HostileServer(elsewhere) as stranger:
        target = f"http://localhost:{stranger.port}/x?sig=LINKSECRET"
        trial.service.file(CONTENT, redirect(target))
        outcome = trial.sync()
        assert [request.header("authorization") for request in stranger.requests] == [None]
    assert outcome.exit_code == 0
    assert trial.has(CONTENT)


def test_a_redirect_loop_ends(trial: Trial) -> None:
    loop: Behaviour = lambda visit: redirect(visit.request.target)(visit)  # noqa: E731 - one line
    file = trial.service.file(CONTENT, loop)
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["bad_response"])
    assert len(file.visits) < 50
    assert trial.has_nothing()


@pytest.mark.parametrize("target", ["file:///etc/passwd", "", "http://", "\x01", "gopher://x/"])
def test_a_redirect_to_nowhere_is_refused(trial: Trial, target: str) -> None:
    trial.service.file(CONTENT, redirect(target))
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["bad_response"])


def test_https_works_with_a_bundle_of_ones_own(secure_trial: Trial) -> None:
    secure_trial.service.file(CONTENT)
    assert secure_trial.sync().exit_code == 0
    assert secure_trial.has(CONTENT)


def test_https_with_a_stranger_s_certificate_is_refused(secure_trial: Trial) -> None:
    secure_trial.env.clear()
    file = secure_trial.service.file(CONTENT)
    outcome = secure_trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (4, ["unreachable"])
    assert file.visits == []


def test_a_redirect_from_https_to_http_is_refused(secure_trial: Trial) -> None:
    def elsewhere(request: object, wire: object) -> None:
        honest(Visit(request, wire, 1, CONTENT))  # type: ignore[arg-type] # the server's own

    with HostileServer(elsewhere) as plain:
        secure_trial.service.file(CONTENT, redirect(f"{plain.origin}/x"))
        outcome = secure_trial.sync()
        assert plain.requests == []
    assert (outcome.exit_code, outcome.reasons) == (1, ["bad_response"])
    assert secure_trial.has_nothing()


# time


@pytest.mark.parametrize("after", [None, HALF], ids=["before-the-head", "after-half"])
def test_a_stall_with_no_byte_is_a_timeout(trial: Trial, after: int | None) -> None:
    trial.env |= {"DOWNLOAD__TIMEOUT": "1s", "DOWNLOAD__ATTEMPTS": "2"}
    trial.service.file(CONTENT, when_resumed(stall(), otherwise=stall(after=after)))
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["timeout"])
    assert trial.has_nothing()


def test_a_stall_after_half_is_gone_on_with(trial: Trial) -> None:
    trial.env |= {"DOWNLOAD__TIMEOUT": "1s"}
    file = trial.service.file(CONTENT, in_turn(stall(after=HALF), honest))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)
    assert file.served == len(CONTENT)


def test_one_byte_a_second_does_not_time_out(trial: Trial) -> None:
    file = trial.service.file(b"sixsix", dripping(1))
    assert trial.sync().exit_code == 0
    assert trial.has(b"sixsix")
    assert len(file.visits) == 1


# not quite HTTP


def _bloated(visit: Visit, count: int, size: int) -> None:
    bloat = [(f"X-Bloat-{number}", "x" * size) for number in range(count)]
    visit.wire.head(200, [*full_headers(visit).items(), *bloat])
    visit.wire.body(visit.content)


@pytest.mark.parametrize(("count", "size"), [(1, 1 << 20), (10_000, 100)])
def test_headers_of_a_megabyte_are_refused_quickly(trial: Trial, count: int, size: int) -> None:
    trial.service.file(CONTENT, partial(_bloated, count=count, size=size))
    begin = time.monotonic()
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["bad_response"])
    assert time.monotonic() - begin < 15
    assert trial.has_nothing()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 204 Nothing\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        b"HTTP/1.1 999 Eh\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_what_is_not_quite_http_is_no_file(trial: Trial, answer: bytes) -> None:
    trial.service.file(b"hello", raw(answer))
    outcome = trial.sync()
    assert outcome.exit_code in {1, 4}
    assert set(outcome.reasons) <= {"bad_response", "cut", "unreachable"}
    assert trial.has_nothing()


def test_more_bytes_than_announced_are_not_part_of_the_file(trial: Trial) -> None:
    trial.service.file(b"hello", raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, you"))
    assert trial.sync().exit_code == 0
    assert trial.has(b"hello")


def test_interim_answers_are_passed_over(trial: Trial) -> None:
    def interim(visit: Visit) -> None:
        visit.wire.raw(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 3)
        honest(visit)

    trial.service.file(CONTENT, interim)
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_a_link_is_sent_byte_for_byte(trial: Trial, service: Service) -> None:
    """Path and query are signed: nothing in them may be normalised."""
    odd = "/a/../b/./c//%7e~%2F;x=1/'()!*,?b=%2f&a=+&c=%20&&=&d=%C3%A9&e=%c3%a9&q=a:b@c/?"
    file = service.file(CONTENT)
    service.lead(odd, file)
    file.url = lambda _: service.origin.origin + odd
    assert trial.sync().exit_code == 0
    assert [visit.target for visit in file.visits] == [odd]
