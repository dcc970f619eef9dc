"""What a change below the mirror's root may mean."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from artifact_sync.daemon.watch.filesystem import below_root
from artifact_sync.daemon.watch.inspector import (
    Touched,
    compare_metadata,
    outermost,
    resolved_names,
)
from artifact_sync.domain.model import ArtifactKey, ArtifactRow, Found, MirrorPath, State
from artifact_sync.sync.verify import Condition

CAME = datetime(2026, 11, 23, 12, tzinfo=UTC)
ROW = ArtifactRow(
    ArtifactKey("o", "r", "1", "w", "t", "c", "f"),
    State.MIRRORED,
    MirrorPath("o/r/1/f"),
    10,
    "ab" * 32,
    mirrored_at=CAME,
)


@pytest.mark.parametrize(
    ("path", "below"),
    [
        ("/mirror/o/r/1/f", "o/r/1/f"),
        ("/mirror/o", "o"),
        ("/mirror", None),
        ("/mirror/", None),
        ("/elsewhere/f", None),
        ("/mirror/.artifact-sync/staging/x.part", None),
        ("/mirror/.Artifact-Sync", None),
        ("/mirror/o/.artifact-sync", "o/.artifact-sync"),
    ],
)
def test_only_what_is_below_the_root_and_not_our_own_is_looked_at(path, below):
    assert below_root(path.replace("/", os.sep), "/mirror".replace("/", os.sep)) == below


def test_touched_paths_are_given_once_and_deep_stays_deep():
    touched = Touched(depth=2)
    touched.add("o/r/1", deep=True)
    touched.add("o/r/1", deep=False)
    touched.add("o/r/2", deep=False)
    assert len(touched) == 2
    assert touched.take() == {"o/r/1": True, "o/r/2": False}
    assert touched.take() == {}


def test_of_a_folder_that_is_gone_with_all_in_it_the_topmost_is_looked_at():
    gone = {"o/r": True, "o/r/1": True, "o/r/1/w": True, "o/r/1/w/f": False, "o/r2/1/f": False}
    assert outermost(gone) == {"o/r": True, "o/r2/1/f": False}
    assert outermost({"o/r/1": False, "o/r/1/f": False}) == {"o/r/1": False, "o/r/1/f": False}


def test_a_manifest_is_looked_at_also_with_its_folder():
    touched = {"o/r/1": True, "o/r/1/SHA256SUMS": False, "o/r/1/run.json": True}
    assert outermost(touched) == touched


def test_too_many_touched_paths_become_their_repositories_as_a_whole():
    touched = Touched(depth=2, most=10)
    for number in range(1000):
        touched.add(f"o/r{number % 3}/{number}/f", deep=False)
    assert len(touched) <= 10
    found = touched.take()
    assert {path for path, deep in found.items() if deep} == {"o/r0", "o/r1", "o/r2"}


@pytest.mark.parametrize("touched", [True, False])
@pytest.mark.parametrize(
    ("found", "condition"),
    [
        (None, Condition.MISSING),
        (Found("folder"), Condition.MISSING),
        (Found("other"), Condition.MISSING),
        (Found("file", 9), Condition.CHANGED),
        (Found("file", 11), Condition.CHANGED),
    ],
)
def test_what_a_look_tells_needs_no_reading(found, condition, touched):
    assert compare_metadata(ROW, found, touched=touched) is condition


def test_a_file_that_was_touched_itself_is_read():
    assert compare_metadata(ROW, Found("file", 10, CAME.timestamp() - 9), touched=True) is None


def test_a_file_in_a_folder_that_was_touched_is_read_only_when_it_was_changed_since_it_came():
    old = Found("file", 10, CAME.timestamp() + 5)
    new = Found("file", 10, CAME.timestamp() + 3600)
    assert compare_metadata(ROW, old, touched=False) is Condition.OK
    assert compare_metadata(ROW, new, touched=False) is None


def test_a_path_through_a_link_is_also_the_one_that_the_link_leads_to():
    links = {"o/r/latest": "o/r/42", "x": "o"}
    assert resolved_names("o/r/latest/w/f", links) == {"o/r/latest/w/f", "o/r/42/w/f"}
    assert resolved_names("x/r/42/f", links) == {"x/r/42/f", "o/r/42/f"}
    assert resolved_names("up/o/r", {"up": ""}) == {"up/o/r", "o/r"}
    assert resolved_names("o/r/latest", links) == {"o/r/latest"}
    assert resolved_names("o/r/latest-x/f", links) == {"o/r/latest-x/f"}
