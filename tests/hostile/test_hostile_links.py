"""Links that lapse, lead nowhere or ask to come again: the right file or a truthful failure."""

from __future__ import annotations

import email.utils
import socket
import time

import pytest
from behaviours import (
    Visit,
    cut,
    honest,
    in_turn,
    status,
    store_error,
    store_error_page,
)
from hostile_service import File
from trial import Trial, noise

CONTENT = noise(1, 300_001)
OTHER = noise(2, 300_001)
HALF = 150_000
ALL = f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"


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
    assert file.ranges == [None, f"bytes={HALF}-", f"bytes={HALF}-"]
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
