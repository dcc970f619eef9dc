"""Logs of cubes that lie, never end, hold what no terminal should get, or are of a wrong type."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from behaviours import Behaviour, Visit, api_error, status
from hostile_service import File

if TYPE_CHECKING:
    from pathlib import Path

    from trial import Trial

TASK = "org/repo/1/build/linux"
ODD = 'a\x00b\x1b[31mred\x07 \ud800 lone "quoted" é\r\n'


def page(logs: Any, *, complete: Any = True, done: Any = False) -> bytes:
    return json.dumps({"logs": logs, "page_complete": complete, "done": done}).encode()


def paged(*pages: bytes | Behaviour, beyond: bytes | Behaviour | None = None) -> Behaviour:
    """Pages by their numbers, and what every later one is; 404 where that is nothing."""
    further = beyond if beyond is not None else api_error(404)

    def behave(visit: Visit) -> None:
        (number,) = parse_qs(visit.request.query)["page"]
        given = [*pages, *[further] * max(int(number) - len(pages), 0)][int(number) - 1]
        (status(200, given) if isinstance(given, bytes) else given)(visit)

    return behave


def sync_logs(trial: Trial, logs: dict[str, Behaviour], *arguments: str) -> Any:
    cubes = {f"{cube}.bin": File(cube.encode(), cube=("build", "linux", cube)) for cube in logs}
    if "org/repo" not in trial.service.repos:
        trial.service.run(cubes)
    for cube, behaviour in logs.items():
        path = f"/repos/org/repo/cicd/logs/1/build/linux/{cube}"
        trial.service.api_behaviour[path] = behaviour
    trial.env["REPO__LOGS"] = "true"
    return trial.sync(*arguments)


EXPECTED = {
    "odd.log": b'a\x00b\x1b[31mred\x07 \xef\xbf\xbd lone "quoted" \xc3\xa9\r\n',
    "invalid.log": b"a\xef\xbf\xbd\xef\xbf\xbdb",
    "repeats.log": b"1\n2\n",
    "repeats-as-done.log": b"1\n",
    "empty-at-last.log": b"1\n",
    "nothing.log": b"",
    "null.log": b"",
    "as-text.log": b"1\n",
    "unmarked.log": b"1\n",
    "not-complete.log": b"1\n2\n",
}


def files(root: Path) -> dict[str, bytes]:
    return {it.name: it.read_bytes() for it in (root / TASK).glob("*.log")}


def test_a_log_is_kept_as_it_came_and_ends_where_nothing_new_comes(trial: Trial) -> None:
    trial.also_right = set(EXPECTED.values())
    outcome = sync_logs(
        trial,
        {
            "odd": paged(page(ODD, done=True)),
            "invalid": paged(b'{"logs": "a\xff\xfeb", "done": true}'),
            "repeats": paged(page("1\n"), page("2\n"), beyond=page("2\n")),
            "repeats-as-done": paged(page("1\n"), page("1\n", done=True)),
            "empty-at-last": paged(page("1\n"), beyond=page("")),
            "nothing": paged(page("", done=True)),
            "null": paged(b'{"logs": null, "page_complete": null, "done": true}'),
            "as-text": paged(page("1\n", done="true")),
            "unmarked": paged(page("1\n", complete=None, done=None)),
            "not-complete": paged(page("1\n", complete=False), page("2\n", done=True)),
        },
    )
    assert outcome.exit_code == 0, outcome.stderr
    assert files(trial.root) == EXPECTED
    assert "\x1b" not in outcome.stderr


def test_logs_that_make_no_sense_fail_alone(trial: Trial) -> None:
    trial.also_right = {b"good\n"}
    outcome = sync_logs(
        trial,
        {
            "number": paged(page(7.5, done=True)),
            "list": paged(page(["a"], done=True)),
            "no-json": paged(b"<html>log</html>"),
            "array": paged(b"[]"),
            "refused": paged(api_error(400)),
            "forgotten": paged(api_error(404)),
            "vanishing": vanishing(),
            "good": paged(page("good\n", done=True)),
        },
    )
    assert files(trial.root) == {"good.log": b"good\n"}
    failed = {it["cube"]: it["reason"] for it in outcome.failures}
    assert failed == dict.fromkeys(("number", "list", "no-json", "array", "refused"), "bad_answer")
    assert (outcome.exit_code, outcome.report["expired"]) == (1, 2)
    assert {it["local_path"] for it in outcome.failures} == {""}
    assert len(list(trial.root.glob(f"{TASK}/*/*.bin"))) == 8


def vanishing() -> Behaviour:
    """A log that is deleted while it is read: nothing of it is taken for the whole."""
    seen: list[str] = []

    def behave(visit: Visit) -> None:
        (number,) = parse_qs(visit.request.query)["page"]
        seen.append(number)
        gone = len(seen) > 2
        (api_error(404) if gone else status(200, page(f"{number}\n")))(visit)

    return behave


def test_a_page_of_gigabytes_is_not_read(trial: Trial) -> None:
    trial.also_right = {b"good\n"}

    def flood(visit: Visit) -> None:
        visit.wire.head(200, [("Content-Type", "application/json")])
        visit.wire.raw(b'{"logs": "')
        for _ in range(4096):
            visit.wire.raw(b"x" * (1 << 20))

    trial.env["DOWNLOAD__TIMEOUT"] = "20s"
    outcome = sync_logs(trial, {"flood": flood, "good": paged(page("good\n", done=True))})
    assert outcome.exit_code == 1
    (failure,) = outcome.failures
    assert "is longer than 67108864 bytes" in failure["message"]
    assert files(trial.root) == {"good.log": b"good\n"}


def test_an_endless_log_stops_where_the_disk_is_to_stay_free(trial: Trial) -> None:
    """Every page is another one, and there is always one more."""

    def endless(visit: Visit) -> None:
        (number,) = parse_qs(visit.request.query)["page"]
        status(200, page(f"{number} " + "x" * (1 << 20)))(visit)

    room = 24 << 20
    trial.env["MIRROR__MIN_FREE"] = str(shutil.disk_usage(trial.guarded).free - room)
    outcome = sync_logs(trial, {"endless": endless})
    assert outcome.exit_code == 6
    assert {it["reason"] for it in outcome.failures if not it["local_path"]} == {"no_space"}
    assert files(trial.root) == {}
