"""An example of each JSON object, encoded as the program does it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec

from artifact_sync.cli.get_answer import GetAnswer, GotFile
from artifact_sync.cli.json_objects import (
    AdoptAnswer,
    CheckAnswer,
    DeliveryEntry,
    DisplacedAnswer,
    DisplacedEntry,
    FailureEntry,
    HooksAnswer,
    ListAnswer,
    ListedArtifact,
    MoveAnswer,
    PinEntry,
    PinsAnswer,
    PlannedEntry,
    PruneAnswer,
    PruneEntry,
    SyncAnswer,
    UnfitEntry,
    UsageAnswer,
    UsageEntry,
    VerifyAnswer,
)
from artifact_sync.cli.run_answer import ShowAnswer, ShownDocument
from artifact_sync.cli.why_answer import WhyAnswer, WhyKept, WhyRule, WhyRun, WhyTry
from artifact_sync.domain.errors import Reason
from artifact_sync.domain.model import (
    ArtifactKey,
    ArtifactRow,
    DisplacedFile,
    Failure,
    MirrorPath,
    RepoName,
    RunKey,
    RunRow,
    State,
    Strength,
    Totals,
    Upstream,
)
from artifact_sync.domain.report import Report
from artifact_sync.domain.run_record import (
    ArtifactDates,
    ArtifactRecord,
    CubeRecord,
    Dependency,
    Embedded,
    Relations,
    RunRecord,
    StageDates,
    StageProgress,
    TaskRecord,
    WorkflowRecord,
)
from artifact_sync.domain.settings import SourceSettings
from artifact_sync.domain.status import DaemonState, PassState, RepoState, RepoStatus, StatusAnswer
from artifact_sync.mirror.manifest import Manifest

_BEGUN = datetime(2026, 11, 23, 21, 40, tzinfo=UTC)
_ENDED = datetime(2026, 11, 23, 21, 46, 7, tzinfo=UTC)
_REPO = RepoName("acme", "rocket")
_FOLDER = "acme/rocket/40"
_ARCHIVE = ArtifactKey("acme", "rocket", "40", "ci", "build", "build", "./dist/app.tar.gz")
_REPORT = ArtifactKey("acme", "rocket", "40", "ci", "test", "unit", "./report/junit.xml")
_DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_SIZE = 8_388_608

_FAILURE = Failure.of(_REPORT, Reason.GONE, "the file's server answered 404 (NoSuchKey)")
_ROW = ArtifactRow(
    key=_ARCHIVE,
    state=State.MIRRORED,
    path=MirrorPath(f"{_FOLDER}/ci/build/build/dist/app.tar.gz"),
    size=_SIZE,
    sha256=_DIGEST,
    strength=Strength.DIGEST,
    evidence=("repr-digest:sha-256", "length"),
    etag='"d41d8cd98f"',
    first_seen=_BEGUN,
    mirrored_at=_ENDED,
    verified_at=_ENDED,
    upstream=Upstream.LISTED,
    created_at=_BEGUN,
)


_DATES = StageDates(
    created_at="2026-11-23T21:40:00Z",
    started_at="2026-11-23T21:40:02Z",
    finished_at="2026-11-23T21:46:07Z",
    updated_at="2026-11-23T21:46:07Z",
)
_LEFT = ArtifactDates(registered_at="2026-11-23T21:40:02Z", obtained_at="2026-11-23T21:46:01Z")
_RECORD = RunRecord(
    dates=_DATES,
    user=Embedded(slug="alice"),
    workflows=[
        WorkflowRecord(
            slug="ci",
            status="success",
            dates=_DATES,
            description="Build and test",
            progress=StageProgress(percent=100.0),
            tasks=[
                TaskRecord(
                    slug="build",
                    status="success",
                    dates=_DATES,
                    progress=StageProgress(percent=100.0),
                    relations=Relations(needs=[Dependency(name="lint")]),
                    cubes=[
                        CubeRecord(
                            slug="build",
                            status="success",
                            dates=_DATES,
                            artifacts=[
                                ArtifactRecord(
                                    local_path="./dist/app.tar.gz", status="success", dates=_LEFT
                                ),
                                ArtifactRecord(local_path="core", status="missing"),
                            ],
                        )
                    ],
                )
            ],
        )
    ],
)


def sync() -> Any:
    """An example of ``sync --json``."""
    return _builtins(SyncAnswer.of(_report()))


def dry_run() -> Any:
    """An example of ``sync --dry-run --json``."""
    entry = PlannedEntry(
        repo=str(_REPO),
        run="40",
        **_ARCHIVE.in_run,
        kind="artifact",
        path=_ROW.path,
        size=None,
        why="new",
    )
    return _builtins(SyncAnswer.of(Report(runs=1, found=1, planned=1), [entry]))


def status() -> Any:
    """An example of ``status --json``, beside a daemon."""
    totals = Totals(
        _REPO, 4, 3, _SIZE, {State.MIRRORED: 15, State.GONE: 1}, "40", _ENDED, _ENDED, None,
        _FAILURE.message, ("workflows: nigthly has fitted nothing so far",),
        oldest_verified=_BEGUN, shared_bytes=_SIZE // 2,
    )  # fmt: skip
    daemon = DaemonState(
        pid=4711,
        version="1.2.3",
        since=_BEGUN.isoformat(),
        passes=(PassState(repo=str(_REPO), why="webhook", seconds=1.5, planned=3, done=1),),
        downloads=2,
        rate=1_048_576.0,
        free=85_000_000_000,
        repositories=(RepoState(repo=str(_REPO), running=True, why="webhook"),),
    )
    return _builtins(StatusAnswer(repositories=[RepoStatus.of(totals)], daemon=daemon))


def ls() -> Any:
    """An example of ``ls --json``."""
    return _builtins(ListAnswer(artifacts=[ListedArtifact.of(_ROW, SourceSettings().retention)]))


def verify() -> Any:
    """An example of ``verify --repair --json``."""
    return _builtins(
        VerifyAnswer(
            exit_code=1,
            ok=13,
            missing=[f"{_FOLDER}/ci/test/unit/report/junit.xml"],
            changed=[f"{_FOLDER}/ci/build/build/dist/app.tar.gz"],
            extra=["acme/rocket/notes.txt"],
            repaired=[f"{_FOLDER}/ci/build/build/dist/app.tar.gz"],
            failures=[FailureEntry.of(_FAILURE)],
        )
    )


def move() -> Any:
    """An example of ``move --json``."""
    return _builtins(
        MoveAnswer(
            complete=True, exit_code=0, files=13, bytes=1_048_576, rows=41, config="new.toml"
        )
    )


def adopt() -> Any:
    """An example of ``adopt --json``."""
    path = f"{_FOLDER}/ci/test/unit/report/junit.xml"
    failure = Failure.of(_ROW.key, Reason.MISSING, "it is missing")
    return _builtins(
        AdoptAnswer(
            adopted=[ListedArtifact.of(_ROW, SourceSettings().retention)],
            unfit=[UnfitEntry.at(path, failure)],
            extra=["acme/rocket/notes.txt"],
            known=0,
            complete=False,
            exit_code=1,
            failures=[],
        )
    )


def hooks() -> Any:
    """An example of ``hooks --json``."""
    at, again = "2026-11-23T21:46:07+00:00", "2026-11-23T22:01:30+00:00"
    entry = DeliveryEntry(
        id="648f345c4267f46dc4acc38489ff911a",
        event="run.complete",
        hook="deploy",
        repo=str(_REPO),
        run="40",
        happened_at=at,
        tries=9,
        next_try=again,
        last_error="deploy.example.org answered 503",
    )
    return _builtins(
        HooksAnswer(complete=True, exit_code=0, failures=[], waiting=[entry], failed=[])
    )


def prune() -> Any:
    """An example of ``prune --json``."""
    whys = (
        ("40", "keep", ["last", "daily 2026-11-23", "latest"]),
        ("39", "prune", ["no rule keeps it"]),
    )
    runs = [
        PruneEntry(
            repo=str(_REPO),
            run=run,
            created_at=_BEGUN.isoformat(),
            action="keep" if action == "keep" else "prune",
            why=why,
            bytes=_SIZE,
        )
        for run, action, why in whys
    ]
    answer = PruneAnswer(
        mirror="648f345c4267f46dc4acc38489ff911a",
        made_at=_ENDED.isoformat(),
        complete=True,
        exit_code=0,
        runs=runs,
        freed_bytes=_SIZE,
        refused=[],
    )
    return _builtins(answer)


def du() -> Any:
    """An example of ``du --json``."""
    part = UsageEntry(name="acme/rocket", bytes=8_388_608, files=15, runs=3)
    return _builtins(
        UsageAnswer(
            bytes=8_388_608, shared_bytes=0, displaced_bytes=4_096, staging_bytes=0, parts=[part]
        )
    )


def get() -> Any:
    """An example of ``get --json``."""
    file = GotFile(
        repo=str(_REPO),
        run=_ROW.key.run,
        local_path=_ROW.key.local_path,
        path="/home/me/out/ci/build/build/dist/app.tar.gz",
        action="copied",
        size=_ROW.size,
        sha256=_ROW.sha256,
    )
    return _builtins(GetAnswer(complete=True, exit_code=0, files=[file], failures=[]))


def why() -> Any:
    """An example of ``why --json``."""
    return _builtins(
        WhyAnswer(
            complete=True,
            exit_code=0,
            failures=[],
            artifact=ListedArtifact.of(_ROW, SourceSettings().retention),
            rule=WhyRule(wanted=True, entry="acme/*", key="include", value="*.tar.gz"),
            tries=[
                WhyTry(
                    at=_ENDED.isoformat(), ok=False, reason="cut", message="the file ended early"
                ),
                WhyTry(at=_ENDED.isoformat(), ok=True, reason=None, message=None),
            ],
            run=WhyRun(
                status="success",
                created_at=_ENDED.isoformat(),
                complete=True,
                gone_since=None,
                next_look=None,
                pinned=None,
            ),
            kept=WhyKept(action="keep", why=["last", "latest"], refused=[]),
            next="nothing: it is here, and stays while its run does",
        )
    )


def pins() -> Any:
    """An example of ``pins --json``."""
    entry = PinEntry(
        repo=str(_REPO), run="40", reason="released as 1.0", pinned_at=_ENDED.isoformat()
    )
    return _builtins(PinsAnswer(complete=True, exit_code=0, pins=[entry]))


def displaced() -> Any:
    """An example of ``displaced list --json``."""
    path = MirrorPath(f"{_FOLDER}/ci/build/build/dist/app.tar.gz")
    file = DisplacedFile(f"20261123T214607Z/{path}", path, _ENDED, _SIZE)
    entries = [DisplacedEntry.of(file)]
    return _builtins(DisplacedAnswer(complete=True, exit_code=0, failures=[], displaced=entries))


def config_check() -> Any:
    """An example of ``config check --json``."""
    problem = "config.toml:12: download.jobs: expected a whole number from 1 to 256, got 0"
    return _builtins(CheckAnswer(ok=False, file="config.toml", problems=[problem], warnings=[]))


def show() -> Any:
    """An example of ``show --json``."""
    run = msgspec.convert({**run_document(), "mirror_complete": True}, ShownDocument)
    answer = ShowAnswer(complete=True, exit_code=0, failures=[], gone_since=None, run=run)
    return _builtins(answer)


def run_document() -> Any:
    """An example of ``run.json``."""
    run = RunRow(RunKey(_REPO, "40"), "success", "push", _BEGUN, _ENDED)
    manifest = Manifest(run, MirrorPath(_FOLDER), "api.sourcecraft.tech", _RECORD)
    manifest.add(_ROW)
    return json.loads(manifest.about())


def _report() -> Report:
    return Report(runs=3, found=15, downloaded=1, kept=13, bytes=_SIZE, failures=[_FAILURE])


def _builtins(value: msgspec.Struct) -> Any:
    return json.loads(json.dumps(msgspec.to_builtins(value)))
