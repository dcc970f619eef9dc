from __future__ import annotations

import json
import tracemalloc
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifact_sync.domain.errors import GarbledAnswer
from artifact_sync.domain.model import ArtifactKey, CubeKey, Problem, RepoName, RunKey
from artifact_sync.source.api.decode import (
    cube_artifacts,
    log_page,
    moment,
    parse,
    repositories_page,
    run_of,
    runs_page,
    word,
)
from artifact_sync.source.api.refusals import refusal_error
from artifact_sync.source.api.response_body import Payload, Unreadable
from artifact_sync.source.transport.sanitize import one_line

REPO = RepoName("org", "repo")
KEY = RunKey(REPO, "7")


def payload(value: object) -> Payload:
    return parse(json.dumps(value).encode(), "run 7")


def run(value: object):
    return run_of(KEY, payload(value))


def tree(*artifacts: object, workflow: object = "w", task: object = "t", cube: object = "c"):
    cubes = [{"slug": cube, "artifacts": list(artifacts)}]
    return {"workflows": [{"slug": workflow, "tasks": [{"slug": task, "cubes": cubes}]}]}


def artifact(local_path: object = "a.txt", status: object = "success", **more: object):
    return {"local_path": local_path, "status": status, **more}


def keys(value: object) -> list[str]:
    return [str(found.key) for found in run(value).artifacts]


def test_a_run_has_its_words_and_its_dates():
    found = run(
        {
            "id": "",
            "slug": "7",
            "status": "success",
            "event_type": "push",
            "dates": {
                "created_at": "2026-11-01T10:00:00Z",
                "finished_at": "2026-11-01T13:05:06.123456789+03:00",
                "updated_at": None,
            },
        }
    )
    assert (found.key, found.status, found.event) == (KEY, "success", "push")
    assert found.created_at == datetime(2026, 11, 1, 10, tzinfo=UTC)
    assert found.finished_at == datetime(2026, 11, 1, 10, 5, 6, 123456, tzinfo=UTC)
    assert found.updated_at is None
    assert (found.artifacts, found.problems) == ((), ())


def test_an_artifact_has_key_status_version_and_link():
    url = "https://store.test/a?X=1"
    dates = {"registered_at": "r", "obtained_at": "2026-11-01T10:00:00Z", "updated_at": "u"}
    (found,) = run(tree(artifact(download_url=url, dates=dates))).artifacts
    assert found.key == ArtifactKey("org", "repo", "7", "w", "t", "c", "a.txt")
    assert (found.status, found.version, found.url) == ("success", "2026-11-01T10:00:00Z", url)


def test_the_version_falls_back_to_updated_at():
    assert run(tree(artifact(dates={"updated_at": "u"}))).artifacts[0].version == "u"
    assert run(tree(artifact(dates={"registered_at": "r"}))).artifacts[0].version == ""


def test_every_status_is_kept_and_repeats_too():
    found = run(tree(artifact(), artifact(), artifact(status="missing"), artifact(status="odd")))
    assert [it.status for it in found.artifacts] == ["success", "success", "missing", "odd"]


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("success", "success"),
        ("SUCCESS", "success"),
        ("AS_SUCCESS", "success"),
        ("RS_FAILED", "failed"),
        ("RUN_STATUS_TIMEOUT", "timeout"),
        ("ARTIFACT_STATUS_REGISTERED", "registered"),
        ("EVENT_TYPE_PUSH", "push"),
        ("ET_PR_UPDATE", "pr_update"),
        ("awaiting_approval", "awaiting_approval"),
        ("RS_AWAITING_APPROVAL", "awaiting_approval"),
        ("not_success", "not_success"),
        ("partial_success", "partial_success"),
        ("pr_update", "pr_update"),
        ("repository_event", "repository_event"),
        ("", ""),
        ("\x1b[31mred", "[31mred"),
    ],
)
def test_enum_words_lose_their_prefix_and_case(raw, plain):
    assert word(raw) == plain


@pytest.mark.parametrize("nothing", [None, []])
def test_an_empty_list_is_no_problem(nothing):
    for value in (
        {"workflows": nothing},
        {"workflows": [{"slug": "w", "tasks": nothing}]},
        {"workflows": [{"slug": "w", "tasks": [{"slug": "t", "cubes": nothing}]}]},
        {"workflows": [{"slug": "w", "tasks": [{"slug": "t", "cubes": [{"artifacts": nothing}]}]}]},
    ):
        assert (run(value).artifacts, run(value).problems) == ((), ())


@pytest.mark.parametrize("nothing", [None, [], {}, "", False, 0])
def test_any_other_field_may_be_empty_in_any_way(nothing):
    found = run({"dates": nothing, "status": nothing, "event_type": nothing})
    assert (found.artifacts, found.problems, found.created_at) == ((), (), None)


# Guards against: a tree that holds less than it should without a word, and settles its run.
@pytest.mark.parametrize("odd", ["text", "", 0, 5, True, False, {}, {"a": 1}, 1.5])
def test_what_should_be_a_list_and_is_none_is_a_problem_of_its_own(odd):
    good = {"slug": "good", "artifacts": [artifact()]}
    bad = {"slug": "bad", "artifacts": odd}
    found = run({"workflows": [{"slug": "w", "tasks": [{"slug": "t", "cubes": [bad, good]}]}]})
    assert [it.key.cube for it in found.artifacts] == ["good"]
    assert found.problems == (Problem("w", "t", "bad", "its artifacts are no list"),)


# Guards against: a list that stands elsewhere in the tree and passes for an empty one.
@pytest.mark.parametrize("level", ["workflows", "tasks", "cubes", "artifacts"])
@pytest.mark.parametrize(
    "elsewhere",
    [
        lambda name, items: {name.upper(): items},
        lambda name, items: {name: None, name.title(): items},
        lambda name, items: {"data": {name: items}},
        lambda name, items: {"a": {"b": {name.title(): items}}},
    ],
)
def test_a_list_in_another_place_is_a_problem(level, elsewhere):
    value = {"artifacts": [artifact()]}
    for name, slug in (("artifacts", "c"), ("cubes", "t"), ("tasks", "w"), ("workflows", "")):
        if name == level:
            value = elsewhere(name, value.pop(name))
        if slug:
            above = {"c": "cubes", "t": "tasks", "w": "workflows"}[slug]
            value = {above: [{"slug": slug, **value}]}
    found = run(value)
    assert found.artifacts == ()
    (problem,) = found.problems
    assert problem.message == f"its {level} are not where they should be"


@pytest.mark.parametrize("level", ["workflow", "task", "cube"])
def test_a_node_within_another_object_is_a_problem(level):
    value = {"slug": "c", "artifacts": [artifact()]}
    for name, slug in (("cube", "t"), ("task", "w"), ("workflow", "")):
        item = {name: value} if name == level else value
        value = {"slug": slug, f"{name}s": [item]}
    found = run(value)
    assert (found.artifacts, len(found.problems)) == ((), 1)


def test_items_that_are_no_objects_are_problems_and_so_is_null():
    found = run(tree("text", None, 5, artifact()))
    assert [str(it.key) for it in found.artifacts] == ["org/repo/7/w/t/c/a.txt"]
    assert found.problems == (Problem("w", "t", "c", "one artifact is unreadable"),) * 3
    assert run({"workflows": [None]}).problems == (
        Problem("", "", "", "one workflow is unreadable"),
    )


def test_a_number_for_a_slug_is_its_text():
    assert keys(tree(artifact(), workflow=1, task=-2, cube=10**30)) == [
        f"org/repo/7/1/-2/{10**30}/a.txt"
    ]


@pytest.mark.parametrize("slug", [None, "", [], {"a": 1}, True, 1.5, ".", ".."])
@pytest.mark.parametrize("level", ["workflow", "task", "cube"])
def test_no_usable_slug_above_an_artifact_is_one_problem(level, slug):
    found = run(tree(artifact(), artifact("b"), **{level: slug}))
    assert found.artifacts == ()
    assert len(found.problems) == 1
    assert f"one {level} with artifacts" in found.problems[0].message


def test_no_slugs_anywhere_above_an_artifact_is_one_problem():
    found = run(tree(artifact(), workflow=None, task="", cube=None))
    assert len(found.problems) == 1


def test_a_missing_slug_with_nothing_of_value_below_is_no_problem():
    assert run(tree(workflow=None)).problems == ()
    assert run(tree(artifact(status="failed"), cube=None)).problems == ()


@pytest.mark.parametrize("path", [None, "", [], True])
def test_no_path_is_a_problem_unless_there_will_be_no_file(path):
    found = run(tree(artifact(path), artifact(path, "failed"), artifact("good")))
    assert [it.key.local_path for it in found.artifacts] == ["good"]
    assert found.problems == (Problem("w", "t", "c", "one artifact has no readable local_path"),)


@pytest.mark.parametrize("url", [None, 5, [], {}, True])
def test_a_link_that_is_no_text_is_no_link(url):
    found = run(tree(artifact(download_url=url))).artifacts[0]
    assert found.url == ("5" if url == 5 and url is not True else "")


def test_the_current_cube_of_the_progress_is_ignored():
    value = tree(artifact())
    again = {"current_cube": {"slug": "c", "artifacts": [artifact("ghost")]}}
    value["workflows"][0]["progress"] = again
    value["workflows"][0]["tasks"][0]["progress"] = again
    assert keys(value) == ["org/repo/7/w/t/c/a.txt"]


def test_odd_names_pass_untouched():
    names = ["#git-clone", "a/b", "%2F", "two words", "🎉", "\x00", "..x", "CON", "a\\b"]
    for name in names:
        (found,) = run(tree(artifact(name), cube=name)).artifacts
        assert (found.key.cube, found.key.local_path) == (name, name)


def test_a_lone_surrogate_spoils_its_own_text_only():
    body = json.dumps(tree(artifact("bad\ud800"), artifact("\\ud800 \U0001f389"))).encode()
    found = run_of(KEY, parse(body, "run 7"))
    assert [it.key.local_path for it in found.artifacts] == ["\\ud800 \U0001f389"]
    assert [it.message for it in found.problems] == ["one artifact has no readable local_path"]


def test_bytes_that_are_no_utf8_spoil_their_own_text_only():
    body = json.dumps(tree(artifact("XX"), artifact("good"))).encode().replace(b"XX", b"\xff\xfe")
    found = run_of(KEY, parse(body, "run 7"))
    assert [it.key.local_path for it in found.artifacts] == ["good"]
    assert len(found.problems) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"workflows": [{"slug"',
        b"null",
        b"[]",
        b'"x"',
        b"<html>",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"{} {}",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_no_whole_object_is_garbled(body):
    with pytest.raises(GarbledAnswer) as caught:
        parse(body, "run 7 of org/repo")
    assert str(caught.value) == "run 7 of org/repo: the answer is cut short or is no JSON object"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda below: (
        st.lists(below, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "workflows",
                    "tasks",
                    "cubes",
                    "artifacts",
                    "slug",
                    "status",
                    "local_path",
                    "dates",
                ]
            ),
            below,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(st.dictionaries(st.sampled_from(["workflows", "runs", "repositories", "artifacts"]), JSON))
def test_no_json_crashes_the_reading(value):
    found = payload(value)
    run_of(KEY, found)
    cube_artifacts(CubeKey(KEY, "w", "t", "c"), found)
    for read in (lambda: runs_page(REPO, found), lambda: repositories_page("org", found)):
        with suppress(Unreadable):
            read()


@given(st.binary())
def test_no_bytes_crash_the_reading(body):
    refusal_error("x", 400, body, None, "")
    with suppress(GarbledAnswer):
        run_of(KEY, parse(body, "x"))


@given(st.text(st.characters(codec=None)))
def test_every_text_survives_or_is_unreadable(text):
    read = payload({"t": text}).text("t")
    assert read == (
        text if text.isascii() or text == text.encode(errors="replace").decode() else ""
    )


def test_a_page_of_runs():
    page = runs_page(
        REPO,
        payload(
            {
                "runs": [
                    {"slug": "9", "status": "processing", "workflows": []},
                    {"slug": 8, "status": "RS_SUCCESS"},
                    None,
                    {"status": "success"},
                    {"slug": ".."},
                    "text",
                ],
                "next_page_token": "t",
            }
        ),
    )
    assert [(it.key.run, it.status) for it in page.items] == [("9", "processing"), ("8", "success")]
    assert (page.passed_over, page.token) == (4, "t")


@pytest.mark.parametrize("token", [None, "", {}, [], False])
def test_a_last_page_has_no_token(token):
    assert runs_page(REPO, payload({"runs": None, "next_page_token": token})).token == ""
    assert runs_page(REPO, payload({})).token == ""


@pytest.mark.parametrize("token", [["t"], {"t": 1}, True, 1.5])
def test_a_token_that_is_no_text_does_not_pass_for_the_end(token):
    with pytest.raises(Unreadable, match="next_page_token is no text"):
        runs_page(REPO, payload({"next_page_token": token}))


def test_runs_that_are_no_list_do_not_pass_for_none():
    for odd in ({"slug": "1"}, {}, "", 0, False):
        with pytest.raises(Unreadable, match="runs are no list"):
            runs_page(REPO, payload({"runs": odd}))


# Guards against: an answer that holds no list and passes for an empty one.
@pytest.mark.parametrize(
    "value",
    [
        {"RUNS": [{"slug": "1"}]},
        {"runs": None, "Runs": [{"slug": "1"}]},
        {"data": {"runs": [{"slug": "1"}]}},
        {"result": {"response": {"runs": []}}},
        {"items": [{"slug": "1"}], "next_page_token": "t"},
        {"error_code": "INTERNAL", "message": "try again"},
        {"errors": [None]},
    ],
    ids=repr,
)
def test_an_answer_with_something_else_in_it_does_not_pass_for_an_empty_list(value):
    with pytest.raises(Unreadable, match="it holds no runs but"):
        runs_page(REPO, payload(value))


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"runs": None},
        {"runs": [], "RUNS": "x"},
        {"next_page_token": "t"},
        {"total": 0, "size": "100", "partial": True, "info": {}},
    ],
    ids=repr,
)
def test_a_list_may_be_left_out_when_it_is_empty(value):
    assert list(runs_page(REPO, payload(value)).items) == []


# Guards against: a mark of the byte order that spoils an answer.
def test_a_byte_order_mark_before_an_answer_is_ignored():
    body = b"\xef\xbb\xbf" + json.dumps(tree(artifact("bad\ud800"), artifact())).encode()
    for form in (body, bytearray(body)):
        assert len(run_of(KEY, parse(form, "run 7")).artifacts) == 1
    error = refusal_error("x", 400, b'\xef\xbb\xbf{"error_code": "E"}', None, "")
    assert "(400: E)" in str(error)


def test_repositories_carry_the_organisation_that_was_asked_for():
    value = {"repositories": [{"slug": "a"}, {"slug": ""}, {"slug": "b", "name": "B"}, None]}
    page = repositories_page("org", payload(value))
    assert list(page.items) == [RepoName("org", "a"), RepoName("org", "b")]
    assert page.passed_over == 2


# Guards against: one slug of the service that stops the planner of a fleet, which cannot read it.
@pytest.mark.parametrize("slug", ["a b", "a/b", "*", "..", "a\0", "a\n", "\u202e", "a" * 256])
def test_a_repository_that_no_configuration_can_name_is_passed_over(slug):
    page = repositories_page("org", payload({"repositories": [{"slug": "a"}, {"slug": slug}]}))
    assert (list(page.items), page.passed_over) == ([RepoName("org", "a")], 1)


def test_a_cube_lists_its_artifacts():
    cube = CubeKey(KEY, "w", "t", "#git-clone")
    found = cube_artifacts(cube, payload({"artifacts": [artifact(download_url="u"), None, 3]}))
    assert [(it.key, it.url) for it in found] == [(cube.artifact("a.txt"), "u")]


def test_an_error_body_is_read_as_far_as_it_goes():
    body = b'{"error_code": "E", "message": null, "request_id": 5, "details": []}'
    error = refusal_error("x", 400, body, None, "")
    assert "(400: E)" in str(error)
    assert error.request_id == "5"
    assert str(refusal_error("x", 400, b"<html>", None, "")).endswith("(400)")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-02-30T00:00:00Z",
        "\x00",
    ],
)
def test_a_date_that_makes_no_sense_is_none(text):
    assert moment(text) is None


def test_dates_are_aware_and_in_utc():
    for text in ("2026-11-01t10:00:00z", "2026-11-01 10:00:00", " 2026-11-01T12:00:00+02:00 "):
        found = moment(text)
        assert found == datetime(2026, 11, 1, 10, tzinfo=UTC)
        assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain", "plain"),
        ("two\r\nlines\x1b[0m", "two lines [0m"),
        ("see https://h/p?X-Amz-Signature=abc now", "see <link> now"),
        ("at /p?X-Amz-Signature=abc", "at /p?…"),
        ("bad Bearer abc.def", "bad Bearer ***"),
        ("token pv1_secret gone", "token *** gone"),
        ("pv1_secret", "***"),
        ("mine is s3cr3t!", "mine is ***!"),
        ("s3cr3t", "***"),
        ("x" * 300, "x" * 199 + "…"),
        ("\ud800\u202ex", "x"),
    ],
)
def test_messages_are_one_short_line_without_secrets(text, line):
    assert one_line(text, secret="s3cr3t") == line
    if "s3cr3t" not in text:
        assert one_line(text) == line


def test_ten_thousand_artifacts_take_little_memory():
    url = "https://store.test/bucket/key?X-Amz-Signature=" + "0" * 400
    many = [artifact(f"out/file-{n}", download_url=f"{url}{n}") for n in range(10_000)]
    body = json.dumps(tree(*many)).encode()
    del many
    tracemalloc.start()
    try:
        found = run_of(KEY, parse(body, "run 7"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found.artifacts) == 10_000
    assert peak < 30 * 1024 * 1024


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("success", "success"),
        ("canceled", "success"),
        ("a word of next year", "success"),
        ("skipped", "missing"),
        ("CS_SKIPPED", "missing"),
        ("prepared", "missing"),
    ],
)
def test_every_cube_that_ran_has_a_log(status, told):
    dates = {"finished_at": "2026-11-20T10:05:00Z"}
    cube = {"slug": "c", "status": status, "dates": dates}
    value = {"workflows": [{"slug": "w", "tasks": [{"slug": "t", "cubes": [cube]}]}]}
    (log,) = run(value).logs
    assert (log.key, log.status) == (CubeKey(KEY, "w", "t", "c").log, told)
    assert log.version == "2026-11-20T10:05:00Z"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"logs": "a\n", "page_complete": True, "done": False}, (b"a\n", True, False)),
        ({"logs": "a", "done": True}, (b"a", True, True)),
        ({"logs": "a", "page_complete": 1, "done": "yes"}, (b"a", False, False)),
        ({"logs": None}, (b"", False, False)),
        ({}, (b"", False, False)),
        ({"logs": "\ud800\0\x1b", "done": "true"}, (b"\xef\xbf\xbd\0\x1b", True, True)),
    ],
)
def test_a_page_of_a_log_is_bytes_and_two_switches(value, found):
    page = log_page(payload(value))
    assert (page.content, page.complete, page.done) == found


@pytest.mark.parametrize("odd", [7, ["a"], {"a": "b"}, True])
def test_what_is_no_text_is_no_page_of_a_log(odd):
    with pytest.raises(Unreadable):
        log_page(payload({"logs": odd, "done": True}))
