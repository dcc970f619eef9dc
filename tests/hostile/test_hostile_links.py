"""Links that lapse, lead nowhere or ask to come again: the right file or a truthful failure."""

from __future__ import annotations

import email.utils
import socket
import time
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from collections.abc import Callable

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


def test_a_file_that_is_gone_upstream_is_told_as_gone(trial: Trial) -> None:
    gone = {str(code): File(CONTENT, store_error(code, "NoSuchKey")) for code in (404, 410)}
    trial.service.run({**gone, "app.bin": OTHER})
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.counts) == (1, (3, 1, 0, 2))
    assert outcome.reasons_by("local_path") == {"404": "gone", "410": "gone"}
    assert trial.place().read_bytes() == OTHER


def test_a_404_of_a_link_that_a_fresh_one_cures(trial: Trial) -> None:
    trial.service.file(CONTENT, in_turn(store_error(404, "NoSuchKey"), honest))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_a_link_that_is_none_is_a_link_failure(trial: Trial) -> None:
    texts = ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://", "//x/y", "x", "http://[::1", " "]
    files = {f"of {text!r}".replace("/", "-"): File(CONTENT, url=_always(text)) for text in texts}
    trial.service.run({**files, "empty": File(url=_always("")), "null": File(url=_always(None))})
    cube = "/repos/org/repo/cicd/artifacts/1/build/linux/compile"
    trial.service.api_behaviour[cube] = status(404)
    outcome = trial.sync()
    assert outcome.exit_code == 1
    assert outcome.reasons_by("local_path") == dict.fromkeys([*files, "empty", "null"], "link")
    assert trial.has_nothing()


def _always(text: str | None) -> Callable[[str], str | None]:
    return lambda _: text


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


def test_retry_after_in_seconds_is_waited_for(trial: Trial) -> None:
    busy = {f"{code}": in_turn(status(code, Retry_After="1"), honest) for code in (429, 503)}
    files = {name: File(CONTENT, behaviour) for name, behaviour in busy.items()}
    trial.service.run(files)
    assert trial.sync().counts == (2, 2, 0, 0)
    for file in files.values():
        first, second = file.visits
        assert second.monotonic - first.monotonic >= 1


def test_retry_after_as_a_date_is_waited_for(trial: Trial) -> None:
    moments = []

    def later(visit: Visit) -> None:
        moments.append(int(time.time()) + 2)
        date = email.utils.formatdate(moments[-1], usegmt=True)
        status(503, Retry_After=date)(visit)

    file = trial.service.file(CONTENT, in_turn(later, honest))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)
    assert file.visits[1].wall >= moments[0]


def test_a_retry_after_that_makes_no_sense_hangs_nothing(trial: Trial) -> None:
    texts = ["soon", "-5", "", "NaN", "Fri, 31 Feb 2026 99:00:00 GMT", "1e9"]
    files = {
        f"{n}": File(CONTENT, in_turn(status(503, Retry_After=text), honest))
        for n, text in enumerate(texts)
    }
    ages = File(CONTENT, status(503, Retry_After="99999999999999999999"))
    trial.service.run({**files, "ages": ages})
    outcome = trial.sync()
    assert outcome.exit_code == 1
    assert outcome.reasons_by("local_path") == {"ages": "throttled"}


def test_an_origin_that_is_always_busy_is_told_as_throttled(trial: Trial) -> None:
    codes = (429, 500, 502, 503, 504)
    files = {f"{code}": File(CONTENT, store_error(code, "SlowDown")) for code in codes}
    trial.service.run(files)
    outcome = trial.sync()
    assert outcome.exit_code == 1
    assert outcome.reasons_by("local_path") == dict.fromkeys(files, "throttled")
    assert {len(file.visits) for file in files.values()} == {3}
    assert trial.has_nothing()


def test_500_then_fine(trial: Trial) -> None:
    trial.service.file(CONTENT, in_turn(status(500), honest))
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)
