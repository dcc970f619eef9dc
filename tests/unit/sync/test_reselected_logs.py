"""A changed rule about logs asks the service only for what was never noted."""

from __future__ import annotations

from artifact_sync.domain.model import ArtifactKey, ArtifactRow, MirrorPath, State
from artifact_sync.domain.settings import DEFAULT_LAYOUT, RepoSettings
from artifact_sync.sync.reselect import reselected
from artifact_sync.sync.rules import Rules

FILE = ArtifactKey("org", "repo", "7", "w", "t", "c", "a")


def row(key: ArtifactKey, *, wanted: bool = True) -> ArtifactRow:
    return ArtifactRow(
        key, State.MIRRORED, MirrorPath(key.name), 1, "00" * 32, version="v", wanted=wanted
    )


def rules(*, logs: bool) -> Rules:
    return Rules.of(RepoSettings(name="org/repo", logs=logs), DEFAULT_LAYOUT)


def test_logs_that_were_never_noted_are_asked_for() -> None:
    assert reselected([row(FILE)], rules(logs=True)) is None


def test_logs_that_are_here_are_taken_in_and_left_out_without_a_question() -> None:
    log = FILE.cube_key.log
    found = reselected([row(FILE), row(log)], rules(logs=False))
    assert found is not None
    assert [(it.key, it.wanted) for it in found.notes] == [(log, False)]
    again = reselected([row(FILE), row(log, wanted=False)], rules(logs=True))
    assert again is not None
    assert [(it.key, it.wanted) for it in again.notes] == [(log, True)]
    assert again.kept == 2
