"""What is kept of a run's answer: all that is documented, no link, bounded."""

from __future__ import annotations

import json

import msgspec
import pytest

from artifact_sync.domain.run_record import Embedded, RunRecord, StageDates
from artifact_sync.source.api.decode import parse
from artifact_sync.source.api.decode_record import record_of

SECRET = "eyJhbGciOi.our-own-token"
DATES = {
    "created_at": "2026-11-01T13:00:00+03:00",
    "started_at": "2026-11-01T10:00:01.5Z",
    "finished_at": "0001-01-01T00:00:00Z",
    "updated_at": "yesterday",
}
ARTIFACT = {
    "id": "17",
    "local_path": "./dist/app.tar.gz",
    "status": "AS_SUCCESS",
    "dates": {"registered_at": "2026-11-01T10:00:00Z", "obtained_at": "2026-11-01T10:05:00Z"},
    "download_url": "https://store.test/x?X-Amz-Signature=5ec7e7",
}
CUBE = {
    "id": "c1",
    "slug": "#git-clone",
    "status": "success",
    "dates": DATES,
    "relations": {"needs": [{"name": "setup"}]},
    "artifacts": [ARTIFACT],
}
TASK = {
    "id": "t1",
    "slug": "build",
    "description": "compile",
    "status": "failed",
    "dates": DATES,
    "progress": {"percent": 62.5, "current_cube": CUBE},
    "relations": {"needs": [{"name": "lint"}, {"name": "fmt"}]},
    "cubes": [CUBE],
}
RUN = {
    "id": "r1",
    "slug": "7",
    "status": "failed",
    "event_type": "push",
    "dates": DATES,
    "error_messages": ["first line\n\tsecond \x1b[31mline", "see https://x.test/a?b=c"],
    "pull": {"id": "p1", "slug": "12"},
    "user": {"id": "u1", "slug": "<external-user>"},
    "workflows": [
        {
            "id": "w1",
            "slug": "ci",
            "description": "all",
            "status": "failed",
            "dates": DATES,
            "progress": {"percent": "half"},
            "tasks": [TASK],
        }
    ],
}


def record(value: object) -> RunRecord:
    return record_of(parse(json.dumps(value).encode(), "run 7"), SECRET)


def test_every_documented_member_is_kept() -> None:
    found = record(RUN)
    dates = StageDates(created_at="2026-11-01T10:00:00Z", started_at="2026-11-01T10:00:01.500000Z")
    assert (found.id, found.dates) == ("r1", dates)
    assert found.pull == Embedded(id="p1", slug="12")
    assert found.user == Embedded(id="u1", slug="<external-user>")
    (workflow,) = found.workflows
    (task,) = workflow.tasks
    (cube,) = task.cubes
    (artifact,) = cube.artifacts
    for part, identity in ((workflow, "w1 ci"), (task, "t1 build"), (cube, "c1 #git-clone")):
        assert (f"{part.id} {part.slug}", part.dates) == (identity, dates)
    assert (workflow.status, workflow.description, workflow.progress.percent) == (
        "failed",
        "all",
        None,
    )
    assert (task.description, task.progress.percent) == ("compile", 62.5)
    assert task.progress.current_cube == "#git-clone"
    assert [it.name for it in task.relations.needs] == ["lint", "fmt"]
    assert [it.name for it in cube.relations.needs] == ["setup"]
    assert (artifact.id, artifact.local_path, artifact.status) == (
        "17",
        "./dist/app.tar.gz",
        "success",
    )
    assert artifact.dates.obtained_at == "2026-11-01T10:05:00Z"
    assert found.shortened is False


def test_no_link_and_no_token_is_kept_wherever_it_stands() -> None:
    link, token = ARTIFACT["download_url"], f"Bearer {SECRET} or pv1_abcdef"
    value = {
        **RUN,
        "error_messages": [f"cannot read {link}", token, f"{'x ' * 3995}{SECRET}", link * 9000],
        "description": link,
        "user": {"id": SECRET, "slug": link},
        "x_link": link,
    }
    text = msgspec.json.encode(record(value)).decode()
    assert "5ec7e7" not in text
    assert SECRET not in text
    assert SECRET[:12] not in text
    assert "pv1_abcdef" not in text


def test_a_message_keeps_its_lines_and_nothing_that_moves_a_terminal() -> None:
    assert record(RUN).error_messages == ["first line\nsecond [31mline", "see <link>"]


@pytest.mark.parametrize("odd", [None, 5, "x", [], {}, [None, 5, "x", []], {"a": {}}])
def test_members_of_other_types_are_as_if_they_were_not_there(odd: object) -> None:
    names = ("id", "dates", "error_messages", "pull", "user", "workflows")
    found = record(dict.fromkeys(names, odd))
    assert found.workflows == []
    assert (found.pull, found.user, found.dates) == (None, None, StageDates())


def test_what_is_nested_deeply_is_left_out() -> None:
    deep = b'{"a":' * 200 + b"1" + b"}" * 200
    body = b'{"user": {"slug": ' + deep + b'}, "error_messages": [' + deep + b', "x"]}'
    found = record_of(parse(body, "run 7"))
    assert (found.user, found.error_messages) == (None, ["x"])


def test_a_huge_answer_leaves_a_bounded_record_that_says_so() -> None:
    many = [{**ARTIFACT, "local_path": f"{n}"} for n in range(60_000)]
    workflows = [{"slug": "ci", "tasks": [{"slug": "t", "cubes": [{**CUBE, "artifacts": many}]}]}]
    workflows += [{"slug": f"w{n}", "description": "d" * 9000} for n in range(1000)]
    found = record({"error_messages": ["e" * 10_000] * 300, "workflows": workflows})
    assert len(msgspec.json.encode(found)) < 16 * 1024 * 1024
    assert found.shortened is True
    assert (len(found.error_messages), len(found.error_messages[0])) == (100, 4000)
    assert 300 < len(found.workflows) < 1000
    assert 20_000 < len(found.workflows[0].tasks[0].cubes[0].artifacts) < 60_000
