"""What the ledger's record says of a file that is fetched again."""

from __future__ import annotations

import pytest

from artifact_sync.domain.model import (
    Action,
    Artifact,
    ArtifactKey,
    ArtifactRow,
    State,
    Step,
    Strength,
)
from artifact_sync.sync.downloads import recorded_of
from artifact_sync.transfer.evidence import Claim, Recorded

KEY = ArtifactKey("org", "repo", "7", "w", "t", "c", "a.bin")
SHA256 = "ab" * 32
RECORDED = Recorded(SHA256, Strength.LENGTH, ("length",))


def step(version: str, recorded: str, sha256: str = SHA256, state: State = State.WANTED) -> Step:
    row = ArtifactRow(KEY, state, None, 3, sha256, Strength.LENGTH, ("length",), recorded)
    return Step(Action.DOWNLOAD, Artifact(KEY, "success", version), row=row)


@pytest.mark.parametrize("state", [State.WANTED, State.MIRRORED, State.FAILED, State.GONE])
def test_of_the_same_version_it_vouches_whatever_became_of_the_file(state: State) -> None:
    assert recorded_of(step("v1", "v1", state=state), None) == RECORDED


@pytest.mark.parametrize(
    "other",
    [
        step("v2", "v1"),
        step("", ""),
        step("v1", ""),
        step("v1", "v1", sha256=""),
        Step(Action.DOWNLOAD, Artifact(KEY, "success", "v1")),
    ],
    ids=["another version", "no versions", "none recorded", "never mirrored", "new"],
)
def test_of_another_version_or_of_none_it_says_nothing(other: Step) -> None:
    assert recorded_of(other, None) is None


@pytest.mark.parametrize(("sha256", "left"), [(SHA256, RECORDED), ("cd" * 32, None)])
def test_a_checksum_file_that_denies_it_outweighs_it(sha256: str, left: Recorded | None) -> None:
    claim = Claim("sidecar:sha-256", "sha-256", sha256)
    assert recorded_of(step("v1", "v1"), claim) == left
