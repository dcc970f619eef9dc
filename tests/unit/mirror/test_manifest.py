"""The manifests: ``SHA256SUMS`` as sha256sum reads it, ``run.json`` as a stable document."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from msgspec.structs import replace

from artifact_sync.domain.model import (
    ArtifactKey,
    ArtifactRow,
    MirrorPath,
    RepoName,
    Run,
    RunKey,
    State,
    Strength,
)
from artifact_sync.domain.run_record import (
    ArtifactRecord,
    CubeRecord,
    Embedded,
    RunRecord,
    StageDates,
    TaskRecord,
    WorkflowRecord,
)
from artifact_sync.mirror import manifest
from artifact_sync.mirror.recorded_run import read_run

FOLDER = MirrorPath("acme/shop/42")
RUN = Run(
    RunKey(RepoName("acme", "shop"), "42"),
    "success",
    "push",
    created_at=datetime(2026, 11, 1, 12, tzinfo=UTC),
    finished_at=datetime(2026, 11, 1, 15, 30, tzinfo=timezone(timedelta(hours=3))),
)


def run_json(run: Run, rows: list[ArtifactRow], folder: MirrorPath, host: str) -> bytes:
    """``run.json`` of artifacts, added by path as a pass does."""
    built = manifest.Manifest(run, folder, host)
    for one in sorted(rows, key=lambda one: one.path or ""):
        built.add(one)
    return built.about()


def row(path: str, local_path: str = "app.tar", cube: str = "linux") -> ArtifactRow:
    return ArtifactRow(
        ArtifactKey("acme", "shop", "42", "build", "compile", cube, local_path),
        State.MIRRORED,
        MirrorPath(f"{FOLDER}/{path}"),
        size=3,
        sha256="ab" * 32,
        strength=Strength.DIGEST,
        evidence=("repr-digest:sha-256",),
        version="v1",
        etag='"e"',
        mirrored_at=datetime(2026, 11, 2, tzinfo=UTC),
    )


def test_sums_are_lines_of_sha256sum_by_path():
    rows = [row("b"), row("a b"), row("a/x")]
    assert manifest.sums_of(rows, FOLDER) == b"".join(
        b"ab" * 32 + b"  " + name + b"\n" for name in (b"a b", b"a/x", b"b")
    )


def test_sums_escape_as_coreutils_does():
    expected = b"\\" + b"ab" * 32 + b"  a\\\\b\\nc\\rd\n"
    assert manifest.sums_of([row("a\\b\nc\rd")], FOLDER) == expected


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs coreutils' sha256sum")
def test_the_systems_sha256sum_agrees_whatever_the_names(tmp_path):
    names = ["plain", " leading", "-dash", "*star", "#git-clone/f", "отчёт/é.txt", "a\\b", "a\nb"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    rows = [replace(row(it), sha256=hashlib.sha256(it.encode()).hexdigest()) for it in names]
    (tmp_path / manifest.SUMS).write_bytes(manifest.sums_of(rows, FOLDER))
    check = subprocess.run(
        ["sha256sum", "-c", "--strict", manifest.SUMS],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert check.returncode == 0, check.stdout + check.stderr
    assert check.stdout.count(": OK\n") == len(names)


def test_run_json_says_what_when_and_from_where():
    text = run_json(RUN, [row("build/compile/linux/app.tar")], FOLDER, "api.example")
    assert json.loads(text) == {
        "format": 2,
        "tool": "artifact-sync",
        "source": "api.example",
        "org": "acme",
        "repo": "shop",
        "run": "42",
        "status": "success",
        "event": "push",
        "created_at": "2026-11-01T12:00:00Z",
        "finished_at": "2026-11-01T12:30:00Z",
        "id": "",
        "dates": None,
        "error_messages": [],
        "pull": None,
        "user": None,
        "workflows": None,
        "shortened": False,
        "not_mirrored": [],
        "artifacts": [
            {
                "workflow": "build",
                "task": "compile",
                "cube": "linux",
                "local_path": "app.tar",
                "path": "build/compile/linux/app.tar",
                "size": 3,
                "sha256": "ab" * 32,
                "strength": "digest",
                "evidence": ["repr-digest:sha-256"],
                "etag": '"e"',
                "content_encoding": "",
                "version": "v1",
                "mirrored_at": "2026-11-02T00:00:00Z",
            }
        ],
    }
    assert text.endswith(b"}\n")


def test_the_same_content_gives_the_same_bytes_in_any_order():
    rows = [row("b"), row("a"), row("c")]
    assert run_json(RUN, rows, FOLDER, "h") == run_json(RUN, reversed(rows), FOLDER, "h")
    assert manifest.sums_of(rows, FOLDER) == manifest.sums_of(reversed(rows), FOLDER)


def test_run_json_is_utf_8_and_valid_json_whatever_the_slugs():
    text = run_json(RUN, [row("x", "отчёт", cube="\ud800")], FOLDER, "h")
    assert "отчёт" in text.decode("utf-8")
    assert json.loads(text)["artifacts"][0]["cube"] == "\ud800"


def test_a_file_outside_the_run_is_no_part_of_its_manifest():
    with pytest.raises(ValueError, match="not below"):
        manifest.relative_path(MirrorPath("acme/shop/421/x"), FOLDER)


def test_odd_slugs_stay_what_they_are_in_run_json() -> None:
    odd = "a[]b\u2028c\x85d"
    key = ArtifactKey("org", "[]", "7", odd, "[]", "{}", "a.bin")
    row = ArtifactRow(key, State.MIRRORED, MirrorPath("r/a.bin"), 1, "00")
    run = Run(RunKey(RepoName("org", "[]"), "7"), "success", event="[]")
    about = json.loads(run_json(run, [row], MirrorPath("r"), "host"))
    assert (about["repo"], about["event"]) == ("[]", "[]")
    (artifact,) = about["artifacts"]
    assert (artifact["workflow"], artifact["task"], artifact["cube"]) == (odd, "[]", "{}")


def test_run_json_is_plain_indented_json_with_sorted_keys() -> None:
    key = ArtifactKey("org", "repo", "7", "w", "t", "c", "a.bin")
    rows = [
        ArtifactRow(key._replace(cube=cube), State.MIRRORED, MirrorPath(f"r/{cube}"), 1, "00")
        for cube in "ba"
    ]
    run = Run(RunKey(RepoName("org", "repo"), "7"), "success")
    text = run_json(run, rows, MirrorPath("r"), "host").decode()
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"
    assert [artifact["path"] for artifact in json.loads(text)["artifacts"]] == ["a", "b"]


RECORD = RunRecord(
    dates=StageDates(started_at="2026-11-01T12:00:01Z"),
    error_messages=["the runner\nvanished"],
    user=Embedded(slug="alice"),
    workflows=[
        WorkflowRecord(
            slug="build",
            tasks=[
                TaskRecord(
                    slug="compile",
                    cubes=[
                        CubeRecord(
                            slug="linux",
                            artifacts=[
                                ArtifactRecord(local_path="app.tar", status="success"),
                                ArtifactRecord(local_path="core", status="missing"),
                            ],
                        )
                    ],
                )
            ],
        )
    ],
)


def test_run_json_has_the_record_and_why_each_artifact_is_not_here() -> None:
    built = manifest.Manifest(RUN, FOLDER, "h", RECORD)
    held = row("app.tar")
    others = [
        replace(held, key=held.key._replace(local_path=name), state=state, sha256="", **more)
        for name, state, more in (
            ("z", State.UNWANTED, {}),
            ("b", State.FAILED, {"reason": "gone", "message": "the server answered 404"}),
            ("a", State.REFUSED, {"reason": "collision", "message": "it would be one file"}),
        )
    ]
    for one in (others[0], held, *others[1:]):
        built.add(one)
    told = json.loads(built.about())
    assert (told["user"], told["error_messages"]) == (
        {"id": "", "slug": "alice"},
        ["the runner\nvanished"],
    )
    assert told["workflows"] == msgspec.to_builtins(RECORD.workflows)
    assert [it["path"] for it in told["artifacts"]] == ["app.tar"]
    assert [
        (it["local_path"], it["state"], it["reason"], it["message"]) for it in told["not_mirrored"]
    ] == [
        ("a", "refused", "collision", "it would be one file"),
        ("b", "failed", "gone", "the server answered 404"),
        ("core", "unavailable", "missing", "the service lists it without a file: missing"),
        ("z", "unwanted", "", "the rules leave it out"),
    ]
    assert [it["local_path"] for it in told["refused"]] == ["a"]


def test_run_json_is_right_while_it_tells_what_is_on_record() -> None:
    rows = [row("app.tar")]
    built = manifest.Manifest(RUN, FOLDER, "h", RECORD)
    built.add(rows[0])
    text = built.about()
    assert manifest.run_json_says(text, rows, FOLDER, RECORD)
    assert not manifest.run_json_says(text.replace(b"alice", b"mallory"), rows, FOLDER, RECORD)
    assert not manifest.run_json_says(text, [], FOLDER, RECORD)


def test_run_json_of_the_first_format_is_read_and_right() -> None:
    rows = [row("app.tar")]
    told = json.loads(run_json(RUN, rows, FOLDER, "h"))
    later = ("id", "dates", "error_messages", "pull", "user", "workflows", "shortened")
    first = {name: it for name, it in told.items() if name not in (*later, "not_mirrored")}
    text = json.dumps({**first, "format": 1}).encode()
    assert manifest.run_json_says(text, rows, FOLDER, RECORD)
    assert read_run(text).run.record is None


def test_the_record_is_read_from_run_json_again() -> None:
    text = manifest.Manifest(RUN, FOLDER, "h", RECORD).about()
    assert read_run(text).run.record == RECORD
    told = json.loads(text)
    for odd in ([5], [{"slug": "\ud800"}], "x", [{"slug": "x" * 2**25}]):
        hostile = json.dumps({**told, "workflows": odd}).encode()
        assert read_run(hostile).run.record is None
