"""Redirects, stalls and what is hardly HTTP: the right file or a truthful failure."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from behaviours import (
    Behaviour,
    Visit,
    dripping,
    full_headers,
    honest,
    in_turn,
    raw,
    redirect,
    stall,
    when_resumed,
)
from hostile_server import HostileServer
from hostile_service import File
from trial import Trial, noise

if TYPE_CHECKING:
    from hostile_service import Service


CONTENT = noise(1, 300_001)
OTHER = noise(2, 300_001)
HALF = 150_000
ALL = f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"


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


def test_a_redirect_to_nowhere_is_refused(trial: Trial) -> None:
    targets = ["file:///etc/passwd", "", "http://", "\x01", "gopher://x/"]
    files = {str(n): File(CONTENT, redirect(target)) for n, target in enumerate(targets)}
    trial.service.run(files)
    outcome = trial.sync()
    assert outcome.exit_code == 1
    assert outcome.reasons_by("local_path") == dict.fromkeys(files, "bad_response")


def test_https_works_with_a_bundle_of_ones_own(secure_trial: Trial) -> None:
    secure_trial.service.file(CONTENT)
    assert secure_trial.sync().exit_code == 0
    assert secure_trial.has(CONTENT)


def test_https_with_a_stranger_s_certificate_is_refused(secure_trial: Trial) -> None:
    secure_trial.env.clear()
    file = secure_trial.service.file(CONTENT)
    outcome = secure_trial.sync()
    assert (outcome.exit_code, outcome.reasons) in [(1, ["bad_response"]), (4, ["unreachable"])]
    assert "certificate" in outcome.failures[0]["message"]
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


def test_a_stall_with_no_byte_is_a_timeout(trial: Trial) -> None:
    trial.env |= {"DOWNLOAD__TIMEOUT": "1s", "DOWNLOAD__ATTEMPTS": "2"}
    half = when_resumed(stall(), otherwise=stall(after=HALF))
    trial.service.run({"head": File(CONTENT, stall()), "half": File(CONTENT, half)})
    outcome = trial.sync()
    assert outcome.exit_code == 1
    assert outcome.reasons_by("local_path") == {"head": "timeout", "half": "timeout"}
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


def _bloated(visit: Visit, count: int, size: int) -> None:
    bloat = [(f"X-Bloat-{number}", "x" * size) for number in range(count)]
    visit.wire.head(200, [*full_headers(visit).items(), *bloat])
    visit.wire.body(visit.content)


def test_headers_of_a_megabyte_are_refused_quickly(trial: Trial) -> None:
    one, many = partial(_bloated, count=1, size=1 << 20), partial(_bloated, count=10_000, size=100)
    trial.service.run({"one": File(CONTENT, one), "many": File(CONTENT, many)})
    begin = time.monotonic()
    outcome = trial.sync()
    assert outcome.exit_code == 1
    assert outcome.reasons_by("local_path") == {"one": "bad_response", "many": "bad_response"}
    assert time.monotonic() - begin < 40
    assert trial.has_nothing()


NO_HTTP = {
    "nothing": b"",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "tls": b"\x16\x03\x01\x02\x00",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "length in words": b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    "204": b"HTTP/1.1 204 Nothing\r\n\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "999": b"HTTP/1.1 999 Eh\r\nContent-Length: 5\r\n\r\nhello",
    "http1.0 without a length": b"HTTP/1.0 200 OK\r\n\r\nhello",
}


def test_what_is_not_quite_http_is_no_file(trial: Trial) -> None:
    trial.service.run({name: File(b"hello", raw(answer)) for name, answer in NO_HTTP.items()})
    outcome = trial.sync()
    assert outcome.exit_code == 1
    assert set(outcome.reasons_by("local_path")) == set(NO_HTTP)
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
