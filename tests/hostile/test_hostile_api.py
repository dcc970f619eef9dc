"""An API that refuses, lies and changes its mind: all that can be had, and the truth of the rest."""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from behaviours import (
    Behaviour,
    Visit,
    cut,
    honest,
    in_turn,
    raw,
    redirect,
    serving,
    stall,
    status,
    store_error,
)
from hostile_server import HostileServer, Request, Wire
from hostile_service import TOKEN, File, Json, Service
from trial import Trial

CONTENT = b"built at night"
MIB = 1 << 20


def error(code: int, message: str = "no") -> Behaviour:
    """The service's own form of an error."""
    body = {"error_code": "Refused", "message": message, "request_id": "req-0451", "details": {}}
    return status(code, json.dumps(body).encode(), Content_Type="application/json")


def runs(trial: Trial) -> list[str]:
    """The runs that were asked for one by one."""
    prefix = trial.service.runs_path() + "/"
    return [t.removeprefix(prefix) for t in trial.service.api_targets if t.startswith(prefix)]


# refusals


@pytest.mark.parametrize("code", [401, 403])
def test_credentials_refused_on_everything(trial: Trial, code: int) -> None:
    trial.service.file(CONTENT)
    trial.service.api_behaviour["*"] = error(code)
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (3, ["credentials"])
    assert len(trial.service.api.requests) == 1
    assert "req-0451" in outcome.failures[0]["message"]
    assert trial.has_nothing()


@pytest.mark.parametrize(
    ("code", "reason", "exit_code"),
    [(401, "credentials", 3), (403, "credentials", 3), (404, "not_found", 1)],
)
def test_one_refused_repository_among_good_ones(
    trial: Trial, code: int, reason: str, exit_code: int
) -> None:
    for repo in ("good", "bad", "fine"):
        trial.service.run({"app.bin": CONTENT}, repo=f"org/{repo}")
    trial.service.api_behaviour[trial.service.runs_path("org/bad")] = error(code)
    outcome = trial.sync("org/good", "org/bad", "org/fine")
    assert (outcome.exit_code, outcome.counts) == (exit_code, (2, 2, 0, 1))
    assert [(f["repo"], f["reason"]) for f in outcome.failures] == [("org/bad", reason)]
    assert trial.manifest(repo="org/good").exists()
    assert trial.manifest(repo="org/fine").exists()


def test_one_refused_run_among_good_ones(trial: Trial) -> None:
    for slug in ("1", "2", "3"):
        trial.service.run({"app.bin": CONTENT}, slug)
    trial.service.api_behaviour[trial.service.runs_path(run="2")] = error(403)
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.counts) == (3, (2, 2, 0, 1))
    assert [(f["run"], f["reason"]) for f in outcome.failures] == [("2", "credentials")]
    assert trial.has(CONTENT, run="1")
    assert trial.has(CONTENT, run="3")


def test_a_repository_that_does_not_exist(trial: Trial) -> None:
    outcome = trial.sync("org/nowhere")
    assert (outcome.exit_code, outcome.reasons) == (1, ["not_found"])


def test_a_service_that_nobody_listens_at_is_unreachable(trial: Trial) -> None:
    trial.service.api.close()
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (4, ["unreachable"])


def test_a_service_that_says_nothing_is_unreachable(trial: Trial) -> None:
    trial.env |= {"DOWNLOAD__TIMEOUT": "1s", "DOWNLOAD__ATTEMPTS": "2"}
    trial.service.api_behaviour["*"] = stall()
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (4, ["unreachable"])


@pytest.mark.parametrize("code", [500, 503])
def test_a_service_that_is_always_down_is_unreachable(trial: Trial, code: int) -> None:
    trial.service.api_behaviour["*"] = status(code, b"<html>nginx</html>")
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (4, ["unreachable"])
    assert len(trial.service.api.requests) == 3


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_down_then_fine(trial: Trial, code: int) -> None:
    trial.service.file(CONTENT)
    for path in (trial.service.runs_path(), trial.service.runs_path(run="1")):
        trial.service.api_behaviour[path] = in_turn(error(code), honest)
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_retry_after_of_the_api_is_waited_for(trial: Trial) -> None:
    trial.service.file(CONTENT)
    busy = status(429, Retry_After="1")
    trial.service.api_behaviour[trial.service.runs_path()] = in_turn(busy, honest)
    assert trial.sync().exit_code == 0
    first, second, *_ = trial.service.api.requests
    assert second.monotonic - first.monotonic >= 1


def test_an_error_that_echoes_the_token_is_not_repeated(trial: Trial) -> None:
    echo = error(403, f"Bearer {TOKEN} \x1b[31mis\x07 no good at http://x/?sig=LINKSECRET")
    trial.service.api_behaviour["*"] = echo
    outcome = trial.sync("-v")
    assert (outcome.exit_code, outcome.reasons) == (3, ["credentials"])


# answers that make no sense

NONSENSE = {
    "cut": b'{"runs": [{"slug": "1", "sta',
    "html": b"<html>Welcome to the captive portal</html>",
    "list": b"[]",
    "text": b'"runs"',
    "null": b"null",
    "empty": b"",
    "not-utf8": b'{"runs": "\xff\xfe"}',
    "deep": b"[" * 100_000,
    "deep-field": b'{"runs": ' + b'{"a":' * 100_000,
    "runs-no-list": b'{"runs": {"slug": "1"}}',
}


@pytest.mark.parametrize("name", NONSENSE)
def test_a_list_that_makes_no_sense_is_a_bad_answer(trial: Trial, name: str) -> None:
    trial.service.file(CONTENT)
    trial.service.api_behaviour[trial.service.runs_path()] = serving(NONSENSE[name])
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["bad_answer"])
    assert trial.has_nothing()


@pytest.mark.parametrize("name", ["cut", "html", "empty", "list"])
def test_a_run_that_makes_no_sense_stops_no_other(trial: Trial, name: str) -> None:
    trial.service.run({"app.bin": CONTENT}, "1")
    trial.service.run({"app.bin": CONTENT}, "2")
    trial.service.api_behaviour[trial.service.runs_path(run="1")] = serving(NONSENSE[name])
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["bad_answer"])
    assert outcome.failures[0]["run"] == "1"
    assert trial.has(CONTENT, run="2")


@pytest.mark.parametrize(
    "once", [serving(NONSENSE["cut"]), cut(20), raw(b"")], ids=["cut-json", "cut-body", "nothing"]
)
def test_an_answer_cut_short_once_is_asked_for_again(trial: Trial, once: Behaviour) -> None:
    trial.service.file(CONTENT)
    for path in (trial.service.runs_path(), trial.service.runs_path(run="1")):
        trial.service.api_behaviour[path] = in_turn(once, honest)
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_answers_always_cut_short_end_in_a_failure(trial: Trial) -> None:
    trial.service.file(CONTENT)
    trial.service.api_behaviour["*"] = cut(20)
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) in [(1, ["bad_answer"]), (4, ["unreachable"])]


def test_headers_of_a_megabyte_from_the_api_end_in_a_failure(trial: Trial) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Bloat: " + b"x" * MIB
    trial.service.api_behaviour["*"] = raw(head + b"\r\n\r\n{}")
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) in [(1, ["bad_answer"]), (4, ["unreachable"])]


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every field of a payload stands."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in pairs:
        yield (*at, name)
        if isinstance(inner, dict | list):
            yield from paths(inner, (*at, name))


ABSENT = object()


def altered(at: tuple[Any, ...], to: object) -> Callable[[Json], Json]:
    """Replaces the field that stands there, or takes it away."""

    def alter(payload: Json) -> Json:
        fresh = copy.deepcopy(payload)
        node: Any = fresh
        for name in at[:-1]:
            node = node[name]
        if to is ABSENT:
            del node[at[-1]]
        else:
            node[at[-1]] = to
        return fresh

    return alter


NEEDED = {"slug", "local_path", "status", "workflows", "tasks", "cubes", "artifacts"}
"""Fields without which (or without whose elements) an artifact can't be told or is not there."""


@pytest.mark.parametrize(
    "to", [None, ABSENT, "", [], {}, 7, "AS_NEW_WORD", [None], {"a": {}}, True], ids=repr
)
def test_every_field_may_be_anything(trial: Trial, to: object) -> None:
    """A run a field. Where the field does not matter, its run is mirrored all the same."""
    probe = trial.service.run({"app.bin": CONTENT}, "1")
    places = list(paths(trial.service._run_payload(probe)))
    harmless = []
    for number, at in enumerate(places, 2):
        run = trial.service.run({"app.bin": CONTENT}, str(number))
        run.alter = altered(at, to)
        if not NEEDED & set(at[-1:]) and not isinstance(at[-1], int):
            harmless.append(str(number))
        elif at == ("slug",):
            harmless.append(str(number))
    outcome = trial.sync()
    assert len(harmless) > 20
    missing = [places[int(run) - 2] for run in harmless if not trial.has(CONTENT, run=run)]
    # a link that is no link can't be followed, and one that is empty is asked of the cube
    assert [at for at in missing if at[-1] != "download_url"] == []
    assert "internal" not in outcome.reasons


@pytest.mark.parametrize("to", [None, ABSENT, "", [], {}, 7, "WORD", [None], True], ids=repr)
def test_every_field_of_the_list_may_be_anything(trial: Trial, to: object) -> None:
    trial.service.page_size = 1000
    run = trial.service.run({"app.bin": CONTENT}, "1")
    payload = trial.service._run_payload(run)
    fields = [at for at in paths(payload) if at[0] not in {"workflows"}] + [("workflows",)]
    for number, _ in enumerate(fields, 2):
        trial.service.run({"app.bin": CONTENT}, str(number))

    def alter(page: Json, _: str) -> Json:
        by_slug = {run["slug"]: run for run in page["runs"]}
        for number, at in enumerate(fields, 2):
            by_slug[str(number)] = altered(at, to)(by_slug[str(number)])
        return {**page, "runs": list(by_slug.values()), "unknown": {"a": [1]}}

    trial.service.alter_page = alter
    outcome = trial.sync()
    matter = {("status",), ("slug",)}
    missing = [
        at
        for number, at in enumerate(fields, 2)
        if at not in matter and not trial.has(CONTENT, run=str(number))
    ]
    assert missing == []
    assert "internal" not in outcome.reasons


def test_unknown_words_wait_and_harm_nothing(trial: Trial) -> None:
    trial.service.run({"app.bin": CONTENT}, "1")
    trial.service.run({"app.bin": CONTENT}, "2").status = "levitating"
    files = {"app.bin": CONTENT, "new": File(b"x", status="teleported")}
    trial.service.run(dict(files), "3")
    trial.service.run({"app.bin": CONTENT}, "4").status = "awaiting_approval"
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.counts) == (0, (2, 2, 0, 0))
    assert trial.has(CONTENT, run="1")
    assert not trial.place(run="2").exists()
    assert trial.place(run="3").read_bytes() == CONTENT
    assert "levitating" in outcome.stderr
    assert "teleported" in outcome.stderr


def test_an_artifact_status_with_its_enums_name_is_understood(trial: Trial) -> None:
    trial.service.run({"app.bin": File(CONTENT, status="AS_SUCCESS")})
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_failed_and_missing_artifacts_are_not_asked_for(trial: Trial) -> None:
    failed, missing = File(b"a", status="failed"), File(b"b", status="missing")
    trial.service.run({"app.bin": CONTENT, "a": failed, "b": missing})
    assert trial.sync().counts == (1, 1, 0, 0)
    assert failed.visits == missing.visits == []


# a run that changes


def test_a_run_that_is_running_again_is_left_for_later(trial: Trial) -> None:
    run = trial.service.run({"app.bin": CONTENT})
    run.alter = altered(("status",), "processing")

    def listed_as_finished(page: Json, _: str) -> Json:
        return {"runs": [{**listed, "status": "success"} for listed in page["runs"]]}

    trial.service.alter_page = listed_as_finished
    trial.sync()
    assert trial.has_nothing()
    run.alter = lambda payload: payload
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_a_run_that_changes_while_it_is_walked(trial: Trial) -> None:
    """Links lapse; with the fresh ones an artifact is gone and another one has come."""
    lapsed = in_turn(store_error(403, "AccessDenied"), honest)
    stays, goes = File(CONTENT, lapsed), File(b"soon gone", lapsed)
    run = trial.service.run({"stays": stays, "goes": goes})
    changed = [("stays", stays), ("comes", File(b"late"))]

    def change(visit: Visit) -> None:
        honest(visit)
        run.files = changed

    trial.also_right = {b"soon gone"}
    trial.service.api_behaviour[trial.service.runs_path(run="1")] = change
    outcome = trial.sync()
    assert outcome.exit_code == 1
    assert [f["local_path"] for f in outcome.failures] == ["goes"]
    assert trial.place("stays").read_bytes() == CONTENT
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT, "stays")
    assert trial.has(b"late", "comes")


def test_an_artifact_left_anew_replaces_the_old_one_which_is_kept_aside(trial: Trial) -> None:
    file = trial.service.file(CONTENT)
    assert trial.sync().exit_code == 0
    file.content, file.updated_at = b"built again", "2026-11-21T10:00:00Z"
    trial.service.repos["org/repo"][0].updated_at = "2026-11-21T10:00:00Z"
    assert trial.sync().counts == (1, 1, 0, 0)
    assert trial.has(b"built again")
    assert trial.displaced() == [CONTENT]


def test_registered_artifacts_that_succeed_later_come_with_a_later_pass(trial: Trial) -> None:
    late = File(b"late", status="registered")
    trial.service.run({"app.bin": CONTENT, "late": late})
    assert trial.sync().counts == (1, 1, 0, 0)
    assert late.visits == []
    late.status = "success"
    assert trial.sync().counts == (2, 1, 1, 0)
    assert trial.has(b"late", "late")
    assert trial.has(CONTENT)


def test_a_run_that_finishes_later_comes_with_a_later_pass(trial: Trial) -> None:
    run = trial.service.run({"app.bin": CONTENT}, "1")
    run.status = "processing"
    trial.service.run({"app.bin": CONTENT}, "2")
    assert trial.sync().counts == (1, 1, 0, 0)
    run.status = "failed"
    assert trial.sync().counts == (2, 1, 1, 0)
    assert trial.has(CONTENT, run="1")


def test_a_sudden_void_removes_nothing(trial: Trial) -> None:
    trial.service.file(CONTENT)
    assert trial.sync().exit_code == 0
    trial.also_right = {CONTENT}
    trial.service.repos["org/repo"] = []
    trial.sync()
    assert trial.has(CONTENT)


# lists


@pytest.mark.parametrize("last", [ABSENT, "", None, "empty"], ids=["absent", "''", "null", "page"])
def test_all_endings_of_a_list_are_endings(trial: Trial, last: object) -> None:
    trial.service.page_size = 2
    for number in range(1, 6):
        trial.service.run({"app.bin": CONTENT}, str(number))

    def ending(page: Json, token: str) -> Json:
        if "next_page_token" in page or token == "99":
            return page
        return page if last is ABSENT else {**page, "next_page_token": last and "99"}

    trial.service.alter_page = ending
    assert trial.sync().counts == (5, 5, 0, 0)


def test_a_page_token_that_repeats_ends_and_what_was_listed_is_mirrored(trial: Trial) -> None:
    for number in range(1, 4):
        trial.service.run({"app.bin": CONTENT}, str(number))
    trial.service.alter_page = lambda page, _: {**page, "next_page_token": "again+/= &?"}
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["bad_answer"])
    assert all(trial.has(CONTENT, run=str(number)) for number in range(1, 4))
    lists = [t for t in trial.service.api_targets if "page_size" in t]
    assert 2 <= len(lists) <= 3
    assert "page_token=again%2B%2F%3D" in lists[1]


def test_an_artifact_and_a_run_that_are_listed_twice_count_once(trial: Trial) -> None:
    run = trial.service.run({"app.bin": CONTENT})
    run.files *= 2
    trial.service.alter_page = lambda page, _: {"runs": page["runs"] * 2}
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.counts) == (0, (1, 1, 0, 0))
    assert outcome.report["runs"] == 1
    assert trial.has(CONTENT)


def test_runs_may_be_listed_in_any_order(trial: Trial) -> None:
    trial.service.page_size = 3
    numbers = [3, 9, 1, 7, 2, 8, 5]
    for number in numbers:
        trial.service.run({"app.bin": CONTENT}, str(number))
    assert trial.sync().counts == (7, 7, 0, 0)
    trial.service.repos["org/repo"].insert(0, trial.service.run({"app.bin": CONTENT}, "10"))
    trial.service.repos["org/repo"].pop()
    assert trial.sync().counts == (8, 1, 7, 0)


def test_a_second_pass_over_an_unchanged_repository_is_one_request(trial: Trial) -> None:
    trial.service.page_size = 10
    for number in range(1, 26):
        trial.service.run({"app.bin": CONTENT, "b": b"b"}, str(number))
    assert trial.sync().counts == (50, 50, 0, 0)
    trial.service.api.forget()
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.counts) == (0, (50, 0, 50, 0))
    assert len(trial.service.api.requests) == 1
    assert outcome.report["runs"] == 25


def test_every_repository_of_an_organisation(trial: Trial) -> None:
    for repo in ("org/one", "org/two", "other/three"):
        trial.service.run({"app.bin": CONTENT}, repo=repo)
    assert trial.sync("org/*").counts == (2, 2, 0, 0)
    assert not (trial.root / "other").exists()


# odd names

ODD = ["#git-clone", "a/b", "a%2Fb", "with space", "🦄", "a?b&c=d", "%", "a+b", "..a", "a;b:c@d"]


def test_odd_slugs_are_percent_encoded_on_the_wire(trial: Trial) -> None:
    files = [
        (f"{kind}.bin", File(f"{kind} {slug}".encode(), cube=cube, url=lambda _: ""))
        for slug in ODD
        for kind, cube in [
            ("workflow", (slug, "linux", "compile")),
            ("task", ("build", slug, "compile")),
            ("cube", ("build", "linux", slug)),
        ]
    ]
    trial.service.run({}).files.extend(files)
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.counts) == (0, (30, 30, 0, 0))
    assert {path.read_bytes() for path in trial.files()} == {f.content for _, f in files}
    prefix = "/repos/org/repo/cicd/artifacts/1"
    asked = {t for t in trial.service.api_targets if t.startswith(prefix)}
    cubes = ("/".join(quote(slug, safe="") for slug in file.cube) for _, file in files)
    assert {target.upper() for target in asked} == {f"{prefix}/{cube}".upper() for cube in cubes}
    assert f"{prefix}/build/linux/%23git-clone" in asked


def test_one_cubes_error_fails_only_that_cube(trial: Trial) -> None:
    system = File(b"log", cube=("build", "linux", "#git-clone"), url=lambda _: "")
    good = File(CONTENT, url=lambda _: "")
    trial.service.run({"system.log": system, "app.bin": good})
    cube = "/repos/org/repo/cicd/artifacts/1/build/linux/%23git-clone"
    trial.service.api_behaviour[cube] = error(500)
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.counts) == (1, (2, 1, 0, 1))
    assert outcome.failures[0]["cube"] == "#git-clone"
    assert trial.place().read_bytes() == CONTENT


def test_control_characters_of_the_service_never_reach_the_terminal(trial: Trial) -> None:
    run = trial.service.run({"app.bin": CONTENT})
    run.files.append(("a\x1b[2J\x07\r\nb", File(b"x", cube=("w\x1b[31m", "t\x07", "c\x9b31m"))))
    outcome = trial.sync("-v")
    assert (outcome.exit_code, outcome.counts) == (1, (2, 1, 0, 1))


# where the token goes


def _stranger(seen: list[Request]) -> Callable[[Request, Wire], None]:
    def answer(request: Request, wire: Wire) -> None:
        seen.append(request)
        honest(Visit(request, wire, 1, b'{"runs": []}'))

    return answer


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_redirect_of_the_api_never_takes_the_token_to_another_host(
    trial: Trial, host: str
) -> None:
    trial.service.file(CONTENT)
    seen: list[Request] = []
    with HostileServer(_stranger(seen)) as stranger:
        target = f"http://{host}:{stranger.port}/repos/org/repo/cicd/runs"
        trial.service.api_behaviour["*"] = redirect(target)
        outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["bad_answer"])
    assert all("TOKENSECRET" not in repr(request) for request in seen)


def test_a_redirect_within_the_api_is_followed(trial: Trial) -> None:
    trial.service.file(CONTENT)
    path = trial.service.runs_path()
    trial.service.api_behaviour[path] = in_turn(redirect(path + "?page_size=100"), honest)
    assert trial.sync().exit_code == 0


def test_a_redirect_loop_of_the_api_ends(trial: Trial) -> None:
    trial.service.api_behaviour["*"] = lambda visit: redirect(visit.request.target)(visit)
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["bad_answer"])
    assert len(trial.service.api.requests) < 50


def test_a_redirect_of_the_api_from_https_to_http_is_refused(
    secure_trial: Trial, secure_service: Service
) -> None:
    """The origin behind TLS plays the API here."""
    seen: list[Request] = []
    with HostileServer(_stranger(seen)) as plain:
        guard = File(behaviour=redirect(f"{plain.origin}/repos/org/repo/cicd/runs"))
        secure_service.lead("/repos/org/repo/cicd/runs?page_size=100", guard)
        secure_trial.env["SOURCE__BASE_URL"] = secure_service.origin.origin
        process = secure_trial.start()
        stdout, stderr = process.communicate(timeout=30)
    outcome = secure_trial.outcome(process.returncode, stdout, stderr)
    assert (outcome.exit_code, outcome.reasons) == (1, ["bad_answer"])
    assert len(guard.visits) == 1
    assert seen == []
    assert "TOKENSECRET" not in stdout + stderr


# many


@pytest.mark.slow
def test_600_cubes_in_a_run(trial: Trial) -> None:
    cubes = [(f"w{w}", f"t{t}", f"c{c}") for w in range(3) for t in range(10) for c in range(20)]
    files = [("app.bin", File("/".join(cube).encode(), cube=cube)) for cube in cubes]
    trial.service.run({}).files.extend(files)
    assert trial.sync().counts == (600, 600, 0, 0)
    assert len(trial.manifest().read_bytes().splitlines()) == 600
    assert runs(trial) == ["1"]


@pytest.mark.slow
def test_10000_artifacts_in_a_run_within_120_megabytes(trial: Trial, tmp_path: Path) -> None:
    content = random.Random(5).randbytes(10_000)
    files = {f"f/{n // 100}/{n}.bin": File(content[n:] + content[:n]) for n in range(10_000)}
    trial.service.run(dict(files))
    begin = time.monotonic()
    outcome, peak = trial.measured()
    assert outcome.counts == (10_000, 10_000, 0, 0)
    assert peak < 120 * MIB, f"{peak / MIB:.0f} MiB"
    assert time.monotonic() - begin < 100
    trial.service.api.forget()
    outcome, peak = trial.measured()
    assert outcome.counts == (10_000, 0, 10_000, 0)
    assert peak < 120 * MIB, f"{peak / MIB:.0f} MiB"
    assert len(trial.service.api.requests) == 1
