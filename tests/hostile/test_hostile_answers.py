"""Answers of the API that make no sense, as a whole or in one field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from altering import ABSENT, altered, paths
from behaviours import (
    api_error,
    cut,
    honest,
    in_turn,
    raw,
    serving,
)
from hostile_service import File, Json

if TYPE_CHECKING:
    from behaviours import Visit
    from trial import Trial

CONTENT = b"built at night"
MIB = 1 << 20


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
    "runs-empty-object": b'{"runs": {}, "workflows": {}}',
    "in-capitals": b'{"RUNS": [{"slug": "1", "status": "success"}], "STATUS": "success"}',
    "wrapped": b'{"data": {"runs": [{"slug": "1"}], "slug": "1", "status": "success"}}',
    "null-items": b'{"runs": [null], "workflows": [null]}',
    "an-error": b'{"error_code": "INTERNAL", "message": "try again"}',
}


def test_a_list_that_makes_no_sense_is_a_bad_answer(trial: Trial) -> None:
    repos = {f"org/{name}": content for name, content in NONSENSE.items()}
    for repo, content in repos.items():
        trial.service.run({"app.bin": CONTENT}, repo=repo)
        trial.service.api_behaviour[trial.service.runs_path(repo)] = serving(content)
    outcome = trial.sync(*repos)
    assert outcome.exit_code == 1
    assert outcome.reasons_by("repo") == dict.fromkeys(repos, "bad_answer")
    assert trial.has_nothing()


def test_a_run_that_makes_no_sense_stops_no_other(trial: Trial) -> None:
    trial.service.run({"app.bin": CONTENT}, "1")
    runs = {str(number): name for number, name in enumerate(NONSENSE, 2)}
    for run, name in runs.items():
        trial.service.run({"app.bin": CONTENT}, run)
        trial.service.api_behaviour[trial.service.runs_path(run=run)] = serving(NONSENSE[name])
    outcome = trial.sync()
    assert outcome.exit_code == 1
    assert outcome.reasons_by("run") == dict.fromkeys(runs, "bad_answer")
    assert trial.has(CONTENT)


def test_an_answer_cut_short_once_is_asked_for_again(trial: Trial) -> None:
    once = {"json": serving(NONSENSE["cut"]), "body": cut(20), "nothing": raw(b"")}
    for repo, behaviour in once.items():
        trial.service.run({"app.bin": CONTENT}, repo=f"org/{repo}")
        for run in ("", "1"):
            path = trial.service.runs_path(f"org/{repo}", run)
            trial.service.api_behaviour[path] = in_turn(behaviour, honest)
    assert trial.sync("org/json", "org/body", "org/nothing").counts == (3, 3, 0, 0)


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


TREES = {
    "an-object": lambda _: {},
    "by-name": lambda workflows: {it["slug"]: it for it in workflows},
    "null-item": lambda workflows: [*workflows, None],
    "wrapped": lambda workflows: [{"workflow": it} for it in workflows],
    "tasks-an-object": lambda workflows: [{**it, "tasks": {}} for it in workflows],
    "tasks-in-capitals": lambda workflows: [
        {"slug": "w", "TASKS": it["tasks"]} for it in workflows
    ],
    "text": lambda _: "",
}


# Guards against: a run that is settled by an answer of which a part could not be read.
@pytest.mark.parametrize("alter", TREES.values(), ids=TREES)
def test_a_tree_that_lists_less_without_saying_so_settles_nothing(trial: Trial, alter: Any) -> None:
    run = trial.service.run({"app.bin": CONTENT})
    run.alter = lambda payload: {**payload, "workflows": alter(payload["workflows"])}
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.reasons) == (1, ["bad_answer"])
    run.alter = lambda payload: payload
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT)


def test_a_list_that_is_suddenly_void_is_told_and_nothing_follows_from_it(trial: Trial) -> None:
    # Guards against: conclusions from an answer that lists less without saying so.
    trial.service.file(CONTENT)
    assert trial.sync().counts == (1, 1, 0, 0)
    trial.service.api_behaviour[trial.service.runs_path()] = serving(b"{}")
    for _ in range(2):
        outcome = trial.sync()
        assert (outcome.exit_code, outcome.counts) == (0, (1, 0, 1, 0))
        assert "the list of runs of org/repo is empty, and was not" in outcome.stderr
    del trial.service.api_behaviour[trial.service.runs_path()]
    trial.service.run({"app.bin": CONTENT}, "2")
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.counts) == (0, (2, 1, 1, 0))
    assert "is empty" not in outcome.stderr


@pytest.mark.parametrize("others", [True, False])
def test_a_run_listed_once_and_then_gone_is_told_tried_and_forgotten(
    trial: Trial, *, others: bool
) -> None:
    # Guards against: something that never was in the mirror and keeps every later pass at 1.
    if others:
        trial.service.run({"app.bin": CONTENT}, "1")
    trial.service.run({"app.bin": CONTENT}, "2")
    trial.service.api_behaviour[trial.service.runs_path(run="2")] = api_error(404)
    for _ in range(8):  # it is listed
        outcome = trial.sync()
        assert (outcome.exit_code, outcome.reasons) == (1, ["not_found"])
    trial.service.repos["org/repo"].pop()
    outcomes = [trial.sync() for _ in range(2)]
    assert [outcome.exit_code for outcome in outcomes] == [0, 0]
    assert ["forgotten" in outcome.stderr for outcome in outcomes] == [True, False]
    del trial.service.api_behaviour[trial.service.runs_path(run="2")]
    trial.service.run({"app.bin": CONTENT}, "2")
    assert trial.sync().exit_code == 0
    assert trial.has(CONTENT, run="2")


@pytest.mark.parametrize(("entry", "last"), [({"slug": ".."}, 0), (None, 1)], ids=["slug", "null"])
def test_a_garbled_slug_in_a_list_is_told_for_a_while(
    trial: Trial, entry: Json | None, last: int
) -> None:
    # Guards against: something that can never be mirrored and keeps every later pass at 1.
    trial.service.run({"app.bin": CONTENT}, "1")
    trial.service.alter_page = lambda page, _: {**page, "runs": [*page["runs"], entry]}
    outcomes = [trial.sync() for _ in range(7)]
    assert [outcome.exit_code for outcome in outcomes] == [1, 1, 1, 1, 1, last, last]
    assert [o.stderr for o in outcomes if "no usable slug" not in o.stderr] == []
    trial.service.run({"app.bin": CONTENT}, "2")
    trial.service.alter_page = lambda page, _: {**page, "runs": [*page["runs"], {}, {}]}
    assert trial.sync().exit_code == 1  # these are others
    assert trial.has(CONTENT, run="2")


def test_a_run_that_is_gone_is_tried_for_a_while(trial: Trial) -> None:
    # Guards against: a run forgotten for one answer.
    trial.service.run({"app.bin": CONTENT}, "1")
    trial.service.run({"app.bin": CONTENT}, "2")
    trial.service.api_behaviour[trial.service.runs_path(run="2")] = api_error(404)
    assert trial.sync().exit_code == 1
    trial.service.repos["org/repo"].pop()
    assert [trial.sync().exit_code for _ in range(6)] == [1, 1, 1, 1, 0, 0]


def test_a_repository_without_runs_is_complete(trial: Trial) -> None:
    trial.service.file(CONTENT)
    trial.service.api_behaviour[trial.service.runs_path()] = serving(b"{}")
    outcome = trial.sync()
    assert (outcome.exit_code, outcome.counts) == (0, (0, 0, 0, 0))
    assert "is empty" not in outcome.stderr


def test_answers_that_begin_with_a_byte_order_mark_are_read(trial: Trial) -> None:
    # Guards against: a mark of the byte order that spoils an answer.
    def marked(visit: Visit) -> None:
        serving(b"\xef\xbb\xbf" + visit.content)(visit)

    trial.service.file(CONTENT)
    trial.service.api_behaviour["*"] = marked
    assert trial.sync().counts == (1, 1, 0, 0)
    assert trial.has(CONTENT)


def _matters(at: tuple[Any, ...]) -> bool:
    """Whether without this field an artifact of the run can't be told, or is not there."""
    if at[-1] == "status":
        return len(at) == 1 or "artifacts" in at
    tree = {"slug", "local_path", "workflows", "tasks", "cubes", "artifacts"}
    return at != ("slug",) and (at[-1] in tree or isinstance(at[-1], int))


@pytest.mark.parametrize("to", [None, ABSENT, "", 7, [None]], ids=repr)
def test_every_field_may_be_anything(trial: Trial, to: object) -> None:
    """A run a field. Where the field does not matter, its run is mirrored all the same."""
    probe = trial.service.run({"app.bin": CONTENT}, "1")
    places = list(paths(trial.service.payload_of(probe)))
    harmless = []
    for number, at in enumerate(places, 2):
        run = trial.service.run({"app.bin": CONTENT}, str(number))
        run.alter = altered(at, to)
        if not _matters(at):
            harmless.append(str(number))
    outcome = trial.sync()
    assert len(harmless) > 20
    missing = [places[int(run) - 2] for run in harmless if not trial.has(CONTENT, run=run)]
    # a link that is no link can't be followed, and one that is empty is asked of the cube
    assert [at for at in missing if at[-1] != "download_url"] == []
    assert "internal" not in outcome.reasons


@pytest.mark.parametrize("to", [None, ABSENT, 7, "WORD"], ids=repr)
def test_every_field_of_the_list_may_be_anything(trial: Trial, to: object) -> None:
    trial.service.page_size = 1000
    run = trial.service.run({"app.bin": CONTENT}, "1")
    payload = trial.service.payload_of(run)
    fields = [at for at in paths(payload) if at[0] != "workflows"] + [("workflows",)]
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
    trial.service.run({"app.bin": CONTENT, "new": File(b"x", status="teleported")}, "3")
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
