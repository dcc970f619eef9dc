from __future__ import annotations

from artifact_sync.mirror.local.recent_writes import RecentWrites


def test_what_is_known_is_bounded_and_the_oldest_goes_first(tmp_path):
    left = tmp_path.stat()
    written = RecentWrites(most=3)
    for name in ("a", "b", "a", "c", "d"):
        written.note(name, left)
    assert [name for name in "abcd" if written.knows(name)] == ["a", "c", "d"]


def test_a_thing_that_was_taken_away_is_known_by_its_absence(tmp_path):
    written = RecentWrites()
    written.note("a", None)
    assert written.left("a", None)
    assert not written.left("a", tmp_path.stat())
    assert not written.left("b", None)
