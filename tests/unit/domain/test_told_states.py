"""What is being removed is told as forgotten, wherever states are told."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from artifact_sync.cli.json_objects import ListedArtifact, ToldState
from artifact_sync.domain.model import (
    ArtifactKey,
    ArtifactRow,
    MirrorPath,
    RepoName,
    RunKey,
    RunRow,
    State,
    Totals,
)
from artifact_sync.domain.status import RepoStatus
from artifact_sync.mirror.manifest import Manifest

REPO = RepoName("acme", "shop")
KEY = ArtifactKey(*REPO, "42", "ci", "build", "linux", "app.tar")
FOLDER = MirrorPath("acme/shop/42")


def row(state: State) -> ArtifactRow:
    return ArtifactRow(KEY, state, MirrorPath(f"{FOLDER}/app.tar"), 1, "ab" * 32)


@pytest.mark.parametrize("state", [State.PRUNING, State.PRUNED])
def test_a_removed_file_is_forgotten_in_run_json_and_ls(state: State) -> None:
    manifest = Manifest(RunRow(RunKey(REPO, "42"), "success"), FOLDER, "host", None)
    manifest.add(row(state))
    (absent,) = json.loads(manifest.about())["not_mirrored"]
    assert (absent["state"], absent["message"]) == (
        "forgotten",
        "let go by the owner of the mirror",
    )
    assert ListedArtifact.of(row(state), 1.0).state == "forgotten"


def test_every_state_is_one_that_programs_know() -> None:
    assert {state.told for state in State} == set(get_args(ToldState))


def test_status_has_every_state_also_where_there_is_none() -> None:
    told = RepoStatus.of(Totals(REPO)).states
    assert told == dict.fromkeys(set(get_args(ToldState)) - {"unwanted"}, 0)
    told = RepoStatus.of(Totals(REPO, states=dict.fromkeys(State, 1))).states
    assert (told["forgotten"], told["unwanted"], sum(told.values())) == (3, 1, len(State))
